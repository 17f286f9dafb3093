"""A batch: consecutive messages of one partition, named by their offsets.

In the walk: what every agent gets. The name is written down before the batch is handed over, and a batch that is
handed over again has the same name and the same messages, so whatever an agent does once per name it does once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from driftline_schemas.frame import is_frame

# A column frame unfolds to four times the memory that as many bytes of JSON take: it has fewer than a third of them.
FRAME_WEIGHT: Final = 4
_SMALL: Final = 2048  # bytes: what is smaller is not looked at, for it unfolds to little, whatever it is


def weight(value: bytes | None) -> int:
    """What a payload counts for in the memory of a worker: its bytes, those of a column frame four times."""
    size = len(value or b"")
    return FRAME_WEIGHT * size if size >= _SMALL and is_frame(value) else size


def weights(values: Sequence[bytes | None]) -> int:
    """The sum of their weights; 25 ns a small one."""
    sizes = list(map(len, filter(None, values)))
    if max(sizes, default=0) < _SMALL:
        return sum(sizes)
    return sum(map(weight, values))


@dataclass(slots=True)
class Messages:
    """Messages of one partition as they were read: offsets, ascending, and payloads (`None` is a tombstone).

    Two lists and not a list of librdkafka's messages: those are five times as large, and to ask each for its value and
    its offset again costs more than to read it.
    """

    offsets: list[int] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    weight: int = 0  # of the payloads

    def __len__(self) -> int:
        """Number of messages."""
        return len(self.offsets)

    def extend(self, more: Messages) -> None:
        """Add messages that come after these."""
        self.offsets += more.offsets
        self.values += more.values
        self.weight += more.weight

    def take(self, n: int) -> Messages:
        """The first `n` messages, which are not among these any more."""
        rest = weights(self.values[n:])  # of fewer messages than are taken, mostly
        taken = Messages(self.offsets[:n], self.values[:n], self.weight - rest)
        del self.offsets[:n], self.values[:n]
        self.weight = rest
        return taken


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The messages of `topic` and `partition` at the offsets `first` to `last`, both inclusive.

    There can be fewer messages than offsets: compaction and transactions leave holes, and `first` may be one. A batch
    that was named before a crash may have lost all of them since. Lists that the methods return have one entry a
    message, in order of the offsets.
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
        """Number of messages."""
        return len(self.messages)

    def values(self) -> list[bytes | None]:
        """Payloads; a tombstone is `None`."""
        return self.messages.values

    def offsets(self) -> list[int]:
        """Offsets, ascending."""
        return self.messages.offsets
