"""Many small objects as a few long arrays: the features or segments of a batch, whatever their shapes.

In the walk: between the events and everything that counts. Nothing after it assumes that two events have the same
features in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from driftline_schemas.records import Scalar
from driftline_streams.ingest.values import NO_TEXT, Texts, Values
from driftline_streams.kernel.histogram import Floats, Ints

V = TypeVar("V", Floats, Texts)


@dataclass(frozen=True, slots=True)
class Entries(Generic[V]):
    """The entries of `n` objects: entry `j` says that object `row[j]` has value `j` under `key[j]`.

    Rows ascend; a null is NaN or no text. All have shape `(entries,)`.
    """

    n: int
    row: Ints
    key: Texts
    value: V

    @classmethod
    def join(cls, parts: Sequence[Entries[V]]) -> Entries[V]:
        """The entries of the objects of one part after the other."""
        if len(parts) == 1:
            return parts[0]
        begins = np.cumsum([0, *(part.n for part in parts[:-1])]).tolist()
        row = np.concatenate([part.row + begin for part, begin in zip(parts, begins, strict=True)])
        return cls(sum(part.n for part in parts), row, *_joined(parts))

    @classmethod
    def beside(cls, parts: Sequence[Entries[V]]) -> Entries[V]:
        """The entries that different parts have of the same objects."""
        parts = [part for part in parts if len(part.row)] or parts[:1]
        if len(parts) == 1:
            return parts[0]
        row = np.concatenate([part.row for part in parts])
        return cls(parts[0].n, row, *_joined(parts)).at(np.argsort(row, kind="stable"))

    def at(self, chosen: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Entries[V]:
        """The chosen entries of the same objects."""
        value = self.value.take(chosen) if isinstance(self.value, Texts) else self.value[chosen]
        return Entries(self.n, self.row[chosen], self.key.take(chosen), value)

    def take(self, rows: Ints) -> Entries[V]:
        """The entries of the objects `rows` (ascending), which are counted anew from 0."""
        place = np.full(self.n, -1, np.int64)
        place[rows] = np.arange(len(rows))
        mine = self.at(np.flatnonzero(place[self.row] >= 0))
        return Entries(len(rows), place[mine.row], mine.key, mine.value)


Numbers = Entries[Floats]
Labels = Entries[Texts]

_NO_PLACES, _NO_TEXTS, _NO_NUMBERS = np.empty(0, np.int64), Texts.nothing(0), np.empty(0)


def no_numbers(n: int) -> Numbers:
    """`n` objects without numbers."""
    return Entries(n, _NO_PLACES, _NO_TEXTS, _NO_NUMBERS)


def no_labels(n: int) -> Labels:
    """`n` objects without texts."""
    return Entries(n, _NO_PLACES, _NO_TEXTS, _NO_TEXTS)


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
        Entries(n, row[~textual], key.take(~textual), values.number[~textual]),
        Entries(n, row[textual], key.take(textual), values.text.take(textual)),
    )


def ends_of(row: Ints, n: int) -> npt.NDArray[np.uint64]:
    """Where the entries of each of `n` objects end, shape `(n,)`, when entry `j` belongs to object `row[j]`."""
    return np.cumsum(np.bincount(row, minlength=n)).astype(np.uint64)


def _joined(parts: Sequence[Entries[V]]) -> tuple[Texts, V]:
    """The keys and the values of one part after the other."""
    values: Any = [part.value for part in parts]
    key = Texts.join([part.key for part in parts])
    joined: Any = Texts.join(values) if isinstance(values[0], Texts) else np.concatenate(values)
    return key, joined
