"""Reads the changelog of a table to its end."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from confluent_kafka import Consumer, TopicPartition

from driftline_streams.transport.state import WRITTEN


class Change(NamedTuple):
    """One record: the key, the value, and the last offset of the batch that wrote it."""

    key: str
    value: Any
    written: int


def changes(bootstrap: str, topic: str, partitions: int) -> list[Change]:
    """All that is left of a changelog, each partition in order."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "look", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    found: list[Change] = []
    ends = 0
    while ends < partitions:
        for message in consumer.consume(1000, 1.0):
            if message.error():
                ends += 1
            else:
                headers: Any = message.headers()
                key, value = json.loads(message.key() or b""), json.loads(message.value() or b"")
                found.append(Change(key, value, int(dict(headers)[WRITTEN])))
    consumer.close()
    return found
