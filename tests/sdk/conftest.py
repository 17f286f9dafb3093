"""Topics of a test's own on the run's broker, and what arrived on them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from driftline import PredictionLogger
from driftline_schemas.records import Label, Prediction

PARTITIONS = 4


@dataclass(frozen=True)
class Wire:
    """A prefix with its topics `predictions` and `labels`."""

    bootstrap: str
    prefix: str

    def logger(self, **options: Any) -> PredictionLogger:
        """A logger of model "m", version "v1" on these topics."""
        given = {"bootstrap": self.bootstrap, "topic_prefix": self.prefix, **options}
        return PredictionLogger("m", "v1", **given)

    def messages(self, topic: str = "predictions") -> list[Message]:
        """Everything that is on the topic now, partition by partition, in the order of offsets."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": uuid4().hex, "enable.auto.commit": False})
        try:
            parts = [TopicPartition(f"{self.prefix}.{topic}", number, 0) for number in range(PARTITIONS)]
            expected = sum(consumer.get_watermark_offsets(part, timeout=10)[1] for part in parts)
            consumer.assign(parts)
            found: list[Message] = []
            deadline = time.monotonic() + 90
            while len(found) < expected and time.monotonic() < deadline:
                found += consumer.consume(10_000, 0.2)
            assert len(found) == expected
            return sorted(found, key=lambda message: (message.partition() or 0, message.offset() or 0))
        finally:
            consumer.close()

    def predictions(self) -> list[Prediction]:
        """Every prediction that arrived, read under the contract."""
        return [msgspec.json.decode(message.value() or b"", type=Prediction) for message in self.messages()]

    def labels(self) -> list[Label]:
        """Every label that arrived, read under the contract."""
        return [msgspec.json.decode(message.value() or b"", type=Label) for message in self.messages("labels")]


@pytest.fixture(scope="session")
def numbering(kafka: Any) -> Any:
    """The run's broker, once it gives producers their numbers: until then a producer complains on stderr."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True, "log_level": 0})
    producer.produce(kafka.topic(), b"")
    assert producer.flush(90) == 0
    return kafka


@pytest.fixture
def wire(numbering: Any) -> Wire:
    prefix = f"sdk-{uuid4().hex[:8]}"
    for topic in ("predictions", "labels"):
        numbering.topic(PARTITIONS, name=f"{prefix}.{topic}")
    return Wire(numbering.bootstrap, prefix)


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nothing listens, and nobody else will for the length of the test."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def exit_of_child() -> Callable[[Callable[[], None], float], int]:
    """Run something in a forked child; its exit status, or a failure when it does not end in time."""

    def run(body: Callable[[], None], within_s: float) -> int:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                body()
                status = 0
            finally:
                os._exit(status)
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return status
            time.sleep(0.01)
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        raise AssertionError(f"the child did not end within {within_s} s")

    return run


@pytest.fixture(scope="session")
def usual_s() -> Callable[[Callable[[], object], int], float]:
    """How long a call usually takes: the median of `n`, so that what else the machine does is no matter."""

    def measure(call: Callable[[], object], n: int) -> float:
        took_s = []
        for _ in range(n):
            begun = time.perf_counter()
            call()
            took_s.append(time.perf_counter() - begun)
        return median(took_s)

    return measure


@pytest.fixture(scope="session")
def admin_of() -> Callable[[str], AdminClient]:
    return lambda bootstrap: AdminClient({"bootstrap.servers": bootstrap})
