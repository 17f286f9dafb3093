"""Where one partition stands, and where its next batch ends. Knows no Kafka and no clock.

In the walk: messages that were read go in, batches come out, one at a time. A batch closes at a number of messages, a
weight in bytes or an age; only the first one after an assignment may have been named by an earlier owner, and closes
exactly where that name says.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

from driftline_streams.errors import BrokenInvariant
from driftline_streams.transport.batch import Batch, Messages, weight


@dataclass(frozen=True, slots=True)
class Limits:
    """A batch closes at the first of these: messages, weight in bytes, seconds since its first message was read."""

    messages: int
    weight: int
    age_s: float


@dataclass(slots=True)
class Cursor:
    """One assigned partition.

    Parameters
    ----------
    first
        Offset where the next batch begins: everything before it is finished.
    named
        Last offset of the next batch if it is on record (in the commit's metadata), else `None`.
    read_at
        When messages were last read, in seconds of a monotonic clock; at the assignment, the time of that.
    """

    topic: str
    partition: int
    first: int
    named: int | None
    read_at: float
    position: int = field(init=False)  # everything before it has been read, or is a hole
    batch: Batch | None = field(init=False, default=None)  # the next batch, or the one in flight
    lost: list[tuple[int, int]] = field(init=False, default_factory=list)  # first offset and number, not on record yet
    _buffer: Messages = field(init=False, default_factory=Messages)
    _since: float = field(init=False, default=0.0)  # when the first message of the buffer was read

    def __post_init__(self) -> None:
        self.position = self.first

    @property
    def buffered(self) -> int:
        """Number of messages that are read and not finished, the batch in flight included."""
        return len(self._buffer) + (len(self.batch) if self.batch else 0)

    @property
    def weight(self) -> int:
        """What is read and not in a batch yet, in bytes of memory."""
        return self._buffer.weight

    @property
    def resting(self) -> bool:
        """Whether everything that was read is finished."""
        return self.batch is None and not self._buffer

    def add(self, messages: Messages, now: float) -> None:
        """Take messages (at least one) as they were read.

        Raises
        ------
        BrokenInvariant
            If they do not come after those before. A hole before them is fine: compaction and transactions leave some.
        """
        start, end = messages.offsets[0], messages.offsets[-1]
        if start < self.position or end < start:
            raise BrokenInvariant(
                f"{self.topic}:{self.partition}: read {start}-{end} at position {self.position}; restart the worker"
            )
        if not self._buffer:
            self._since = now
        self._buffer.extend(messages)
        self.position = end + 1
        self.read_at = now

    def reach(self, position: int) -> None:
        """Everything before `position` has been read: the end of the partition was seen there."""
        self.position = max(self.position, position)

    def cut(self, limits: Limits, now: float) -> Batch | None:
        """The next batch if it is complete or was cut before, else `None`; `finish` makes room for the one after it."""
        if self.batch is None:
            n, last = self._end(limits, now)
            if last is not None:
                self.batch = Batch(self.topic, self.partition, self.first, last, self._buffer.take(n))
                self._since = now  # from when they were read, a small batch would be cut at once, amid a backlog
        return self.batch

    def finish(self) -> None:
        """The batch is done: the next one begins after it."""
        if self.batch is None:
            raise BrokenInvariant(f"{self.topic}:{self.partition}: finished a batch that was never cut")
        self.first = self.batch.last + 1
        self.named = None
        self.batch = None

    def _end(self, limits: Limits, now: float) -> tuple[int, int | None]:
        """How many messages the next batch has and its last offset; `None` as long as it is open."""
        if self.named is not None:
            if self.position <= self.named:
                return 0, None  # however long it takes: a shorter batch would be another one
            return bisect_right(self._buffer.offsets, self.named), self.named
        full = len(self._buffer) >= limits.messages or self.weight >= limits.weight
        if not self._buffer or not (full or now - self._since >= limits.age_s):
            return 0, None
        n = min(len(self._buffer), limits.messages)
        if self.weight > limits.weight:
            so_far = accumulate(map(weight, self._buffer.values[:n]))
            n = max(1, sum(each <= limits.weight for each in so_far))
        return n, self._buffer.offsets[n - 1]
