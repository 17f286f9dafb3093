"""Sending: all or an error, in order, to the partition that Java's clients would choose."""

from __future__ import annotations

import os
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Consumer, TopicPartition

from driftline_streams.errors import Unavailable
from driftline_streams.kernel.effects import Message
from driftline_streams.transport.producer import MessageTooLarge, Producer


def read(bootstrap: str, topic: str, partition: int) -> list[Any]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "look", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, partition, 0)])
    found: list[Any] = []
    while not (found and found[-1].error()):
        found += consumer.consume(100_000, 0.1)
    consumer.close()
    return found[:-1]


async def test_messages_arrive_in_order_with_keys_and_headers(lab: Any) -> None:
    chosen, topic = lab.settings(), lab.topic(2)
    sent = [Message(topic, str(i).encode(), b"k", 1, (("batch", b"name"),)) for i in range(5000)]
    producer = Producer(chosen)
    await producer.send(sent)
    await producer.send([])
    producer.close()
    found = read(chosen.kafka_bootstrap, topic, 1)
    assert [m.value() for m in found] == [m.value for m in sent]
    assert {m.key() for m in found} == {b"k"}
    assert found[0].headers() == [("batch", b"name")]


async def test_a_key_decides_the_partition_as_in_java(lab: Any) -> None:
    chosen, topic = lab.settings(), lab.topic(7)
    keys = [f"key-{i}".encode() for i in range(200)]
    producer = Producer(chosen)
    await producer.send([Message(topic, b"", key) for key in keys])
    producer.close()
    java = DefaultPartitioner()
    for partition in range(7):
        expected = [key for key in keys if java(key, list(range(7)), list(range(7))) == partition]
        assert [m.key() for m in read(chosen.kafka_bootstrap, topic, partition)] == expected


async def test_a_message_that_the_topic_does_not_take_is_named(lab: Any) -> None:
    chosen, topic = lab.settings(), lab.topic(1, **{"max.message.bytes": "1000"})
    producer = Producer(chosen)
    with pytest.raises(MessageTooLarge, match=f"{topic} does not take 2,000 bytes"):
        await producer.send([Message(topic, os.urandom(2000))])
    with pytest.raises(MessageTooLarge, match="9,000,000 bytes"):
        await producer.send([Message(topic, b"x" * 9_000_000)])
    await producer.send([Message(topic, b"small")])
    producer.close()


async def test_an_unknown_partition_is_refused(lab: Any) -> None:
    chosen, topic = lab.settings(), lab.topic(1)
    producer = Producer(chosen)
    with pytest.raises(Unavailable, match=topic):
        await producer.send([Message(topic, b"x", partition=5)])
    producer.close()
