"""ClickHouse's Native format, straight from numpy: one block of columns from one `Rows`.

In the walk: stages describe rows in the forms of `kernel.effects`, `clickhouse.py` asks for blocks and sends them.
Nothing here knows a network; the types come from the table.

Only the types that Driftline's tables use are here. Each is a small value that knows its `name`, the `prefix` that must
stand before all data of a column, and how to `write` a column of `n` rows. A `SimpleAggregateFunction(f, T)` is a `T`
to whoever inserts.

References
----------
https://clickhouse.com/docs/interfaces/formats/Native and, for LowCardinality, SerializationLowCardinality.cpp.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from driftline_streams.kernel.effects import ArrayColumn, Coded, Column, MapColumn, Rows, WideInts
from driftline_streams.kernel.joined import Joined
from driftline_streams.sinks.forms import Array, checked, exactly, factorized, form, length, numbers, texts

Buffers = list[bytes | memoryview]


class Type(Protocol):
    """How one column type is laid out."""

    @property
    def name(self) -> str:
        """The type as ClickHouse writes it."""

    def prefix(self) -> bytes:
        """What stands once before the data of the column."""

    def write(self, out: Buffers, column: Column, n: int) -> None:
        """Append `n` ≥ 1 rows to `out`; raises ValueError when the column cannot be of this type."""


@dataclass(frozen=True, slots=True)
class Number:
    """Integers, floats, booleans and times, all of fixed width. In floats NaN stays NaN."""

    name: str
    dtype: str

    def prefix(self) -> bytes:
        return b""

    def write(self, out: Buffers, column: Column, n: int) -> None:
        if np.ma.is_masked(column):
            raise ValueError(f"{self.name} has no NULL, but some values are masked")
        out.append(np.ascontiguousarray(exactly(numbers(column), self.dtype, self.name)).data)


@dataclass(frozen=True, slots=True)
class Wide:
    """Integers of 128 bits without a sign."""

    name: str = "UInt128"

    def prefix(self) -> bytes:
        return b""

    def write(self, out: Buffers, column: Column, n: int) -> None:
        if not isinstance(column, WideInts):
            raise ValueError(f"{self.name} takes WideInts, not {form(column)}")
        out.append(np.column_stack((column.low, column.high)).astype("<u8").tobytes())


@dataclass(frozen=True, slots=True)
class Nullable:
    """Numbers that may be missing: NaN in floats, the mask in `numpy.ma` arrays."""

    inner: Number

    @property
    def name(self) -> str:
        return f"Nullable({self.inner.name})"

    def prefix(self) -> bytes:
        return b""

    def write(self, out: Buffers, column: Column, n: int) -> None:
        values = numbers(column)
        missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(n, np.bool_)
        if isinstance(column, np.ma.MaskedArray):
            missing = missing | np.ma.getmaskarray(column)
        out.append(missing.view(np.uint8).data)
        self.inner.write(out, np.where(missing, values.dtype.type(0), values), n)


@dataclass(frozen=True, slots=True)
class Text:
    """Strings, as UTF-8. A lone surrogate, which has no UTF-8, is written as its escape (`\\ud800`)."""

    name: str = "String"

    def prefix(self) -> bytes:
        return b""

    def write(self, out: Buffers, column: Column, n: int) -> None:
        if isinstance(column, Coded):
            codes = checked(column)
            if len(column.values) == 1:
                out.append(_texts(column.values) * n)
            elif 4 * len(column.values) > n:  # to write a value apart takes as long as four values at once
                out.append(_texts([column.values[code] for code in codes.tolist()]))
            else:
                # Looking up in an array of objects takes 13 ns a row, in a list 49.
                out.append(b"".join(np.array(_each(column.values), object)[codes].tolist()))
        elif isinstance(column, Joined) and (letters := column.letters) is not None and letters.shape[1] < 128:
            lengths = np.full((n, 1), letters.shape[1], np.uint8)
            out.append(np.hstack([lengths, letters]).data)
        else:
            out.append(_texts(texts(column)))


@dataclass(frozen=True, slots=True)
class LowCardinality:
    """Strings as a dictionary and an index into it."""

    name: str = "LowCardinality(String)"

    def prefix(self) -> bytes:
        return _u64(1)  # version of the keys: shared dictionaries with additional keys

    def write(self, out: Buffers, column: Column, n: int) -> None:
        coded = column if isinstance(column, Coded) else factorized(texts(column))
        values, codes = coded.values, checked(coded)
        if len(values) > n:  # a dictionary of a whole batch behind a few rows
            used, codes = np.unique(codes, return_inverse=True)
            values = [values[code] for code in used.tolist()]
        width = 0 if len(values) <= 1 << 8 else 1 if len(values) <= 1 << 16 else 2
        additional_keys, update_dictionary = 1 << 9, 1 << 10
        out += [_u64(width | additional_keys | update_dictionary), _u64(len(values)), _texts(values)]
        out += [_u64(n), codes.astype(("<u1", "<u2", "<u4")[width]).data]


@dataclass(frozen=True, slots=True)
class Map:
    """Maps, one column of keys and one of values for all rows."""

    key: Type
    value: Type

    @property
    def name(self) -> str:
        return f"Map({self.key.name}, {self.value.name})"

    def prefix(self) -> bytes:
        return self.key.prefix() + self.value.prefix()

    def write(self, out: Buffers, column: Column, n: int) -> None:
        if not isinstance(column, MapColumn):
            raise ValueError(f"{self.name} takes a MapColumn, not {form(column)}")
        entries = _ends(out, column.ends)
        _nested(out, self.key, column.keys, entries, "keys")
        _nested(out, self.value, column.values, entries, "values")


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """Arrays, one column of values for all rows."""

    value: Type

    @property
    def name(self) -> str:
        return f"Array({self.value.name})"

    def prefix(self) -> bytes:
        return self.value.prefix()

    def write(self, out: Buffers, column: Column, n: int) -> None:
        if not isinstance(column, ArrayColumn):
            raise ValueError(f"{self.name} takes an ArrayColumn, not {form(column)}")
        _nested(out, self.value, column.values, _ends(out, column.ends), "values")


NUMBERS = {
    "Bool": "|b1",
    "UInt8": "|u1",
    "UInt16": "<u2",
    "UInt32": "<u4",
    "UInt64": "<u8",
    "Int8": "|i1",
    "Int16": "<i2",
    "Int32": "<i4",
    "Int64": "<i8",
    "Float32": "<f4",
    "Float64": "<f8",
    "Date": "<u2",
    "DateTime": "<u4",
    "DateTime64": "<i8",
}


@functools.lru_cache(maxsize=1024)
def parse(name: str) -> Type:
    """The type that ClickHouse calls `name`.

    >>> parse("SimpleAggregateFunction(sumMap, Map(Int32, UInt64))").name
    'Map(Int32, UInt64)'

    Raises
    ------
    ValueError
        If it is none of those that this module writes.
    """
    head, _, rest = name.partition("(")
    found: Type | None = None
    match head, _arguments(rest.removesuffix(")")):
        case "String", []:
            found = Text()
        case "LowCardinality", ["String"]:
            found = LowCardinality()
        case "Nullable", [inner] if isinstance(number := parse(inner), Number):
            found = Nullable(number)
        case "Map", [key, value]:
            found = Map(parse(key), parse(value))
        case "UInt128", []:
            found = Wide()
        case "Array", [value]:
            found = ArrayOf(parse(value))
        case "SimpleAggregateFunction", [_, inner]:
            found = parse(inner)
        case _ if head in NUMBERS:
            found = Number(name, NUMBERS[head])
    if found is None:
        raise ValueError(f"type {name} is not one that Driftline writes; add it to sinks/native.py")
    return found


def block(rows: Rows, types: Mapping[str, str]) -> bytes:
    """One Native block; several of them after each other are one insert.

    Parameters
    ----------
    rows
        Every column of length `rows.n`. Without rows, or without columns, the block is empty.
    types
        Column name → type name, as in `system.columns`.

    Raises
    ------
    ValueError
        If a column is unknown, of another length, or does not fit its type; the message names the column.
    """
    if rows.n == 0 or not rows.columns:
        return b""
    out: Buffers = [_varint(len(rows.columns)), _varint(rows.n)]
    for name, column in rows.columns.items():
        if name not in types:
            raise ValueError(f"column {name} is not in the table, which has {', '.join(types)}")
        if length(column) != rows.n:
            raise ValueError(f"column {name} has {length(column)} rows instead of {rows.n}")
        try:
            kind = parse(types[name])
            out += [_texts([name, kind.name]), kind.prefix()]
            kind.write(out, column, rows.n)
        except ValueError as error:
            raise ValueError(f"column {name}: {error}") from error
    return b"".join(out)


def _nested(out: Buffers, kind: Type, column: Column, n: int, what: str) -> None:
    if length(column) != n:
        raise ValueError(f"{length(column)} {what} instead of the {n} that its ends ask for")
    if n:
        kind.write(out, column, n)


def _ends(out: Buffers, ends: Array) -> int:
    ends = exactly(numbers(ends), "<u8", "ends")
    if (ends[1:] < ends[:-1]).any():
        raise ValueError("its ends do not ascend")
    out.append(np.ascontiguousarray(ends).data)
    return int(ends[-1])


def _texts(values: Sequence[str]) -> bytes:
    """Each string as its length in bytes and its UTF-8."""
    lengths = list(map(len, values))
    if max(lengths, default=0) < 128:
        # Short ASCII strings, nearly all there are: their length is one ASCII character too, so one join does it.
        # 40 ns a string instead of 100.
        parts = [""] * (2 * len(values))
        parts[::2] = bytes(lengths).decode("ascii")
        parts[1::2] = values
        text = "".join(parts)
        if text.isascii():
            return text.encode()
    return b"".join(_each(values))


def _each(values: Sequence[str]) -> list[bytes]:
    """As `_texts`, one by one."""
    try:
        encoded = [value.encode() for value in values]  # a third of the time that it takes with an error handler
    except UnicodeEncodeError:
        encoded = [value.encode("utf-8", "backslashreplace") for value in values]
    return [_varint(len(raw)) + raw for raw in encoded]


def _varint(value: int) -> bytes:
    """LEB128, as ClickHouse writes lengths.

    >>> _varint(300).hex()
    'ac02'
    """
    if value < 128:
        return _BYTES[value]
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


_BYTES = [bytes([i]) for i in range(128)]


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _arguments(text: str) -> list[str]:
    """The arguments of a type, split at the commas outside of parentheses."""
    found, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            found.append(text[start:place].strip())
            start = place + 1
    return [*found, text[start:].strip()] if text else []
