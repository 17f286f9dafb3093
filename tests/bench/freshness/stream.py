"""What is published: 20,000 events a second, some of them of models whose latency or feature changes level on the way.

Events are encoded before the clock starts; at the moment of sending, each gets an id and its timestamp, and goes out.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

import msgspec
from confluent_kafka import Producer

from driftline_schemas.spec import AlertRules, FeatureSpec, ModelSpec

from ..events import events

SHIFTED = 60  # models; each changes its level once
EVERY = 10  # every tenth event is of one of them
POOL_S = 3  # of traffic that is encoded beforehand and then repeated
TICK_S = 0.005
FEATURE = "amount"
FACTOR, STEP = 3.0, 150.0  # of latency (3 deviations of it), and on the feature (3 as well)

_PARTS = re.compile(rb'^(\{"prediction_id":")[^"]*(".*?"timestamp":")[^"]*(".*)$', re.DOTALL)
_Parts = tuple[bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Shift:
    """A change of level: which signal of which model, and when, in seconds since the first event."""

    model: str
    signal: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Sent:
    """What the producer did."""

    n: int
    size: int  # bytes
    begun_ms: float  # wall clock of the first event
    seconds: float
    cpu_s: float
    behind_s: float  # the most that sending was behind its plan


def specs() -> list[ModelSpec]:
    """Windows of a second, so that a minute has enough of them for the detectors to learn a level and to lose it."""
    return [
        ModelSpec(
            model=_name(i),
            window_s=1,
            feature_window_s=1,
            features={FEATURE: FeatureSpec(type="numeric", importance=0.5)},
            alerts=AlertRules(cooldown_s=1),
        )
        for i in range(SHIFTED)
    ]


def shifts(seconds: float) -> list[Shift]:
    """One for each model, in all phases of a window: after 24 s of learning, and 14 s before the end or earlier."""
    return [Shift(_name(i), _signal(i), round(24 + i * (seconds - 38) / SHIFTED, 3)) for i in range(SHIFTED)]


def publish(bootstrap: str, topic: str, rate: int, seconds: float, answer: Connection) -> None:
    """Publish at this rate (events/s) for so long, in a process of its own; sends a `Sent` when all is delivered."""
    current, shifted = _pool(rate)
    ahead = shifts(seconds)
    failed: list[str] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 5,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000,
            "on_delivery": lambda error, _: failed.append(error.str()) if error else None,
        }
    )
    producer.list_topics(topic, timeout=10)
    answer.send("ready")
    answer.recv()
    begun, begun_ms, cpu = time.monotonic(), time.time() * 1000, time.process_time()
    n = size = 0
    behind_s, total = 0.0, int(rate * seconds)
    while n < total:
        passed = time.monotonic() - begun
        while ahead and ahead[0].at_s <= passed:
            shift = ahead.pop(0)
            place = int(shift.model.rpartition("-")[2])
            for slot in range(place * EVERY, len(current), SHIFTED * EVERY):
                current[slot] = shifted[slot]
        due = min(total, int(passed * rate))
        behind_s = max(behind_s, (due - n) / rate - TICK_S)
        now_ms = time.time_ns() // 1_000_000
        stamp = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC).isoformat(timespec="milliseconds").encode()
        for number in range(n, due):
            head, between, tail = current[number % len(current)]
            key = b"%012x7%019x" % (now_ms, number)
            value = b"".join((head, key, between, stamp, tail))
            producer.produce(topic, value, key)
            size += len(value)
        n = due
        producer.poll(0)
        time.sleep(TICK_S)
    took = time.monotonic() - begun
    waiting = producer.flush(60)
    if waiting or failed:
        raise RuntimeError(f"{waiting + len(failed)} events were not delivered: {failed[:1]}")
    answer.send(Sent(n, size, begun_ms, took, time.process_time() - cpu, behind_s))


def _pool(rate: int) -> tuple[list[_Parts], list[_Parts]]:
    """A few seconds of events before and after the shifts, each in the parts around its id and its timestamp."""
    whole = events(rate * POOL_S, span_s=POOL_S)
    before = list(map(_parts, whole))
    after = list(before)
    for slot in range(0, len(whole), EVERY):
        event = msgspec.json.decode(whole[slot])
        event["model"], event["version"] = _name(slot // EVERY % SHIFTED), "v1"
        event["features"][FEATURE] = 100.0 + slot % 997 / 997 * 170 - 85  # a deviation of 50 about 100
        before[slot] = _parts(msgspec.json.encode(event))
        if _signal(slot // EVERY % SHIFTED) == "latency_ms":
            event["latency_ms"] *= FACTOR
        else:
            event["features"][FEATURE] += STEP
        after[slot] = _parts(msgspec.json.encode(event))
    return before, after


def _parts(event: bytes) -> _Parts:
    found = _PARTS.match(event)
    assert found is not None
    return found[1], found[2], found[3]


def _signal(i: int) -> str:
    """What changes of the i-th model: of every other one the latency, of the rest a feature."""
    return "latency_ms" if i % 2 else f"feature:{FEATURE}"


def _name(i: int) -> str:
    return f"shift-{i:02}"
