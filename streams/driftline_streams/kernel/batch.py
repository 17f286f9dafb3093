"""What a stage that names its effects needs to know of a batch; `transport.batch.Batch` is one.

In the walk: what `ingest` and `join` are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Batch(Protocol):
    """Consecutive messages of one partition."""

    @property
    def topic(self) -> str:
        """Full name."""

    @property
    def partition(self) -> int:
        """Number."""

    @property
    def first(self) -> int:
        """Offset at which the batch begins; there may be no message at it."""

    @property
    def last(self) -> int:
        """Offset at which the batch ends, inclusive; there may be no message at it."""

    def offsets(self) -> Sequence[int]:
        """One a message, ascending, from `first` to `last`."""

    def values(self) -> Sequence[bytes | None]:
        """Payloads in the same order; a tombstone is `None`."""
