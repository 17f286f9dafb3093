"""An app on the real broker: how batches close, and what stops a worker."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from faust.types.tuples import TP

from driftline_streams.embedded.ports import free_ports
from driftline_streams.errors import Unavailable, UsageError
from driftline_streams.transport import app as transport
from driftline_streams.transport.app import build, faust_directory
from driftline_streams.transport.batch import Batch
from driftline_streams.transport.topics import changelog, create, new_topic
from driftline_streams.transport.worker import run


async def test_batches_follow_each_other_without_a_hole_in_their_names(lab: Any, recorder: Any) -> None:
    chosen = lab.settings(batch_events=1000, batch_age_s=0.2)
    topic = lab.topic(2)
    await lab.send(chosen, topic, 2500, partition=0)
    await lab.send(chosen, topic, 900, partition=1)
    app = build(chosen)
    app.on_batches(topic, recorder)
    async with lab.running(app):
        await lab.until(lambda: len(recorder.offsets) == 3400)
    assert [n for n in recorder.names if n.startswith("0:")] == ["0:0-999", "0:1000-1999", "0:2000-2499"]
    assert [n for n in recorder.names if n.startswith("1:")] == ["1:0-899"]
    batch = recorder.batches[0]
    assert [len(value or b"") for value in batch.values()] == [1] * len(batch)


async def test_a_stopped_worker_goes_on_where_it_stopped(lab: Any, recorder: Any) -> None:
    chosen = lab.settings(batch_events=100, batch_age_s=0.1)
    topic = lab.topic(1)
    for total in (250, 500):
        await lab.send(chosen, topic, 250)
        app = build(chosen)
        app.on_batches(topic, recorder)
        async with lab.running(app):
            await lab.until(lambda total=total: len(recorder.offsets) >= total)
    assert recorder.offsets == list(range(500))
    assert len(set(recorder.names)) == len(recorder.names)


async def test_a_single_message_does_not_wait_much_longer_than_the_age(lab: Any, recorder: Any) -> None:
    chosen = lab.settings(batch_age_s=0.3)
    topic = lab.topic(1)
    app = build(chosen)
    app.on_batches(topic, recorder)
    waits_s = []
    async with lab.running(app):
        await lab.until(lambda: app.feeds[topic].partitions)
        for number in range(1, 6):
            await lab.send(chosen, topic, 1)
            sent_at = time.monotonic()
            await lab.until(lambda number=number: len(recorder.batches) == number)
            waits_s.append(time.monotonic() - sent_at)
    assert min(waits_s) < 1.0  # whatever else the machine does only adds to a wait


async def test_large_messages_close_a_batch_by_their_bytes(lab: Any, recorder: Any) -> None:
    chosen = lab.settings(batch_age_s=0.5)
    topic = lab.topic(1)
    await lab.send(chosen, topic, 60, size=900_000)
    app = build(chosen)
    app.on_batches(topic, recorder)
    async with lab.running(app):
        await lab.until(lambda: len(recorder.offsets) == 60)
    assert all(len(batch) <= 37 for batch in recorder.batches)  # 32 MiB of 900 kB each


async def test_a_table_survives_the_worker(lab: Any) -> None:
    chosen = lab.settings(partitions=2, batch_age_s=0.1)
    topic = lab.topic(2)
    create(chosen, [new_topic(chosen, changelog(chosen, "kept"), compacted=True)])
    found: list[bytes | None] = []
    for _ in range(2):
        app = build(chosen)
        kept = app.table("kept")

        async def remember(batch: Batch, kept: Any = kept) -> None:
            found.append(kept.get("key"))
            kept["key"] = str(batch.last).encode()

        app.on_batches(topic, remember)
        async with lab.running(app):
            await lab.send(chosen, topic, 10, partition=1)
            before = len(found)
            await lab.until(lambda before=before: len(found) > before)
            await lab.until(lambda app=app: app.lag(topic)[1] == 0)
    assert found == [None, b"9"]


async def test_a_rebalance_in_the_midst_of_a_recovery_does_not_stop_the_worker(lab: Any, recorder: Any) -> None:
    chosen = lab.settings(partitions=2)
    topic, kept = lab.topic(2), new_topic(chosen, changelog(chosen, "kept"), compacted=True)
    create(chosen, [kept])
    app = build(chosen)
    app.table("kept")
    app.on_batches(topic, recorder)
    async with lab.running(app):
        await lab.until(lambda: app.feeds[topic].partitions)
        partition = TP(kept.topic, 0)
        # So an assignment leaves it when it comes between asking for offsets and seeking: they are not known yet.
        tables: Any = app.tables
        await tables.recovery._seek_offsets(app.consumer, {partition}, Counter({partition: None}), "active")


async def test_a_change_of_a_table_that_the_broker_refuses_stops_the_worker(lab: Any) -> None:
    chosen, topic = lab.settings(partitions=1, batch_age_s=0.1), lab.topic(1)
    lab.topic(1, name=changelog(chosen, "kept"), **{"max.message.bytes": "1000"})
    await lab.send(chosen, topic, 10)
    app = build(chosen)
    kept = app.table("kept")

    async def write(batch: Batch) -> None:
        kept["key"] = os.urandom(5000)

    app.on_batches(topic, write)
    async with lab.running(app):
        await lab.until(lambda: app.crashed)
    assert "MessageSizeTooLarge" in repr(app.crash_reason)


async def test_partitions_are_idle_only_when_everything_is_read_and_finished(lab: Any) -> None:
    chosen = lab.settings(batch_age_s=0.1)
    topic = lab.topic(3)
    go_on = asyncio.Event()

    async def wait(batch: Batch) -> None:
        await go_on.wait()

    app = build(chosen)
    app.on_batches(topic, wait)
    async with lab.running(app):
        await lab.send(chosen, topic, 10, partition=1)
        await lab.until(lambda: app.idle_partitions(topic, 1.5) == [0, 2])
        assert app.lag(topic) == {0: 0, 1: 10, 2: 0}
        assert app.read_ages(topic).get(1, 2.0) > 1.5  # before the messages that are not finished
        assert app.read_ages(topic)[0] < 1.5
        go_on.set()
        await lab.until(lambda: app.idle_partitions(topic, 1.5) == [0, 1, 2])
        assert max(app.read_ages(topic).values()) < 1.5
        assert app.lag(topic) == {0: 0, 1: 0, 2: 0}
        assert app.idle_partitions(topic, 600) == []


async def test_a_rebalance_abandons_a_slow_batch_and_its_new_owner_gets_it_under_its_name(
    lab: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(transport, "PATIENCE_S", 0.3)
    chosen = lab.settings(batch_age_s=0.1)
    topic = lab.topic(2)
    for partition in (0, 1):
        await lab.send(chosen, topic, 10, partition=partition)
    given: dict[str, list[str]] = {"first": [], "second": []}
    cancelled: list[str] = []

    def app_of(worker: str) -> Any:
        async def stuck(batch: Batch) -> None:
            given[worker].append(batch.name)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(batch.name)
                raise

        app = build(chosen.model_copy(update={"worker_id": worker}))
        app.on_batches(topic, stuck)
        return app

    first = app_of("first")
    async with lab.running(first):
        await lab.until(lambda: given["first"])
        async with lab.running(app_of("second")):
            await lab.until(lambda: given["second"] and len(given["first"]) == 2)
            assert cancelled == [given["first"][0]]
            assert set(given["first"] + given["second"]) == {f"{topic}:0:0-9", f"{topic}:1:0-9"}
            assert not first.crashed


async def test_a_topic_takes_one_handler(lab: Any, recorder: Any) -> None:
    app = build(lab.settings())
    app.on_batches("topic", recorder)
    with pytest.raises(UsageError, match="has a handler"):
        app.on_batches("topic", recorder)


def test_a_failing_batch_stops_the_worker_and_comes_back_under_its_name(
    make_fleet: Callable[..., Any], eventually: Any
) -> None:
    fleet = make_fleet(batch_events=10, batch_age_s=0.1)
    fleet.produce(fleet.plain, range(400))
    fleet.start("one")
    eventually(lambda: fleet.recorded(fleet.plain) == 400)
    fleet.produce(fleet.plain, range(-1, 0))
    for _ in range(2):
        if not fleet.running:
            fleet.start("one")
        assert fleet.running.pop("one").wait(30) == 1
    poisoned = [name for name, ids in fleet.batches() if -1 in ids]
    assert len(poisoned) == 2
    assert len(set(poisoned)) == 1
    assert f"batch={poisoned[0]}" in fleet.said()
    (fleet.directory / "fixed").touch()
    fleet.produce(fleet.plain, range(400, 800))
    fleet.start("one")
    eventually(lambda: fleet.recorded(fleet.plain) == 801)
    assert fleet.end("one") == 0
    ids = [i for ids in dict(fleet.batches()).values() for i in ids]
    assert sorted(ids) == list(range(-1, 800)), "after the bug is fixed, work goes on where it stopped"


def test_a_second_worker_with_the_same_id_is_refused(lab: Any) -> None:
    chosen = lab.settings()
    with faust_directory(chosen).joinpath("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="DRIFTLINE_WORKER_ID"):
            run(build(chosen))


def test_a_broker_that_goes_away_while_a_worker_starts_is_one_sentence(lab: Any) -> None:
    chosen = lab.settings(kafka_bootstrap=f"127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(Unavailable, match="does not answer; is it up"):
        run(build(chosen))
