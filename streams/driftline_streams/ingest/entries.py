"""Many small objects as a few long arrays: the features or segments of a batch, whatever their shapes.

In the walk: between the events and everything that counts. Nothing after it assumes that two events have the same
features in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from driftline_schemas.records import Scalar
from driftline_streams.ingest.values import NO_TEXT, Texts, Values
from driftline_streams.kernel.histogram import Floats, Ints

_NO_PLACES, _NO_TEXTS, _NO_NUMBERS = np.empty(0, np.int64), Texts.nothing(0), np.empty(0)


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numeric entries of `n` objects: entry `j` says that object `row[j]` has `value[j]` under `key[j]`.

    Rows ascend; a null is NaN. Arrays have shape `(entries,)`.
    """

    n: int
    row: Ints
    key: Texts
    value: Floats

    @classmethod
    def empty(cls, n: int) -> Numbers:
        """`n` objects without entries."""
        return cls(n, _NO_PLACES, _NO_TEXTS, _NO_NUMBERS)

    @classmethod
    def join(cls, parts: Sequence[Numbers]) -> Numbers:
        """The entries of the objects of one part after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            sum(part.n for part in parts),
            _rows(parts),
            Texts.join([part.key for part in parts]),
            np.concatenate([part.value for part in parts]),
        )

    @classmethod
    def beside(cls, parts: Sequence[Numbers]) -> Numbers:
        """The entries that different parts have of the same objects."""
        parts = [part for part in parts if len(part.row)] or parts[:1]
        if len(parts) == 1:
            return parts[0]
        row = np.concatenate([part.row for part in parts])
        order = np.argsort(row, kind="stable")
        key, value = Texts.join([part.key for part in parts]), np.concatenate([part.value for part in parts])
        return cls(parts[0].n, row[order], key.take(order), value[order])

    def take(self, rows: Ints) -> Numbers:
        """The entries of the objects `rows` (ascending), which are counted anew from 0."""
        chosen, row = _chosen(self.row, self.n, rows)
        return Numbers(len(rows), row, self.key.take(chosen), self.value[chosen])


@dataclass(frozen=True, slots=True)
class Labels:
    """The entries of `n` objects that are texts: as `Numbers`, but a null is no text."""

    n: int
    row: Ints
    key: Texts
    value: Texts

    @classmethod
    def empty(cls, n: int) -> Labels:
        """`n` objects without entries."""
        return cls(n, _NO_PLACES, _NO_TEXTS, _NO_TEXTS)

    @classmethod
    def join(cls, parts: Sequence[Labels]) -> Labels:
        """The entries of the objects of one part after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            sum(part.n for part in parts),
            _rows(parts),
            Texts.join([part.key for part in parts]),
            Texts.join([part.value for part in parts]),
        )

    @classmethod
    def beside(cls, parts: Sequence[Labels]) -> Labels:
        """The entries that different parts have of the same objects."""
        parts = [part for part in parts if len(part.row)] or parts[:1]
        if len(parts) == 1:
            return parts[0]
        row = np.concatenate([part.row for part in parts])
        order = np.argsort(row, kind="stable")
        key, value = Texts.join([part.key for part in parts]), Texts.join([part.value for part in parts])
        return cls(parts[0].n, row[order], key.take(order), value.take(order))

    def take(self, rows: Ints) -> Labels:
        """The entries of the objects `rows` (ascending), which are counted anew from 0."""
        chosen, row = _chosen(self.row, self.n, rows)
        return Labels(len(rows), row, self.key.take(chosen), self.value.take(chosen))


def entries_of(objects: Sequence[Mapping[str, Scalar]]) -> tuple[Numbers, Labels]:
    """The numbers and the texts among the entries of `objects`; a null counts as a number where its key has no text.

    >>> numbers, labels = entries_of([{"a": 1.0}, {}, {"a": "x", "b": None}])
    >>> numbers.row.tolist(), numbers.value.tolist(), labels.row.tolist(), labels.value.values
    ([0, 2], [1.0, nan], [2], ['x'])
    """
    n = len(objects)
    row = np.repeat(np.arange(n), np.fromiter(map(len, objects), np.int64, n))
    key = Texts.of(list(chain.from_iterable(objects)))
    values = Values.of(list(chain.from_iterable(map(dict.values, objects))))  # type: ignore[arg-type]  # msgspec makes dicts
    is_text, is_number = values.text.code != NO_TEXT, ~np.isnan(values.number)
    has_text, has_number = np.zeros((2, len(key.values)), np.bool_)
    has_text[key.code[is_text]] = True
    has_number[key.code[is_number]] = True
    textual = is_text | (~is_number & (has_text & ~has_number)[key.code])
    return (
        Numbers(n, row[~textual], key.take(~textual), values.number[~textual]),
        Labels(n, row[textual], key.take(textual), values.text.take(textual)),
    )


def ends_of(row: Ints, n: int) -> npt.NDArray[np.uint64]:
    """Where the entries of each of `n` objects end, shape `(n,)`, when entry `j` belongs to object `row[j]`."""
    return np.cumsum(np.bincount(row, minlength=n)).astype(np.uint64)


def _rows(parts: Sequence[Numbers | Labels]) -> Ints:
    begins = np.cumsum([0, *(part.n for part in parts[:-1])]).tolist()
    return np.concatenate([part.row + begin for part, begin in zip(parts, begins, strict=True)])


def _chosen(row: Ints, n: int, rows: Ints) -> tuple[Ints, Ints]:
    """Which entries belong to the objects `rows`, and the new number of the object of each."""
    place = np.full(n, -1, np.int64)
    place[rows] = np.arange(len(rows))
    chosen = np.flatnonzero(place[row] >= 0)
    return chosen, place[row[chosen]]
