"""One run: traffic is published while the schedule does its work, then everything is compared."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Producer

from driftline_streams.settings import Settings

from . import compare, oracle, schedule, settle, traffic, undisturbed
from .fleet import WORKER, Fleet, fleet
from .message import Message
from .schedule import STAYING, Fault, Plan
from .traffic import Traffic
from .worker import SESSION_S

PIECES_A_SECOND = 4
READY_S = 40.0  # until the workers have read the first piece
WORK_S = 4.0  # a fault waits as long for something to be stored


@dataclass(frozen=True, slots=True)
class Size:
    """How much is published, and for how long."""

    events: int
    seconds: float


FULL = Size(events=10_000, seconds=16.0)
SHORT = Size(events=4_000, seconds=8.0)  # for the suite


@dataclass(slots=True)
class Result:
    """What a run came to; it was right when there are no `problems`."""

    seed: int
    plan: Plan
    directory: Path
    events: int = 0
    labels: int = 0
    batches: int = 0  # of predictions
    repeated: int = 0  # inserts that ClickHouse dropped, because it had them
    detections: int = 0
    alerts: int = 0
    seconds: float = 0.0
    did: list[str] = field(default_factory=list)  # faults as they happened
    problems: list[str] = field(default_factory=list)


def run(
    seed: int, directory: Path, size: Size = FULL, command: Sequence[str] = WORKER, say: Callable[[str], None] = print
) -> Result:
    """Run one seed with its data and logs in `directory`; `say` is told what is being done."""
    began = time.monotonic()
    result = Result(seed, schedule.plan(seed, size.seconds, SESSION_S), directory)
    sent = traffic.make(seed, size.events, traffic.start_ms(time.time_ns() // 1_000_000))
    result.events = sum(message.topic == "predictions" for message in sent.messages)
    result.labels = len(sent.messages) - result.events
    try:
        _run(sent, result, command, say)
    except Exception as error:  # whatever it is, the report must name the seed and the logs
        result.problems.append(f"the run could not be finished: {error!r}")
    result.seconds = time.monotonic() - began
    return result


def _run(sent: Traffic, result: Result, command: Sequence[str], say: Callable[[str], None]) -> None:
    with ThreadPoolExecutor(2) as beside:
        expecting = beside.submit(oracle.expect, sent)
        finding = beside.submit(undisturbed.find, sent, time.time_ns() // 1_000_000)
        with fleet(result.directory, command, result.seed) as running:
            say("starting")
            running.prepare(sent)
            for who in STAYING:
                running.start(who)
            _suffer(running, sent, result, say)
            say("settling")
            expected, found = expecting.result(), finding.result()
            if missing := settle.wait(running.settings, running.clickhouse, expected, running.heal):
                result.problems.append(f"it came to a halt: {missing}")
            running.rest()
            result.problems += running.died
            say("comparing")
            running.count_repeated()
            result.batches, result.repeated = compare.batches(running.settings), running.repeated
            result.detections, result.alerts = len(found.detections), len(found.alerts)
            result.problems += compare.published(running.settings, sent)
            result.problems += _ledger(running.settings)
            result.problems += compare.differences(running.clickhouse, sent, expected, found)


def _suffer(running: Fleet, sent: Traffic, result: Result, say: Callable[[str], None]) -> None:
    """Publish piece by piece, and let the faults happen meanwhile."""
    producer = Producer(
        {
            "bootstrap.servers": running.settings.kafka_bootstrap,
            "enable.idempotence": True,  # a broker that is killed must not make us publish twice
            "log_level": 0,
            "reconnect.backoff.max.ms": 500,
        }
    )
    seconds, messages = result.plan.seconds, iter(sent.messages)
    pieces = round(seconds * PIECES_A_SECOND)
    # The first piece brings every model to every partition: one on which it was never seen is not waited for.
    upcoming = _publish(producer, messages, next(messages), 1 / pieces, running.settings)
    producer.flush(30)
    _wait_until_read(running)
    began = time.monotonic()
    with ThreadPoolExecutor(len(result.plan.faults) + 1) as at_once:
        done = [at_once.submit(_strike, running, fault, began, result) for fault in result.plan.faults]
        for piece in range(2, pieces + 1):
            time.sleep(max(0.0, began + (piece - 1) / PIECES_A_SECOND - time.monotonic()))
            running.running()
            say(f"{time.monotonic() - began:4.0f} of {seconds:.0f} s")
            if upcoming is not None:
                upcoming = _publish(producer, messages, upcoming, piece / pieces, running.settings)
        say("healing")
    for fault in done:
        fault.result()
    result.did.sort()
    if producer.flush(30):
        result.problems.append("not everything could be published")


def _publish(
    producer: Producer, messages: Iterator[Message], upcoming: Message, until: float, settings: Settings
) -> Message | None:
    """Publish what lies before `until`, beginning with `upcoming`; gives the first message that does not."""
    message: Message | None = upcoming
    while message is not None and (message.at < until or until >= 1):
        name = f"{settings.topic_prefix}.{message.topic}"
        producer.produce(name, message.value, message.key, partition=message.partition)
        producer.poll(0)
        message = next(messages, None)
    return message


def _wait_until_read(running: Fleet) -> None:
    deadline = time.monotonic() + READY_S
    while unread := settle.unread(running.settings):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the workers have not read the first piece within {READY_S:.0f} s: {unread}")
        time.sleep(0.1)


def _strike(running: Fleet, fault: Fault, began: float, result: Result) -> None:
    time.sleep(max(0.0, began + fault.at_s - time.monotonic()))
    running.await_work(within_s=WORK_S)
    at_s = time.monotonic() - began
    try:
        running.suffer(fault)
    except Exception as error:
        result.problems.append(f"a fault could not be done ({fault}): {error!r}")
    finally:
        result.did.append(f"{at_s:5.1f} to {time.monotonic() - began:5.1f} s: {fault}")


def _ledger(settings: Settings) -> list[str]:
    command = [sys.executable, "-m", "driftline_streams.cli", "ledger"]
    done = subprocess.run(
        command, env={**os.environ, **settings.environment()}, capture_output=True, text=True, check=False, timeout=60
    )
    return [] if done.returncode == 0 else [f"`driftline ledger` ended with {done.returncode}: {done.stderr.strip()}"]
