"""Apps and workers that run for one test."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from driftline_streams.kernel.effects import Message
from driftline_streams.settings import Settings
from driftline_streams.transport.app import BatchApp
from driftline_streams.transport.batch import Batch
from driftline_streams.transport.producer import Producer
from driftline_streams.transport.topics import changelog, create, new_topic


class Recorder:
    """A handler that keeps what it was given."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    async def __call__(self, batch: Batch) -> None:
        self.batches.append(batch)

    @property
    def names(self) -> list[str]:
        return [batch.name.split(":", 1)[1] for batch in self.batches]

    @property
    def offsets(self) -> list[int]:
        return [offset for batch in self.batches for offset in batch.offsets()]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


class Lab:
    """What most tests need: a topic, messages in it, an app that runs inside the test, and patience."""

    def __init__(self, settings: Any, kafka: Any) -> None:
        self.settings = settings
        self.topic: Callable[..., str] = kafka.topic
        self.admin = kafka.admin

    async def send(self, settings: Settings, topic: str, n: int, *, partition: int = 0, size: int = 1) -> None:
        """Send `n` messages of `size` bytes that do not compress."""
        producer = Producer(settings)
        await producer.send([Message(topic, os.urandom(size), partition=partition)] * n)
        producer.close()

    @asynccontextmanager
    async def running(self, app: BatchApp) -> AsyncIterator[BatchApp]:
        """Run the app for as long as the block lasts."""
        await app.start()
        try:
            yield app
        finally:
            await app.stop()

    async def until(self, condition: Callable[[], Any], *, within_s: float = 90) -> None:
        """Wait, without blocking the loop, until `condition` gives something true."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {within_s} s"
            await asyncio.sleep(0.01)


@pytest.fixture
def lab(settings: Any, kafka: Any) -> Lab:
    return Lab(settings, kafka)


PARTITIONS = 4
WORKER = Path(__file__).with_name("recording_worker.py")


class Fleet:
    """Worker processes that record what they are given."""

    def __init__(self, settings: Settings, directory: Path, *, pause_s: float = 0.0, stop_s: float = 10.0) -> None:
        self.settings = settings
        self.out = directory / "out"
        self.out.mkdir()
        self.directory = directory
        self.logs: defaultdict[str, list[Path]] = defaultdict(list)  # one a start
        self.plain, self.summed = f"{settings.topic_prefix}.plain", f"{settings.topic_prefix}.summed"
        create(settings, [new_topic(settings, self.plain), new_topic(settings, self.summed)])
        create(settings, [new_topic(settings, changelog(settings, "sums"), compacted=True)])
        self.pause_s, self.stop_s = pause_s, stop_s
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, worker: str) -> None:
        given = self.settings.model_dump(mode="json", exclude={"notify", "kafka_password", "clickhouse_password"})
        config = {
            "settings": {**given, "worker_id": worker},
            "out": str(self.out),
            "plain": self.plain,
            "summed": self.summed,
            "pause_s": self.pause_s,
            "stop_s": self.stop_s,
        }
        self.logs[worker].append(self.directory / f"{worker}-{len(self.logs[worker])}.log")
        with self.logs[worker][-1].open("wb") as log:
            command = [sys.executable, str(WORKER), json.dumps(config)]
            self.running[worker] = subprocess.Popen(command, stdout=log, stderr=log)

    def end(self, worker: str, how: signal.Signals = signal.SIGTERM) -> int:
        process = self.running.pop(worker)
        process.send_signal(how)
        return process.wait(90)

    def ready(self, worker: str) -> bool:
        """Whether the worker that runs now knows which partitions are its own."""
        return "reading " in self.logs[worker][-1].read_text()

    def said(self) -> str:
        """What all workers logged, one after the other."""
        return "".join(log.read_text() for logs in self.logs.values() for log in logs)

    def produce(self, topic: str, ids: range) -> None:
        producer = confluent_kafka.Producer({"bootstrap.servers": self.settings.kafka_bootstrap, "linger.ms": 20})
        for i in ids:
            producer.produce(topic, str(i).encode(), partition=i % PARTITIONS)
            if i % 10_000 == 0:
                producer.poll(0)
        assert producer.flush(30) == 0

    def batches(self) -> list[tuple[str, list[int]]]:
        """What all processes recorded; the line that a kill cut short never took effect."""
        for worker, process in self.running.items():
            if process.poll() is not None:
                pytest.fail(
                    f"worker {worker} stopped with {process.returncode}:\n{self.logs[worker][-1].read_text()[-4000:]}"
                )
        out = []
        for path in self.out.iterdir():
            for line in path.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    name, ids = json.loads(line)
                    out.append((name, ids))
        return out

    def recorded(self, topic: str) -> int:
        return sum(len(ids) for name, ids in dict(self.batches()).items() if name.startswith(topic + ":"))


@pytest.fixture
def make_fleet(settings: Any, tmp_path: Path) -> Any:
    fleets: list[Fleet] = []

    def make(*, pause_s: float = 0.0, stop_s: float = 10.0, **given: Any) -> Fleet:
        fleets.append(Fleet(settings(partitions=PARTITIONS, **given), tmp_path, pause_s=pause_s, stop_s=stop_s))
        return fleets[-1]

    yield make
    for fleet in fleets:
        for worker in list(fleet.running):
            fleet.end(worker, signal.SIGKILL)
