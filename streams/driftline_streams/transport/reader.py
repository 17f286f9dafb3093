"""librdkafka reads the batch topics: 900k events per CPU second where aiokafka reaches 540k.

In the walk: the first step. One reader a topic, so that a backlog of one cannot delay another. It never joins the
group: it reads what it is told to from where it is told to, and aiokafka keeps membership and commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from driftline_streams.errors import Unavailable
from driftline_streams.settings import Settings
from driftline_streams.transport.batch import Messages, weights
from driftline_streams.transport.connection import librdkafka

log = structlog.get_logger(__name__)

# librdkafka's own buffer, for all partitions of a topic together; the cursors' buffers come on top.
QUEUED_KB = 8_192

_REFUSED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError._AUTHENTICATION,
)


@dataclass(slots=True)
class Chunk:
    """What one read brought, by partition; empty when there was nothing in time."""

    messages: dict[int, Messages] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)  # the position at which the end of the partition was seen
    out_of_range: set[int] = field(default_factory=set)  # the position does not exist (any more)


class Reader:
    """Reads one topic. Every method blocks: call them from one thread, in order."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._topic = topic
        self._consumer = Consumer(
            {
                **librdkafka(settings),
                "group.id": settings.group,  # required, and the group that access rules know; nothing is committed here
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                # Offsets that are gone are an error that the feed counts, not a silent jump.
                "auto.offset.reset": "error",
                # Says how far was read when a partition ends in transaction markers, which are never handed out.
                "enable.partition.eof": True,
                # Compressed, for one partition: small enough that a backlog that shrinks fifty-fold does not fill the
                # memory (1 MB did: 360 MB), and that partitions stay in step.
                "fetch.message.max.bytes": 262_144,
                # Without these two, wall time is far above CPU time.
                "fetch.queue.backoff.ms": 5,
                "queued.min.messages": 20_000,
                "queued.max.messages.kbytes": QUEUED_KB,
                "error_cb": self._on_error,
            }
        )

    def assign(self, positions: Mapping[int, int]) -> None:
        """Read these partitions from these offsets; what was read ahead of an earlier assignment is dropped."""
        self._consumer.assign([TopicPartition(self._topic, p, offset) for p, offset in positions.items()])

    def seek(self, partition: int, offset: int) -> None:
        """Go on reading one partition from another offset."""
        self._consumer.incremental_unassign([TopicPartition(self._topic, partition)])
        self._consumer.incremental_assign([TopicPartition(self._topic, partition, offset)])

    def read(self, n: int, timeout_s: float) -> Chunk:
        """Up to `n` messages; fewer when no more came within `timeout_s`.

        Raises
        ------
        Unavailable
            If the broker refuses this client; other errors pass by themselves and are logged.
        """
        chunk = Chunk()
        fetched: list[Any] = self._consumer.consume(n, timeout_s)  # the stub allows a message without a partition
        if any(map(Message.error, fetched)):
            for message in fetched:
                if (error := message.error()) is not None:
                    self._note(chunk, message, error)
            fetched = [message for message in fetched if message.error() is None]
        # The unbound methods run without a Python frame a message.
        partitions = np.fromiter(map(Message.partition, fetched), np.int32, len(fetched))
        ends = [*(np.flatnonzero(np.diff(partitions)) + 1).tolist(), len(fetched)] if fetched else []
        begin = 0
        for end in ends:  # a fetch brings long runs of one partition
            run = fetched[begin:end]
            offsets, values = list(map(Message.offset, run)), list(map(Message.value, run))
            messages = Messages(offsets, values, weights(values))  # type: ignore[arg-type]  # what was fetched has an offset
            chunk.messages.setdefault(int(partitions[begin]), Messages()).extend(messages)
            begin = end
        return chunk

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def _note(self, chunk: Chunk, message: Any, error: KafkaError) -> None:
        partition, code = message.partition(), error.code()
        if code == KafkaError._PARTITION_EOF:
            chunk.ends[partition] = message.offset()
        elif code == KafkaError._AUTO_OFFSET_RESET:
            chunk.out_of_range.add(partition)
        elif error.fatal() or code in _REFUSED:
            raise Unavailable(f"cannot read {self._topic}: {error.str()}")
        else:
            log.warning("reading is disturbed", topic=self._topic, partition=partition, error=error.str())

    def _on_error(self, error: KafkaError) -> None:
        # Twenty a second during an outage, which `BatchApp.kafka` tells of, and some whenever one of many brokers ends.
        log.debug("the connection to Kafka is disturbed", topic=self._topic, error=error.str())
