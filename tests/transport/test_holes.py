"""Offsets without messages: transactions, deletion before and while a worker runs, and names that outlive messages."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as MemberPartition
from confluent_kafka import Producer, TopicPartition

from driftline_streams.transport.app import build
from driftline_streams.transport.backlog import Backlog
from driftline_streams.transport.batch import Batch


async def leave_name(settings: Any, topic: str, first: int, last: int) -> None:
    """What a worker leaves behind that was killed in the midst of the batch `first` to `last`."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap, group_id=settings.group)
    consumer.assign([MemberPartition(topic, 0)])
    await consumer.start()
    await consumer.commit({MemberPartition(topic, 0): OffsetAndMetadata(first, str(last))})
    await consumer.stop()


def delete_before(lab: Any, topic: str, offset: int) -> None:
    lab.admin.delete_records([TopicPartition(topic, 0, offset)])[TopicPartition(topic, 0, offset)].result(10)


async def test_a_batch_that_was_named_is_rebuilt_as_named(lab: Any, recorder: Any) -> None:
    chosen, topic = lab.settings(batch_events=10, batch_age_s=0.1), lab.topic(1)
    await lab.send(chosen, topic, 100)
    await leave_name(chosen, topic, 30, 76)
    app = build(chosen)
    app.on_batches(topic, recorder)
    async with lab.running(app):
        await lab.until(lambda: len(recorder.offsets) == 70)
    assert recorder.names == ["0:30-76", "0:77-86", "0:87-96", "0:97-99"]


async def test_what_is_left_of_a_named_batch_keeps_its_name_and_the_rest_is_counted(lab: Any, recorder: Any) -> None:
    chosen, topic = lab.settings(batch_age_s=0.1), lab.topic(1)
    await lab.send(chosen, topic, 100)
    await leave_name(chosen, topic, 30, 49)
    delete_before(lab, topic, 40)
    app = build(chosen)
    app.on_batches(topic, recorder)
    async with lab.running(app):
        await lab.until(lambda: len(recorder.offsets) == 60)
        assert app.lost(topic) == 10
    assert recorder.names == ["0:30-49", "0:50-99"]
    assert recorder.offsets == list(range(40, 100))


async def test_a_named_batch_that_was_deleted_is_counted_and_skipped(lab: Any, recorder: Any) -> None:
    chosen, topic = lab.settings(batch_age_s=0.1), lab.topic(1)
    await lab.send(chosen, topic, 100)
    await leave_name(chosen, topic, 30, 49)
    delete_before(lab, topic, 100)
    app = build(chosen)
    app.on_batches(topic, recorder)
    async with lab.running(app):
        await lab.until(lambda: app.lost(topic) == 70)
        await lab.until(lambda: app.lag(topic) == {0: 0})
        await lab.send(chosen, topic, 10)
        await lab.until(lambda: recorder.batches)
    assert recorder.offsets == list(range(100, 110))


async def test_retention_that_overtakes_a_worker_is_counted_and_does_not_stop_it(lab: Any) -> None:
    chosen, topic = lab.settings(batch_events=1, batch_age_s=0.1), lab.topic(1)
    await lab.send(chosen, topic, 90, size=900_000)  # more than librdkafka holds
    go_on = asyncio.Event()
    offsets: list[int] = []

    async def wait(batch: Batch) -> None:
        await go_on.wait()
        offsets.extend(batch.offsets())

    app = build(chosen)
    app.on_batches(topic, wait)
    async with lab.running(app):
        await lab.until(lambda: app.lag(topic) == {0: 90})
        delete_before(lab, topic, 90)
        await lab.send(chosen, topic, 1)
        go_on.set()
        await lab.until(lambda: 90 in offsets)
        assert app.lost(topic) == 91 - len(offsets)
    assert offsets == sorted(set(offsets))
    assert app.lost(topic) > 0


async def test_transactions_leave_holes_that_are_no_loss(lab: Any, recorder: Any) -> None:
    chosen, topic = lab.settings(batch_events=15, batch_age_s=0.1), lab.topic(1)
    producer = Producer({"bootstrap.servers": chosen.kafka_bootstrap, "transactional.id": topic})
    producer.init_transactions()
    for number in range(4):
        producer.begin_transaction()
        for i in range(10):
            producer.produce(topic, str(i).encode(), partition=0)
        if number % 2:
            producer.flush()
            producer.abort_transaction()
        else:
            producer.commit_transaction()
    app = build(chosen)
    app.on_batches(topic, recorder)
    async with lab.running(app):
        await lab.until(lambda: len(recorder.offsets) == 20)
        # 4 x 10 messages and 4 markers: the last message read is far from the end, and yet nothing is left to read.
        await lab.until(lambda: app.idle_partitions(topic, 0.5) == [0])
        assert app.lag(topic) == {0: 0}
        assert app.lost(topic) == 0
        progress = (await app.progress(topic))[0]
        assert progress.end - progress.done == 12  # what was committed says less
        backlog = Backlog(app)
        await backlog.look({topic: 10.0})
        assert not backlog.exists
    assert recorder.offsets == [*range(10), *range(22, 32)]
    starts = [batch.first for batch in recorder.batches]
    assert starts == [0, *[batch.last + 1 for batch in recorder.batches[:-1]]]


async def test_a_recreated_topic_stops_the_worker_because_names_would_be_used_twice(lab: Any, recorder: Any) -> None:
    chosen, topic = lab.settings(), lab.topic(1)
    await lab.send(chosen, topic, 5)
    await leave_name(chosen, topic, 50, 60)
    app = build(chosen)
    app.on_batches(topic, recorder)
    async with lab.running(app):
        await lab.until(lambda: app.crashed)
        assert "names would be used twice" in str(app.crash_reason)
    assert not recorder.batches
