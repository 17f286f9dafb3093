"""The predictions of one batch in the least memory that is cheap to make: no object for any of them.

In the walk: what `recent` is made of. Nothing here refers to the columns of the batch, which may be views of more.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.effects import Coded, Column, MapColumn, Rows
from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.kernel.joined import Joined
from driftline_streams.outcomes.served import Served, objects
from driftline_streams.outcomes.truth import Objects

_PAGE_BYTES = 1_200  # of a page beside its arrays and texts, measured
_SHARE = 8  # strings of which there are fewer different ones than one in so many are kept as codes


@dataclass(frozen=True, slots=True)
class _Packed:
    """Strings as one, a third of what an object for each takes: string `i` is `text[ends[i]:ends[i + 1]]`."""

    text: str
    ends: npt.NDArray[np.uint32]  # n + 1 of them

    @classmethod
    def of(cls, strings: Sequence[str]) -> _Packed:
        joined = strings if isinstance(strings, Joined) else Joined(strings)
        return cls(joined.text, _from_zero(joined.ends))

    def take(self, rows: Ints) -> list[str]:
        text = self.text
        return [
            text[begin:end] for begin, end in zip(self.ends[rows].tolist(), self.ends[rows + 1].tolist(), strict=True)
        ]

    def all(self) -> list[str]:
        text = self.text
        return [text[begin:end] for begin, end in pairwise(self.ends.tolist())]

    @property
    def nbytes(self) -> int:
        return sys.getsizeof(self.text) + sys.getsizeof(self.ends)


@dataclass(frozen=True, slots=True)
class _Few:
    """Strings of which many are equal: string `i` is `values[codes[i]]`."""

    values: tuple[str, ...]
    codes: npt.NDArray[Any]  # as narrow as the values allow

    def take(self, rows: Ints) -> list[str]:
        values = self.values
        return [values[code] for code in self.codes[rows].tolist()]

    def all(self) -> list[str]:
        return [self.values[code] for code in self.codes.tolist()]

    @property
    def nbytes(self) -> int:
        return sum(map(sys.getsizeof, self.values)) + sys.getsizeof(self.codes)


_Texts = _Packed | _Few


@dataclass(frozen=True, slots=True)
class _Maps:
    """Maps: row `i` holds the entries from `ends[i]` to `ends[i + 1]` of `keys` and `values`."""

    ends: npt.NDArray[np.uint32]
    keys: _Texts
    values: _Texts | Floats

    def take(self, rows: Ints) -> Objects:
        """The maps of rows; those of equal texts may be one object."""
        found = np.empty(len(rows), object)
        begins, lengths = self.ends[rows].astype(np.int64), np.diff(self.ends)[rows]
        for length in np.unique(lengths).tolist():
            here = np.flatnonzero(lengths == length)
            found[here] = objects(self._of_length(begins[here], length))
        return found

    def _of_length(self, begins: Ints, length: int) -> list[dict[str, Any]]:
        entries = begins[:, None] + np.arange(length)
        if isinstance(self.keys, _Few) and isinstance(self.values, _Few) and length:
            keys, values = self.keys.codes[entries], self.values.codes[entries]
            pairs = keys.astype(np.int64) * len(self.values.values) + values
            sizes = len(self.keys.values) * len(self.values.values)
            if sizes**length < 2**62:
                numbers = pairs @ (sizes ** np.arange(length))
                _, first, codes = np.unique(numbers, return_index=True, return_inverse=True)
                distinct = self._made(entries[first], length)
                return [distinct[code] for code in codes.tolist()]
        return self._made(entries, length)

    def _made(self, entries: Ints, length: int) -> list[dict[str, Any]]:
        flat = entries.reshape(-1)
        keys = self.keys.take(flat)
        values = self.values[flat].tolist() if isinstance(self.values, np.ndarray) else self.values.take(flat)
        cuts = range(0, len(entries) * length, length) if length else [0] * len(entries)
        return [dict(zip(keys[cut : cut + length], values[cut : cut + length], strict=True)) for cut in cuts]

    @property
    def nbytes(self) -> int:
        values = sys.getsizeof(self.values) if isinstance(self.values, np.ndarray) else self.values.nbytes
        return sys.getsizeof(self.ends) + self.keys.nbytes + values


@dataclass(frozen=True, slots=True)
class Page:
    """The predictions of one batch, as far as their outcomes need them, by row from 0 to `n`."""

    n: int
    nbytes: int  # estimated
    ids: _Texts
    models: _Texts
    texts: tuple[_Texts, ...]  # version, role, status, prediction, request_id
    timestamp: Ints
    value: Floats
    score: Floats
    confidence: Floats
    segment: _Maps | None  # `None` where no row has any
    probabilities: _Maps | None

    @classmethod
    def of(cls, rows: Rows) -> Page:
        """Rows (at least one) of the table `predictions`; columns that are absent hold their defaults."""
        n, columns = rows.n, rows.columns
        ids, models = _texts(columns["prediction_id"]), _texts(columns["model"])
        texts = tuple(
            _texts(columns.get(name, Coded.constant(default, n)))
            for name, default in (
                ("version", ""),
                ("role", "champion"),
                ("status", "ok"),
                ("prediction", ""),
                ("request_id", ""),
            )
        )
        timestamp = np.array(columns["timestamp"], np.int64)
        value, score, confidence = (
            _numbers(columns.get(name), n) for name in ("prediction_value", "score", "confidence")
        )
        segment, probabilities = _maps(columns.get("segment")), _maps(columns.get("probabilities"))
        nbytes = _PAGE_BYTES + sum(map(sys.getsizeof, (timestamp, value, score, confidence)))
        nbytes += sum(each.nbytes for each in (ids, models, *texts, segment, probabilities) if each is not None)
        return cls(n, nbytes, ids, models, texts, timestamp, value, score, confidence, segment, probabilities)

    def keys(self) -> tuple[list[str], list[str]]:
        """The models and the ids of all rows."""
        return self.models.all(), self.ids.all()

    def held(self, rows: Ints) -> tuple[list[str], list[str]]:
        """The models and the ids of rows."""
        return self.models.take(rows), self.ids.take(rows)

    def take(self, rows: Ints) -> Served:
        """The predictions of rows."""
        version, role, status, prediction, request_id = (objects(text.take(rows)) for text in self.texts)
        return Served(
            version=version,
            role=role,
            timestamp_ms=self.timestamp[rows],
            answered=status == "ok",
            prediction=prediction,
            prediction_value=self.value[rows],
            score=self.score[rows],
            confidence=self.confidence[rows],
            request_id=request_id,
            segment=_taken(self.segment, rows),
            probabilities=_taken(self.probabilities, rows),
        )


def _texts(column: Column) -> _Texts:
    if not isinstance(column, Coded):
        return _Packed.of(column.tolist() if isinstance(column, np.ndarray) else column)  # type: ignore[arg-type]
    values, codes = column.values, column.codes
    if len(values) > max(1, len(codes) // _SHARE):
        return _Packed.of([values[code] for code in codes.tolist()])
    return _Few(tuple(values), codes.astype(np.min_scalar_type(max(0, len(values) - 1))))


def _numbers(column: Column | None, n: int) -> Floats:
    return np.full(n, np.nan) if column is None else np.array(np.ma.filled(np.ma.asarray(column, np.float64), np.nan))


def _maps(column: Column | None) -> _Maps | None:
    if not isinstance(column, MapColumn) or not column.ends[-1]:
        return None
    values = column.values
    numbers = isinstance(values, np.ndarray) and values.dtype.kind == "f"
    kept = _numbers(values, int(column.ends[-1])) if numbers else _texts(values)
    return _Maps(_from_zero(column.ends), _texts(column.keys), kept)


def _taken(maps: _Maps | None, rows: Ints) -> Objects:
    return objects([{}] * len(rows)) if maps is None else maps.take(rows)


def _from_zero(ends: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    from_zero = np.zeros(len(ends) + 1, np.uint32)
    from_zero[1:] = ends
    return from_zero
