"""Workers are killed, join and leave, and every message has its effect exactly once, under one name."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from driftline_streams.transport.topics import changelog, create, new_topic

PARTITIONS = 4
WORKER = Path(__file__).with_name("recording_worker.py")


class Fleet:
    """Worker processes that record what they are given."""

    def __init__(self, settings: Any, kafka: Any, directory: Path, *, pause_s: float) -> None:
        self.settings = settings
        self.out = directory / "out"
        self.out.mkdir()
        self.logs = directory / "logs"
        self.plain, self.summed = kafka.topic(PARTITIONS), kafka.topic(PARTITIONS)
        create(settings, [new_topic(settings, changelog(settings, "sums"), compacted=True)])
        self.pause_s = pause_s
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, worker: str) -> None:
        given = self.settings.model_dump(mode="json", exclude={"notify", "kafka_password", "clickhouse_password"})
        config = {
            "settings": {**given, "worker_id": worker},
            "out": str(self.out),
            "plain": self.plain,
            "summed": self.summed,
            "pause_s": self.pause_s,
        }
        with self.logs.open("ab") as log:
            self.running[worker] = subprocess.Popen([sys.executable, WORKER, json.dumps(config)], stdout=log, stderr=log)

    def end(self, worker: str, how: signal.Signals = signal.SIGTERM) -> int:
        process = self.running.pop(worker)
        process.send_signal(how)
        return process.wait(30)

    def produce(self, topic: str, ids: range) -> None:
        producer = Producer({"bootstrap.servers": self.settings.kafka_bootstrap, "linger.ms": 20})
        for i in ids:
            producer.produce(topic, str(i).encode(), partition=i % PARTITIONS)
            if i % 10_000 == 0:
                producer.poll(0)
        assert producer.flush(30) == 0

    def batches(self) -> list[tuple[str, list[int]]]:
        """What all processes recorded; the line that a kill cut short never took effect."""
        for worker, process in self.running.items():
            if process.poll() is not None:
                pytest.fail(f"worker {worker} stopped with {process.returncode}:\n{self.logs.read_text()[-4000:]}")
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
def make_fleet(settings: Any, kafka: Any, tmp_path: Path) -> Any:
    fleets: list[Fleet] = []

    def make(*, pause_s: float = 0.0, **given: Any) -> Fleet:
        fleets.append(Fleet(settings(partitions=PARTITIONS, **given), kafka, tmp_path, pause_s=pause_s))
        return fleets[-1]

    yield make
    for fleet in fleets:
        for worker in list(fleet.running):
            fleet.end(worker, signal.SIGKILL)


def last_values(bootstrap: str, topic: str) -> dict[str, Any]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "look", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
    found: dict[str, Any] = {}
    ends = 0
    while ends < PARTITIONS:
        for message in consumer.consume(1000, 1.0):
            if message.error():
                ends += 1
            else:
                found[json.loads(message.key())] = json.loads(message.value())
    consumer.close()
    return found


@pytest.mark.timeout(120)
def test_killed_joining_and_leaving_workers_give_every_message_its_effect_once(make_fleet: Any, eventually: Any) -> None:
    n = 60_000
    fleet = make_fleet(pause_s=0.06, batch_events=400, batch_age_s=0.2)
    for topic in (fleet.plain, fleet.summed):
        fleet.produce(topic, range(n // 2))
    chance = random.Random(7)
    fleet.start("one")
    fleet.start("two")
    for round_number in range(8):
        goal = len(fleet.batches()) + chance.randint(8, 25)
        eventually(lambda goal=goal: len(fleet.batches()) >= goal, within_s=30, every_s=0.02)
        victim = chance.choice(sorted(fleet.running))
        fleet.end(victim, signal.SIGKILL)
        fleet.start(victim)
        if round_number == 2:
            fleet.start("three")
        if round_number == 4:
            for topic in (fleet.plain, fleet.summed):
                fleet.produce(topic, range(n // 2, n))
        if round_number == 5:
            assert fleet.end("three") == 0
    for topic in (fleet.plain, fleet.summed):
        eventually(lambda topic=topic: fleet.recorded(topic) >= n, within_s=60, every_s=0.2)
    assert [fleet.end(worker) for worker in sorted(fleet.running)] == [0, 0]

    by_name: dict[str, list[int]] = {}
    batches = fleet.batches()
    for name, ids in batches:
        assert by_name.setdefault(name, ids) == ids, f"{name} came back with other messages"
    print(f"{len(batches)} batches, {len(batches) - len(by_name)} repeated; log: {fleet.logs}")
    for topic in (fleet.plain, fleet.summed):
        seen = Counter(i for name, ids in by_name.items() if name.startswith(topic + ":") for i in ids)
        assert len(seen) == n
        assert set(seen.values()) == {1}
    sums = last_values(fleet.settings.kafka_bootstrap, changelog(fleet.settings, "sums"))
    assert {key: value[0] for key, value in sums.items()} == {
        str(p): sum(range(p, n, PARTITIONS)) for p in range(PARTITIONS)
    }
    assert os.path.getsize(fleet.logs)
