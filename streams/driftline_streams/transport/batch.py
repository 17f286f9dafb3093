"""A batch: consecutive messages of one partition, named by their offsets.

In the walk: what every agent gets. The name is written down before the batch is handed over, and a batch that is
handed over again has the same name and the same messages, so whatever an agent does once per name it does once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import Message


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The messages of `topic` and `partition` at the offsets `first` to `last`, both inclusive.

    There can be fewer messages than offsets: compaction and transactions leave holes, and `first` may be one. There is
    at least one message. Lists that the methods return have one entry a message, in order of the offsets.
    """

    topic: str
    partition: int
    first: int
    last: int
    messages: Sequence[Message]

    @property
    def name(self) -> str:
        """`topic:partition:first-last`, the same after every crash."""
        return f"{self.topic}:{self.partition}:{self.first}-{self.last}"

    @property
    def place(self) -> tuple[str, int]:
        """Topic and partition."""
        return self.topic, self.partition

    def __len__(self) -> int:
        """Number of messages, at least 1."""
        return len(self.messages)

    def values(self) -> list[bytes | None]:
        """Payloads; a tombstone is `None`."""
        return [message.value() for message in self.messages]

    def offsets(self) -> list[int]:
        """Offsets, ascending."""
        return [
            message.offset() or 0 for message in self.messages
        ]  # librdkafka's stub allows None, a fetched one has it
