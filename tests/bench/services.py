"""What a benchmark runs on: the embedded Kafka and ClickHouse, topics full of events, workers as operators run them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from driftline_schemas.spec import ModelSpec, Reference
from driftline_schemas.topics import DETECTIONS, PARTIALS, PREDICTIONS, Topic
from driftline_streams import model_topic
from driftline_streams.embedded import services
from driftline_streams.embedded.services import Services
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.migrations import migrate
from driftline_streams.transport.topics import create_all

PARTITIONS = 4
START_S = 60.0
STOP_S = 30.0
LOOK_EVERY_S = 0.05

_NUMBERS = count(1)


@contextmanager
def started() -> Iterator[Services]:
    """Both services with empty data, for the time of the block; with them go their data."""
    with (
        tempfile.TemporaryDirectory(prefix="driftline-bench-", ignore_cleanup_errors=True) as directory,
        services.up(Path(directory), detach=False) as running,
    ):
        yield running


def fill(bootstrap: str, topic: str, messages: Iterable[tuple[bytes, bytes]], partitions: int = PARTITIONS) -> int:
    """Create a topic and send it keys and values as the SDK would (by the key's partition, lz4); their number."""
    create(bootstrap, topic, partitions)
    return send(bootstrap, topic, messages)


def create(bootstrap: str, topic: str, partitions: int) -> None:
    """Create a topic."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)


def send(bootstrap: str, topic: str, messages: Iterable[tuple[bytes | int, bytes]]) -> int:
    """Send keys (or partitions) and values as the SDK would and wait until the broker has them; their number."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 20,
            "queue.buffering.max.messages": 200_000,
        }
    )
    sent = 0
    for key, value in messages:
        where: dict[str, Any] = {"partition": key} if isinstance(key, int) else {"key": key}
        while True:
            try:
                producer.produce(topic, value, **where)
                break
            except BufferError:
                producer.poll(0.05)
        sent += 1
        if sent % 5_000 == 0:
            producer.poll(0)
    if left := producer.flush(120):
        raise TimeoutError(f"{left} of {sent} messages did not reach {topic}")
    return sent


class Deployment:
    """Topics, tables, models and workers of their own on these services; what is given replaces settings."""

    def __init__(self, running: Services, models: Iterable[ModelSpec | Reference], **given: Any) -> None:
        name = f"bench{next(_NUMBERS)}"
        address: dict[str, Any] = {
            "kafka_bootstrap": running.kafka_bootstrap,
            "clickhouse_host": running.clickhouse_host,
            "clickhouse_port": running.clickhouse_port,
            "clickhouse_database": name,
            "topic_prefix": name,
            "group": name,
            "worker_id": name,
            "partitions": PARTITIONS,
            "data_dir": running.data_dir / name,
        }
        self.settings = Settings(**{**address, **given})
        create_all(self.settings)
        with closing(ClickHouse(self.settings)) as database:
            database.create_database()
            migrate(database)
        model_topic.publish(self.settings, list(models))
        self._workers: list[Worker] = []

    def topic(self, topic: Topic) -> str:
        """Its full name."""
        return topic.full_name(self.settings.topic_prefix)

    @contextmanager
    def worker(self, worker_id: str | None = None) -> Iterator[Worker]:
        """`driftline worker`, ready to read, for the time of the block."""
        given = {} if worker_id is None else {"DRIFTLINE_WORKER_ID": worker_id}
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        log = self.settings.data_dir / f"{worker_id or 'worker'}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "driftline_streams.cli", "worker"],
                env={**os.environ, **self.settings.environment(), **given},
                stdout=out,
                stderr=out,
            )
        worker = Worker(process, log)
        self._workers.append(worker)
        try:
            worker.wait_until_ready()
            yield worker
        finally:
            self._workers.remove(worker)
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def wait_until_done(self, *topics: Topic, within_s: float = 600.0) -> None:
        """Return when the group has finished everything that is on these topics now.

        Raises
        ------
        RuntimeError
            If a worker of this deployment has ended.
        TimeoutError
            If it takes longer than `within_s`.
        """
        asyncio.run(self._wait_until_done([self.topic(topic) for topic in topics], within_s))

    async def _wait_until_done(self, topics: Sequence[str], within_s: float) -> None:
        # aiokafka, as in `ledger_positions`: confluent-kafka fails on commit metadata. It never joins the group.
        settings = self.settings
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap, group_id=settings.group, enable_auto_commit=False
        )
        async with asyncio.timeout(within_s), consumer:
            partitions = [TopicPartition(topic, p) for topic in topics for p in range(settings.partitions)]
            for partition, end in (await consumer.end_offsets(partitions)).items():
                while (await consumer.committed(partition) or 0) < end:
                    for worker in self._workers:
                        worker.check()
                    await asyncio.sleep(LOOK_EVERY_S)

    def wait_until_stored(self) -> None:
        """Return when all predictions are stored or rejected."""
        self.wait_until_done(PREDICTIONS)

    def wait_until_watched(self) -> None:
        """Return when the detectors have followed, too."""
        self.wait_until_done(PARTIALS)
        self.wait_until_done(DETECTIONS)

    def wait_until_merged(self, within_s: float = 60.0) -> None:
        """Return when ClickHouse has had nothing to merge for half a second, or after `within_s` seconds."""
        deadline, quiet = time.monotonic() + within_s, 0
        with closing(ClickHouse(self.settings)) as database:
            while quiet < 5 and time.monotonic() < deadline:
                [merges] = database.query_rows("SELECT count() AS n FROM system.merges")
                quiet = 0 if merges["n"] else quiet + 1
                time.sleep(0.1)

    def driftline(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the CLI on this deployment."""
        return subprocess.run(
            [sys.executable, "-m", "driftline_streams.cli", *arguments],
            env={**os.environ, **self.settings.environment()},
            capture_output=True,
            text=True,
            check=False,
        )

    def drop(self) -> None:
        """Delete topics and tables, so that the next deployment finds the disk as this one did."""
        admin = AdminClient({"bootstrap.servers": self.settings.kafka_bootstrap})
        prefixes = (f"{self.settings.topic_prefix}.", f"{self.settings.group}-")
        names = [name for name in admin.list_topics(timeout=30).topics if name.startswith(prefixes)]
        for deleted in admin.delete_topics(names).values():
            deleted.result(30)
        with closing(ClickHouse(self.settings.model_copy(update={"clickhouse_database": "default"}))) as database:
            database.command(f"DROP DATABASE `{self.settings.clickhouse_database}` SYNC")


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process and the file that it logs to."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_until_ready(self) -> None:
        """Return when it has its partitions and begins to read; raises `RuntimeError` when it ends before."""
        deadline = time.monotonic() + START_S
        while " reading " not in self.log.read_text():
            self.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"the worker does not read:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.002)

    def check(self) -> None:
        """Raise `RuntimeError` when it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"the worker ended:\n{self.log.read_text()[-2000:]}")
