"""The columns of many frames put together: of one field of the event, or of one of its objects.

In the walk: between the frames of a batch and their `Columns`. A column of a hundred values is too short for numpy,
whose calls cost as much as reading it: so the bytes of all frames are joined first, and each step is one call for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import NoneType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from driftline_schemas.frame import MAX_FRAME_EVENTS, Column
from driftline_schemas.records import Reason, Scalar
from driftline_streams.ingest.entries import Entries, Labels, Numbers, no_labels
from driftline_streams.ingest.values import NO_TEXT, Texts, Values
from driftline_streams.kernel.catalog import class_name
from driftline_streams.kernel.histogram import Floats, Ints

_EACH = np.arange(MAX_FRAME_EVENTS, dtype="<u2").tobytes()  # `codes` of a column with a value of its own for each

_Value = TypeVar("_Value", np.int64, np.float64)
Bools = npt.NDArray[np.bool_]


class Unreadable(Exception):  # never leaves ingest
    """A frame breaks the layout; the sentence says how."""

    def __init__(self, detail: str, reason: Reason = Reason.MALFORMED_FRAME) -> None:
        super().__init__(detail)
        self.reason = reason


# Of one column: its bytes and its `at`; number of values, key, first row of its frame and number of them; where its
# dictionary begins, and how long that is.
_Part = tuple[bytes, bytes | None, int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Joined:
    """Columns of one width put together; shape `(values,)` but for `count`, which has shape `(columns,)`."""

    data: bytes
    count: Ints
    row: Ints
    key: Ints
    first: Ints  # shape (columns,), and so has `size`
    size: Ints

    @classmethod
    def of(cls, parts: Sequence[_Part]) -> _Joined:
        """Of at least one part; raises `Unreadable` when positions are not ascending ones of events."""
        data, at, *rest = zip(*parts, strict=True)
        count, key, base, n, first, size = np.array(rest, np.int64)
        starts = np.cumsum(count) - count
        if any(at):
            places = [
                np.arange(n) if each is None else np.frombuffer(each, "<u4")
                for each, n in zip(at, rest[3], strict=True)
            ]
            position = np.concatenate(places).astype(np.int64)
            ascends = np.diff(position, prepend=-1) > 0
            ascends[starts] = True
            if not ascends.all() or (position >= np.repeat(n, count)).any():
                raise Unreadable("`at` does not ascend, or goes beyond the last event")
            row = position + np.repeat(base, count)
        else:
            row = np.arange(int(count.sum())) + np.repeat(base - starts, count)
        return cls(b"".join(data), count, row, np.repeat(key, count), first, size)


@dataclass(frozen=True, slots=True)
class Coded:
    """Values that come with codes: entry `j` is the value `code[j]` of the dictionary, under `key[j]` of `row[j]`."""

    row: Ints
    key: Ints
    code: Ints


class Gathered:
    """Takes in the columns of one field or object, frame after frame; rows are events, from 0 through all frames."""

    def __init__(self) -> None:
        self.values: list[Scalar] = []  # of all columns, one after the other
        self.plain = True  # whether these are what the rows have, one after the other, as ids are
        self._numbers: list[_Part] = []
        self._coded: dict[int, list[_Part]] = {1: [], 2: [], 4: []}  # by bytes a code

    def add(self, column: Column, base: int, n: int, key: int = 0) -> None:
        """Take in a column of a frame with `n` events, the first of which is row `base`.

        Raises
        ------
        Unreadable
            If it has not as many values as events, or has them twice.
        """
        at, data = column.at, column.f64
        count = n if at is None else len(at) // 4
        if column.i64 is not None or (at is not None and len(at) % 4):
            raise Unreadable("only times are `i64`" if column.i64 is not None else "`at` is not of whole positions")
        if data is not None:
            if len(data) != 8 * count or count > n or column.values is not None:
                raise Unreadable(f"{len(data)} bytes of numbers for {count} of {n} events")
            self.plain = False
            if count:
                self._numbers.append((data, at, count, key, base, n, 0, 0))
            return
        values, data = column.values, column.codes
        if values is None:
            raise Unreadable("a column has neither `f64` nor `values`")
        first, size = len(self.values), len(values)
        if data is None:
            data = _EACH[: 2 * size] if size == count else b""
            self.plain = self.plain and at is None
        else:
            self.plain = False
        parts = self._coded.get(len(data) // count) if count else []
        if parts is None or len(data) % max(1, count) or count > n or (column.codes is None and size != count):
            raise Unreadable(f"{len(data)} bytes of codes or {size} values for {count} of {n} events")
        self.values += values
        if count:
            parts.append((data, at, count, key, base, n, first, size))

    def floats(self) -> tuple[Ints, Ints, Floats]:
        """Row, key and value of the numbers that come as numbers."""
        if not self._numbers:
            return _NONE, _NONE, np.empty(0)
        joined = _Joined.of(self._numbers)
        return joined.row, joined.key, np.frombuffer(joined.data, "<f8")

    def coded(self) -> Coded:
        """The values that come with codes."""
        found = []
        for width, parts in self._coded.items():
            if parts:
                joined = _Joined.of(parts)
                codes = np.frombuffer(joined.data, f"<u{width}").astype(np.int64)
                if (codes >= np.repeat(joined.size, joined.count)).any():
                    raise Unreadable("a code is beyond the last value")
                found.append((joined.row, joined.key, codes + np.repeat(joined.first, joined.count)))
        if not found:
            return Coded(_NONE, _NONE, _NONE)
        return Coded(*found[0]) if len(found) == 1 else Coded(*map(np.concatenate, zip(*found, strict=True)))


@dataclass(frozen=True, slots=True)
class Meanings:
    """What the values of a dictionary are, each: its text (booleans have one too), its number, or neither."""

    text: Texts
    number: Floats | None  # None when none is a number
    complete: bool  # whether there is no null

    @classmethod
    def of(cls, values: Sequence[Scalar]) -> Meanings:
        """Those of the values of a dictionary, which may be empty."""
        kinds = set(map(type, values))
        if kinds <= {str, NoneType}:
            return cls(Texts.of(values), None, NoneType not in kinds)  # type: ignore[arg-type]  # just looked at
        texts = [class_name(value) if isinstance(value, bool | str) else None for value in values]
        numbers = np.array([value if type(value) is float else np.nan for value in values], np.float64)
        return cls(Texts.of(texts), numbers, NoneType not in kinds)


def scalars(gathered: Gathered, n: int) -> Values:
    """One field of the event, of `n` rows."""
    row, _, value = gathered.floats()
    number = value if len(row) == n else _spread(np.full(n, np.nan), row, value)
    coded = gathered.coded()
    if not len(coded.row):
        return Values(number, Texts.nothing(n))
    meaning = Meanings.of(gathered.values)
    if meaning.number is not None:
        number = _spread(number.copy(), coded.row, meaning.number[coded.code])
    return Values(number, Texts(meaning.text.values, _spread(_none(n), coded.row, meaning.text.code[coded.code])))


def codes(gathered: Gathered, n: int) -> Ints:
    """Which of `gathered.values` each of `n` rows has; -1 for none."""
    if gathered.plain and len(gathered.values) == n:
        return np.arange(n)
    coded = gathered.coded()
    return _spread(_none(n), coded.row, coded.code)


def entries(gathered: Gathered, names: list[str], n: int) -> tuple[Numbers, Labels]:
    """One object of the events, as `entries_of` has it; key `k` of the columns is `names[k]`, all of them different."""
    row, key, value = gathered.floats()
    coded = gathered.coded()
    if not len(coded.row):
        return _numbers(n, row, names, key, value), no_labels(n)
    meaning = Meanings.of(gathered.values)
    code = meaning.text.code[coded.code]
    text_row, text_key = coded.row, coded.key
    if not meaning.complete or meaning.number is not None:
        number = np.full(len(code), np.nan) if meaning.number is None else meaning.number[coded.code]
        is_text, is_number = code != NO_TEXT, ~np.isnan(number)
        has_text, has_number = np.zeros((2, len(names)), np.bool_)
        has_text[coded.key[is_text]] = True
        has_number[coded.key[is_number]] = True
        has_number[key[~np.isnan(value)]] = True
        textual = is_text | (~is_number & (has_text & ~has_number)[coded.key])
        row, key = np.concatenate([row, coded.row[~textual]]), np.concatenate([key, coded.key[~textual]])
        value = np.concatenate([value, number[~textual]])
        text_row, text_key, code = coded.row[textual], coded.key[textual], code[textual]
    order = _by_row(text_row)
    labels = Entries(n, text_row[order], Texts(names, text_key[order]), Texts(meaning.text.values, code[order]))
    return _numbers(n, row, names, key, value), labels


def _numbers(n: int, row: Ints, names: list[str], key: Ints, value: Floats) -> Numbers:
    order = _by_row(row)
    return Entries(n, row[order], Texts(names, key[order]), value[order])


def _by_row(row: Ints) -> Ints:
    # Sixteen bits are sorted by counting, in a fifth of the time; more rows are never read at a time.
    return np.argsort(row.astype(np.uint16), kind="stable")


def _spread(into: npt.NDArray[_Value], row: Ints, value: npt.NDArray[_Value]) -> npt.NDArray[_Value]:
    into[row] = value
    return into


def _none(n: int) -> Ints:
    return np.full(n, NO_TEXT)


_NONE: Ints = np.empty(0, np.int64)
