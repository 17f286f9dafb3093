"""The broker goes away in the midst of the work and comes back: everything waits, and nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from driftline_streams.embedded.kafka import start_kafka
from driftline_streams.errors import Unavailable
from driftline_streams.kernel.effects import Message
from driftline_streams.settings import Settings
from driftline_streams.transport import watermarks
from driftline_streams.transport.app import build
from driftline_streams.transport.batch import Batch
from driftline_streams.transport.feed import Ends
from driftline_streams.transport.offsets import Start
from driftline_streams.transport.producer import Producer
from driftline_streams.transport.topics import create, new_topic


async def test_a_broker_that_is_killed_and_comes_back(
    lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watermarks, "TIMEOUT_S", 0.5)
    broker = start_kafka(tmp_path / "kafka")
    chosen = Settings.model_validate(
        {
            "kafka_bootstrap": f"127.0.0.1:{broker.port}",
            "batch_events": 100,
            "batch_age_s": 0.1,
            "data_dir": tmp_path / "data",
        }
    )
    create(chosen, [new_topic(chosen, "in"), new_topic(chosen, "out", partitions=1)])
    await lab.send(chosen, "in", 2000)
    producer, app, done = Producer(chosen), build(chosen), set[str]()

    async def forward(batch: Batch) -> None:
        await producer.send([Message("out", batch.name.encode())])
        done.add(batch.name)
        await asyncio.sleep(0.02)

    app.on_batches("in", forward)
    try:
        async with lab.running(app):
            await lab.until(lambda: len(done) >= 5)
            broker.process.kill()
            blocked_at = len(done)
            with pytest.raises(Unavailable):
                await app.progress("in")
            assert not [task for task in asyncio.all_tasks() if "offsets.py" in repr(task)], "one is left at every look"
            broker = await asyncio.to_thread(start_kafka, tmp_path / "kafka")  # takes seconds, that is 50 batches
            assert len(done) <= blocked_at + 1
            assert chosen.kafka_bootstrap.endswith(f":{broker.port}")
            await lab.until(lambda: len(done) == 20)
            await lab.until(lambda: app.lag("in")[0] == 0)
            assert not app.crashed
        names = _all(chosen.kafka_bootstrap)
        assert set(names) == {f"in:0:{first}-{first + 99}" for first in range(0, 2000, 100)}
        assert len(names) <= 21, "at most the batch in flight was done again"
    finally:
        producer.close()
        broker.process.stop()


def test_a_worker_that_is_told_to_stop_during_an_outage_leaves_in_time(
    make_fleet: Any, eventually: Any, tmp_path: Path
) -> None:
    broker = start_kafka(tmp_path / "kafka")
    try:
        fleet = make_fleet(kafka_bootstrap=f"127.0.0.1:{broker.port}", batch_age_s=0.1, stop_s=1.0)
        fleet.produce(fleet.plain, range(10))
        fleet.start("one")
        eventually(lambda: fleet.recorded(fleet.plain) == 10)
        broker.process.kill()
        told_at = time.monotonic()
        assert fleet.end("one") == 0
        assert time.monotonic() - told_at < 60  # Faust and aiokafka alone wait for minutes
    finally:
        broker.process.stop()


def _all(bootstrap: str) -> list[str]:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "look", "enable.partition.eof": True}
    )
    consumer.assign([confluent_kafka.TopicPartition("out", 0, 0)])
    found: list[Any] = []
    while not (found and found[-1].error()):
        found += consumer.consume(1000, 0.5)
    consumer.close()
    return [(message.value() or b"").decode() for message in found[:-1]]


async def test_silence_counts_anew_after_an_outage(lab: Any, recorder: Any) -> None:
    app = build(lab.settings())
    app.on_batches("in", recorder)
    feed = app.feeds["in"]
    await feed.assign({0: Start(0, None, 0)}, 1)
    now = time.monotonic()
    for second in range(4):
        feed.learn_ends(Ends(now + second, {0: 0}))
    assert feed.idle(2.0, now + 3) == [0]
    feed.learn_ends(Ends(now + 13, {0: 0}))
    assert feed.idle(2.0, now + 13) == [], "what was sent during the outage is still on its way"
    for second in range(14, 16):
        feed.learn_ends(Ends(now + second, {0: 0}))
    assert feed.idle(2.0, now + 15) == [0]
    await feed.close()


async def test_a_busy_partition_is_as_old_as_the_last_end_that_has_been_passed(lab: Any, recorder: Any) -> None:
    app = build(lab.settings())
    app.on_batches("in", recorder)
    feed = app.feeds["in"]
    assert feed.read_ages(0.0) == {}
    await feed.assign({0: Start(70, None, 0), 1: Start(5, None, 0)}, 1)
    for second in range(100):
        feed.learn_ends(Ends(float(second), {0: second, 1: 1_000}))
    assert feed.read_ages(100.0) == {0: 30.0}  # at 70 s the end was at 70; the other one is too far behind to tell
    await feed.close()
