"""Where the broker says that partitions begin, are read, and end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from driftline_streams.errors import Unavailable
from driftline_streams.ledger_positions import positions, take_account
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.ledger import Position
from driftline_streams.sinks.migrations import migrate


def produce(settings: Settings, topic: str, partition: int, n: int) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap})
    for _ in range(n):
        producer.produce(topic, b"{}", partition=partition)
    assert producer.flush(10) == 0


async def commit(settings: Settings, topic: str, partition: int, offset: int, name: str) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, group_id=settings.group, enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([TopicPartition(topic, partition)])
    await consumer.commit({TopicPartition(topic, partition): OffsetAndMetadata(offset, name)})
    await consumer.stop()


async def test_positions_are_read_whatever_the_commits_are_named(settings: Any, kafka: Any) -> None:
    given = settings()
    predictions = kafka.topic(3, name=f"{given.topic_prefix}.predictions")
    labels = kafka.topic(1, name=f"{given.topic_prefix}.labels")
    produce(given, predictions, 0, 30)
    produce(given, predictions, 1, 5)
    for name in ("", "19", "123456"):
        await commit(given, predictions, 0, 20, name)
        assert await asyncio.to_thread(positions, given) == {
            (predictions, 0): Position(0, 20, 30),
            (predictions, 1): Position(0, 0, 5),
            (predictions, 2): Position(0, 0, 0),
            (labels, 0): Position(0, 0, 0),
        }


async def test_what_retention_deleted_is_neither_read_nor_unread(settings: Any, kafka: Any, eventually: Any) -> None:
    given = settings()
    topic = kafka.topic(1, name=f"{given.topic_prefix}.predictions")
    produce(given, topic, 0, 10)
    from confluent_kafka import TopicPartition as Place

    admin: AdminClient = kafka.admin
    admin.delete_records([Place(topic, 0, 4)])
    eventually(lambda: admin.delete_records([Place(topic, 0, 4)])[Place(topic, 0, 4)].result(10).low_watermark == 4)
    assert await asyncio.to_thread(positions, given) == {(topic, 0): Position(4, 4, 10)}


def test_topics_that_do_not_exist_have_no_positions(settings: Any) -> None:
    assert positions(settings()) == {}


def test_the_account_of_an_untouched_pipeline_holds(settings: Any, kafka: Any) -> None:
    given = settings()
    produce(given, kafka.topic(1, name=f"{given.topic_prefix}.predictions"), 0, 10)
    store = ClickHouse(given)
    migrate(store)
    found = take_account(given, store)
    store.close()
    assert found.holds
    assert [line.unread for line in found.lines] == [10]


def test_a_broker_that_is_away_is_one_sentence(settings: Any) -> None:
    with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:1 does not say its offsets"):
        positions(settings(kafka_bootstrap="127.0.0.1:1"))


async def test_offsets_that_never_held_a_message_are_gaps_and_others_are_missing(settings: Any, kafka: Any) -> None:
    given = settings()
    topic = kafka.topic(1, name=f"{given.topic_prefix}.predictions")
    producer = Producer({"bootstrap.servers": given.kafka_bootstrap, "transactional.id": topic})
    producer.init_transactions()
    for number in range(3):
        producer.begin_transaction()
        for _ in range(10):
            producer.produce(topic, b"{}", partition=0)
        producer.flush()
        producer.abort_transaction() if number == 1 else producer.commit_transaction()
    await commit(given, topic, 0, 33, "")
    store = ClickHouse(given)
    migrate(store)
    store.command(
        "INSERT INTO rejected (topic, partition, offset, reason) "
        f"SELECT '{topic}', 0, number, 'empty' FROM numbers(33) WHERE number NOT BETWEEN 10 AND 21 AND number < 31"
    )
    found = await asyncio.to_thread(take_account, given, store)
    store.close()
    assert found.lines[0].gaps == 13  # three markers, ten that were aborted
    assert "1 of 33 events are missing, the first at offset 31" in found.discrepancy
