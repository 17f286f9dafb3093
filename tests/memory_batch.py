"""Batches that were never on a broker, for whoever gives a stage its messages directly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class MemoryBatch:
    """Messages at consecutive offsets of one partition."""

    messages: Sequence[bytes | None]
    first: int = 0
    topic: str = "driftline.predictions"
    partition: int = 0

    @property
    def last(self) -> int:
        return self.first + len(self.messages) - 1

    def offsets(self) -> list[int]:
        return list(range(self.first, self.last + 1))

    def values(self) -> Sequence[bytes | None]:
        return self.messages
