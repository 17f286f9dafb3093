"""The whole pipeline as users run it: a worker process between a real Kafka and a real ClickHouse."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from driftline_schemas import topics
from driftline_schemas.topics import Topic
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.migrations import migrate
from driftline_streams.transport.topics import create_all


class Pipeline:
    """Topics, tables and one worker that can be killed and started again."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings = settings
        self.clickhouse = ClickHouse(settings)
        self.log = log
        create_all(settings)
        migrate(self.clickhouse)
        self._producer = Producer({"bootstrap.servers": settings.kafka_bootstrap, "partitioner": "murmur2_random"})
        self.worker: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the worker."""
        with self.log.open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "driftline_streams.cli", "worker"],
                env={**os.environ, **self.settings.environment()},
                stdout=log,
                stderr=log,
            )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        assert self.worker is not None
        self.worker.send_signal(number)
        return self.worker.wait(90)

    def publish(self, topic: Topic, *values: bytes | None, key: bytes = b"k", partition: int = -1) -> None:
        """Send messages and wait until the broker has them."""
        for value in values:
            self._producer.produce(topic.full_name(self.settings.topic_prefix), value, key, partition=partition)
            self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def read(self, topic: Topic) -> list[bytes]:
        """Everything on a topic."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.kafka_bootstrap,
                "group.id": f"{self.settings.group}-test",
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
            }
        )
        consumer.subscribe([topic.full_name(self.settings.topic_prefix)])
        found: list[bytes] = []
        ends = 0
        while ends < self.settings.partitions:
            for message in consumer.consume(1000, 1.0):
                if message.error() is not None:
                    ends += 1
                elif (value := message.value()) is not None:
                    found.append(value)
        consumer.close()
        return found

    def one(self, sql: str) -> Any:
        """The single value of a query."""
        [row] = self.clickhouse.query_rows(sql)
        [value] = row.values()
        return value


@pytest.fixture
def make_pipeline(tmp_path: Path) -> Iterator[Callable[[Settings], Pipeline]]:
    """Make a pipeline on services of one's own; its worker is not started. What a test leaves running is killed."""
    made: list[Pipeline] = []

    def make(settings: Settings) -> Pipeline:
        made.append(Pipeline(settings, tmp_path / "own-worker.log"))
        return made[-1]

    yield make
    for pipeline in made:
        if pipeline.worker is not None and pipeline.worker.poll() is None:
            pipeline.stop(signal.SIGKILL)


@pytest.fixture
def pipeline(settings: Callable[..., Settings], tmp_path: Path) -> Iterator[Pipeline]:
    """A running pipeline with small batches and short waits."""
    made = Pipeline(settings(batch_age_s=0.2, idle_s=1.0, lateness_s=0.0, partitions=2), tmp_path / "worker.log")
    made.start()
    yield made
    if made.worker is not None and made.worker.poll() is None:
        made.stop()
    if made.worker is not None and made.worker.returncode not in {0, -signal.SIGKILL}:
        pytest.fail(f"the worker failed: {made.log.read_text()[-4000:]}")


__all__ = ["Pipeline", "topics"]
