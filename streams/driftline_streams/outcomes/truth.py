"""The truth about predictions, by column: what labels say, how far they are believed, and which of them holds.

In the walk: `labels.py` makes `Truths` of a batch, `waiting.py` keeps single ones, `outcome.py` holds them against what
was `served`.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.histogram import Floats, Ints

Objects = npt.NDArray[Any]  # of dtype object: texts, or maps
Wide = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]  # the upper and the lower half of integers of 128 bits

MAX_TRUST = 0xFFFF
SLACK_MS = 86_400_000  # a label's time may precede its prediction's: clocks differ, and many labels carry only a date


def trust(source: str, sources: Sequence[str]) -> int:
    """The trust in a source by `label_sources` of the spec: those it does not name have none.

    The first has the most whatever follows, so that a source that is added at the end changes nothing for the others.

    >>> trust("tower", ["tower", "crm"]) > trust("crm", ["tower", "crm"]) > trust("a guess", ["tower", "crm"]) == 0
    True
    """
    return max(1, MAX_TRUST - sources.index(source)) if source in sources else 0


class Truth(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One label, identified by its place in Kafka."""

    model: str
    prediction_id: str
    label: str
    value: float  # NaN when the label is no number
    timestamp_ms: int
    weight: float
    source: str  # empty when it names none
    trust: int  # in the source, from 0 to `MAX_TRUST`
    position: float  # NaN without one
    topic: str
    partition: int
    offset: int
    ingested_ms: int

    @property
    def place(self) -> tuple[str, int, int]:
        """Topic, partition and offset."""
        return self.topic, self.partition, self.offset

    @property
    def precedence(self) -> int:
        """Of several labels of a prediction the one with the greatest holds: by trust, then time, then place.

        128 bits: 16 of trust, 44 of time (until the year 2527), 20 of partition, 48 of offset. The column `precedence`
        of the table `labels` is the same.
        """
        return (((self.trust << 44 | self.timestamp_ms) << 20 | self.partition) << 48) | self.offset


class Truths(NamedTuple):
    """Labels by column, each of shape `(n,)`, with the fields of `Truth`."""

    model: Objects
    prediction_id: Objects
    label: Objects
    value: Floats
    timestamp_ms: Ints
    weight: Floats
    source: Objects
    trust: Ints
    position: Floats
    topic: Objects
    partition: Ints
    offset: Ints
    ingested_ms: Ints

    @property
    def n(self) -> int:
        """Number of labels."""
        return len(self.offset)

    @classmethod
    def of(cls, truths: Sequence[Truth]) -> Truths:
        """Single labels, in their order."""
        return cls.by_column({name: list(map(attrgetter(name), truths)) for name in cls._fields})

    @classmethod
    def by_column(cls, columns: dict[str, list[Any]]) -> Truths:
        """Lists of equal length, by the name of the field."""
        return cls._make(np.array(columns[name], _KINDS.get(name, object)) for name in cls._fields)

    @classmethod
    def joined(cls, parts: Sequence[Truths]) -> Truths:
        """Several (at least one) after each other."""
        return parts[0] if len(parts) == 1 else cls._make(map(np.concatenate, zip(*parts, strict=True)))

    def take(self, rows: Ints) -> Truths:
        """These rows, in this order."""
        return Truths._make(column[rows] for column in self)

    def rows(self) -> list[Truth]:
        """Each by itself."""
        lists = (column.tolist() for column in self)
        return [Truth(**dict(zip(self._fields, row, strict=True))) for row in zip(*lists, strict=True)]

    def precedence(self) -> Wide:
        """As `Truth.precedence`."""
        time, partition = self.timestamp_ms, self.partition
        high = self.trust << 48 | time << 4 | partition >> 16
        low = (partition & 0xFFFF) << 48 | self.offset
        return high.astype(np.uint64), low.view(np.uint64)

    def holding(self) -> Ints:
        """The rows that hold: of each prediction one, in order of the rows."""
        keys = list(zip(self.model.tolist(), self.prediction_id.tolist(), strict=True))
        if len(set(keys)) == len(keys):
            return np.arange(len(keys))
        order = np.lexsort(self.precedence()[::-1])
        last = {keys[row]: row for row in order.tolist()}
        return np.array(sorted(last.values()), np.int64)


_KINDS: dict[str, type] = {
    **dict.fromkeys(("value", "weight", "position"), np.float64),
    **dict.fromkeys(("timestamp_ms", "trust", "partition", "offset", "ingested_ms"), np.int64),
}
