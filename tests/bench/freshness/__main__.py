"""Freshness on this machine: `python -m tests.bench.freshness [seconds] [events a second]`, from the checkout.

Kafka, ClickHouse, one worker with the default settings, a producer and two clients share the machine. The figures go to
`docs/freshness.md` and `docs/freshness.svg`.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from driftline_schemas.topics import PREDICTIONS
from driftline_streams import model_topic
from driftline_streams.demo.worker import Worker
from driftline_streams.embedded import services
from driftline_streams.embedded.services import Services
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.migrations import migrate
from driftline_streams.transport import topics

from ..events import records
from . import page, results
from .stream import Sent, publish, shifts, specs
from .watching import Alerts, Rows

SECONDS, RATE = 60, 20_000
WAIT_S = 60.0  # what has not arrived by then never will
QUIET_S = 8.0  # alerts come at most so long after the last event


def main(seconds: int, rate: int) -> None:
    """Run, and write the report."""
    with tempfile.TemporaryDirectory(prefix="driftline-freshness-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        with services.up(home, detach=False) as running:
            settings = Settings.load(data_dir=home)
            _prepare(settings)
            worker = Worker(settings, running)
            try:
                page.write(_measure(settings, running, worker, seconds, rate))
            finally:
                worker.stop()


def _prepare(settings: Settings) -> None:
    clickhouse = ClickHouse(settings)
    clickhouse.create_database()
    migrate(clickhouse)
    clickhouse.close()
    topics.create_all(settings)
    model_topic.publish(settings, [*records(), *specs()])


def _measure(settings: Settings, running: Services, worker: Worker, seconds: int, rate: int) -> page.Run:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    topic = PREDICTIONS.full_name(settings.topic_prefix)
    producer = spawn.Process(
        target=publish, args=(settings.kafka_bootstrap, topic, rate, float(seconds), theirs), daemon=True
    )
    producer.start()
    ours.recv()
    _until(lambda: "reading" in worker.log.read_text(), worker)
    with Rows(settings) as rows, Alerts(settings) as alerts:
        before = _cpu_s(running, worker)
        ours.send("go")
        _until(lambda: ours.poll(0.2), worker, within_s=seconds + WAIT_S)
        sent: Sent = ours.recv()
        after = _cpu_s(running, worker)
        _until(lambda: sum(last + 1 for last in rows.last.values()) >= sent.n, worker)
        time.sleep(QUIET_S)
    planned = shifts(seconds)
    found, others = results.found(sent, planned, alerts, settings)
    return page.Run(
        command=" ".join(["python -m tests.bench.freshness", *sys.argv[1:]]),
        sent=sent,
        events=results.Events.of(settings, rows),
        found=found,
        planned=len(planned),
        other_alerts=others,
        looks_s=np.array(rows.polls_s),
        cpu={name: (after[name] - before[name]) / sent.seconds for name in before}
        | {"producer": sent.cpu_s / sent.seconds},
        settings=settings,
    )


def _cpu_s(running: Services, worker: Worker) -> dict[str, float]:
    pids = {
        "worker": worker.process.pid,
        "ClickHouse": running.clickhouse.running.process.pid,
        "Kafka": running.kafka.running.process.pid,
    }
    return {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in pids.items()} | {
        "clients": time.process_time()
    }


def _until(done: Callable[[], bool], worker: Worker, within_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        worker.check()
        if time.monotonic() > deadline:
            raise SystemExit(f"not done within {within_s:.0f} s; see {worker.log}")
        time.sleep(0.05)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:])) if len(sys.argv) == 3 else main(SECONDS, RATE)
