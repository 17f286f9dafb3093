"""A batch: consecutive messages of one partition, named by their offsets.

In the walk: what every agent gets. The name is written down before the batch is handed over, and a batch that is
handed over again has the same name and the same messages, so whatever an agent does once per name it does once.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Messages:
    """Messages of one partition as they were read: offsets, ascending, and payloads (`None` is a tombstone).

    Two lists and not a list of librdkafka's messages: those are five times as large, and to ask each for its value and
    its offset again costs more than to read it.
    """

    offsets: list[int] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    size: int = 0  # of the payloads, in bytes

    def __len__(self) -> int:
        """Number of messages."""
        return len(self.offsets)

    def extend(self, more: Messages) -> None:
        """Add messages that come after these."""
        self.offsets += more.offsets
        self.values += more.values
        self.size += more.size

    def take(self, n: int) -> Messages:
        """The first `n` messages, which are not among these any more."""
        values = self.values[:n]
        taken = Messages(self.offsets[:n], values, sum(map(len, filter(None, values))))
        del self.offsets[:n], self.values[:n]
        self.size -= taken.size
        return taken


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
    messages: Messages

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
        return self.messages.values

    def offsets(self) -> list[int]:
        """Offsets, ascending."""
        return self.messages.offsets
