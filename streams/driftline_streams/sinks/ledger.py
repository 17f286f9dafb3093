"""The ledger: proof from Kafka's offsets and ClickHouse's rows alone that every event is accounted for exactly once.

In the walk: beside it. `driftline ledger`, the demo and the tests ask; whoever asks brings the offsets
(`ledger_positions.py`). Three sums must hold:

- of every partition of predictions and labels, the offsets that were read are exactly those that are stored or
  rejected, each once, or gaps, which never held a message that is handed out; of a column frame, each event once;
- the windows without a segment sum up to the stored predictions;
- no label lies unjoined although its prediction is there, and no outcome lacks its label.

Predictions that a TTL has deleted are known from their windows: as many may be missing. Messages that Kafka's retention
deleted before they were read are on record as `lost`; they break no sum, and are told of beside it.

While workers run, rows are ahead of the committed offsets by the batches in flight: they are counted as `ahead`. What
happens between the reading of the offsets and the asking of ClickHouse can still look like a discrepancy;
`ledger_positions.take_account` looks again before it believes one. `account.py` asks ClickHouse.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition begins, where its readers are, where it ends.

    `gaps` are runs of offsets, by first and last, in order, that never held an event for its readers.
    """

    begin: int
    committed: int
    end: int
    gaps: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One partition's account, of the offsets from `begin` to `committed`.

    An offset holds one event, or those of a column frame.
    """

    topic: str
    partition: int
    read: int  # offsets
    stored: int  # events
    rejected: int  # events
    messages: int  # offsets with an event that is stored or rejected
    gaps: int
    short: int  # events of frames that have no row, while others of their frame have
    deleted: int  # of the missing, those that a TTL may have taken
    doubled: int  # rows beyond the first of an event
    largest: int  # events of the largest message
    ahead: int  # stored or rejected beyond what is committed
    unread: int  # of the partition, beyond what is committed
    beyond: int  # stored or rejected beyond the end of the partition, for longer than a moment
    lost: int  # deleted by Kafka's retention before they were read; at any time, and counted nowhere else

    @property
    def missing(self) -> int:
        """Offsets without a row, and events of frames; negative when there are more than were read."""
        return self.read - self.gaps - self.messages + self.short

    @property
    def wrong(self) -> int:
        """How many offsets, or events of frames, are not accounted for once."""
        return abs(self.missing - self.deleted) + self.doubled + self.beyond


@dataclass(frozen=True, slots=True)
class Windows:
    """The events that windows sum up, and the predictions that are stored, both of all topics."""

    counted: int
    stored: int
    settled: int  # of the stored, those that are committed
    unread: int  # predictions that may be counted already
    deleted: int  # predictions that windows of earlier times count, and a TTL has deleted

    @property
    def wrong(self) -> int:
        """By how much they differ, beyond what batches in flight explain."""
        most = max(self.stored, self.settled + self.unread)
        return max(0, self.settled - self.counted, self.counted - most)


@dataclass(frozen=True, slots=True)
class Labels:
    """What became of the stored labels; a label that a later one corrected counts as joined."""

    stored: int
    joined: int
    unanswered: int  # their prediction failed: there is nothing to compare
    waiting: int  # their prediction has not come, and still may
    orphaned: int  # their prediction did not come within the horizon
    overdue: int  # their prediction is stored, and yet there is no outcome
    unfounded: int  # outcomes without a label

    @property
    def wrong(self) -> int:
        """How many labels have no fate, and outcomes no label."""
        fates = self.joined + self.unanswered + self.waiting + self.orphaned
        return self.stored - fates + self.unfounded


@dataclass(frozen=True, slots=True)
class Ledger:
    """The whole account; `discrepancy` says where it first breaks, and is empty when it holds."""

    lines: tuple[Line, ...]
    windows: Windows
    labels: Labels
    discrepancy: str

    @property
    def holds(self) -> bool:
        """Whether everything adds up."""
        return not self.discrepancy
