"""What a stage wants done: rows for ClickHouse and messages for Kafka, as plain values.

In the walk: every stage is a function from a batch to `Effects`; `app.py` carries them out. Because effects are named
by the batch that caused them, carrying them out twice is the same as once.

Columns are kept in the forms that are cheap to make from numpy and cheap to encode, one column at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of strings as a dictionary: row `i` is `values[codes[i]]`; `codes` has shape `(n,)`, any integers."""

    values: Sequence[str]
    codes: npt.NDArray[Any]

    @classmethod
    def constant(cls, value: str, n: int) -> Coded:
        """`n` rows of the same string.

        >>> Coded.constant("a", 2).codes.tolist()
        [0, 0]
        """
        return cls((value,), np.zeros(n, np.uint8))


@dataclass(frozen=True, slots=True)
class WideInts:
    """A column of integers from 0 to 2**128 - 1, for which numpy has no type, by their upper and lower halves."""

    high: npt.NDArray[np.uint64]
    low: npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class MapColumn:
    """A column of maps: row `i` holds the entries `ends[i-1]` to `ends[i]` of `keys` and `values`.

    `ends` has shape `(n,)` and ascends; keys and values are columns of length `ends[-1]`.
    """

    ends: npt.NDArray[np.uint64]
    keys: Column
    values: Column

    @classmethod
    def of(cls, maps: Sequence[Mapping[str, float]], kind: type[np.generic]) -> MapColumn:
        """Maps of texts to numbers of the type `kind`.

        >>> MapColumn.of([{"a": 1}, {}], np.uint64).ends.tolist()
        [1, 1]
        """
        return cls(
            np.cumsum([len(each) for each in maps]).astype(np.uint64),
            [key for each in maps for key in each],
            np.array([number for each in maps for number in each.values()], kind),
        )


@dataclass(frozen=True, slots=True)
class ArrayColumn:
    """A column of arrays: row `i` holds `values[ends[i-1]:ends[i]]`."""

    ends: npt.NDArray[np.uint64]
    values: Column


# Numbers are numpy arrays of shape (n,), in Nullable columns NaN is NULL; times are int64 milliseconds (DateTime64(3))
# or uint32 seconds (DateTime). Strings are sequences, or `Coded` where they repeat.
Column = npt.NDArray[Any] | Sequence[str] | WideInts | Coded | MapColumn | ArrayColumn


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for one table, by column; columns that are not named get the table's defaults."""

    table: str
    n: int
    columns: Mapping[str, Column]


class Message(Struct, frozen=True, gc=False):
    """One Kafka message. Without a partition, the key decides (murmur2); without a key, the client does."""

    topic: str  # full name
    value: bytes | None  # None is a tombstone on a compacted topic
    key: bytes | None = None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Effects:
    """What one batch causes. Several `Rows` of one table become one insert."""

    rows: Sequence[Rows] = ()
    messages: Sequence[Message] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """Effects of something that is no batch, and the name that makes doing them twice harmless."""

    name: str = ""  # empty, and nothing to do, when there is nothing
    effects: Effects = field(default_factory=Effects)
