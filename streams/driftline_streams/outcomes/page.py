"""The predictions of one batch in the least memory that is cheap to make: no object for any of them.

In the walk: what `recent` is made of. Nothing here refers to the columns of the batch, which may be views of more.
Arrays are those of the standard library: reading one number of them costs a third of what it costs with numpy's.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.effects import Coded, Column, MapColumn, Rows
from driftline_streams.kernel.joined import Joined
from driftline_streams.outcomes.truth import Served

_PAGE_BYTES = 1_200  # of a page beside its arrays and texts, measured
_SHARE = 8  # strings of which there are fewer different ones than one in so many are kept as codes


@dataclass(frozen=True, slots=True)
class _Packed:
    """Strings as one, a third of what an object for each takes: string `i` is `text[ends[i]:ends[i + 1]]`."""

    text: str
    ends: array[int]  # n + 1 of them

    @classmethod
    def of(cls, strings: Sequence[str]) -> _Packed:
        joined = strings if isinstance(strings, Joined) else Joined(strings)
        return cls(joined.text, _ends(joined.ends))

    def at(self, i: int) -> str:
        return self.text[self.ends[i] : self.ends[i + 1]]

    def all(self) -> list[str]:
        text = self.text
        return [text[begin:end] for begin, end in pairwise(self.ends)]

    @property
    def nbytes(self) -> int:
        return sys.getsizeof(self.text) + sys.getsizeof(self.ends)


@dataclass(frozen=True, slots=True)
class _Few:
    """Strings of which many are equal: string `i` is `values[codes[i]]`."""

    values: tuple[str, ...]
    codes: array[int]  # as narrow as the values allow

    def at(self, i: int) -> str:
        return self.values[self.codes[i]]

    def all(self) -> list[str]:
        return [self.values[code] for code in self.codes]

    @property
    def nbytes(self) -> int:
        return sum(map(sys.getsizeof, self.values)) + sys.getsizeof(self.codes)


_Texts = _Packed | _Few


@dataclass(frozen=True, slots=True)
class Page:
    """The predictions of one batch, as far as their outcomes need them, by row from 0 to `n`."""

    n: int
    nbytes: int  # estimated
    ids: _Texts
    models: _Texts
    texts: tuple[_Texts, ...]  # version, role, status, prediction, request_id
    timestamp: array[int]
    value: array[float]
    score: array[float]
    confidence: array[float]
    segment: tuple[array[int], _Texts, _Texts] | None  # ends as in `_Packed`, keys, values
    probabilities: tuple[array[int], _Texts, array[float]] | None  # likewise; `None` where no row has any

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
        timestamp = _array(np.asarray(columns["timestamp"], np.int64))
        value, score, confidence = (
            _numbers(columns.get(name), n) for name in ("prediction_value", "score", "confidence")
        )
        nbytes = _PAGE_BYTES + sum(map(sys.getsizeof, (timestamp, value, score, confidence)))
        nbytes += sum(text.nbytes for text in (ids, models, *texts))
        column, segment = columns.get("segment"), None
        if isinstance(column, MapColumn):
            segment = _ends(column.ends), _texts(column.keys), _texts(column.values)
            nbytes += sys.getsizeof(segment[0]) + segment[1].nbytes + segment[2].nbytes
        column, probabilities = columns.get("probabilities"), None
        if isinstance(column, MapColumn) and column.ends[-1]:
            given = _numbers(column.values, int(column.ends[-1]))
            probabilities = _ends(column.ends), _texts(column.keys), given
            nbytes += sys.getsizeof(probabilities[0]) + probabilities[1].nbytes + sys.getsizeof(given)
        return cls(n, nbytes, ids, models, texts, timestamp, value, score, confidence, segment, probabilities)

    def keys(self) -> tuple[list[str], list[str]]:
        """The models and the ids of all rows."""
        return self.models.all(), self.ids.all()

    def holds(self, row: int, model: str, prediction_id: str) -> bool:
        """Whether this prediction is in the row."""
        return self.ids.at(row) == prediction_id and self.models.at(row) == model

    def row(self, row: int, segments: dict[bytes, dict[str, str]]) -> Served:
        """The prediction of a row. Equal segments are made once a page and kept in `segments`, empty at first."""
        version, role, status, prediction, request_id = [text.at(row) for text in self.texts]
        return Served(
            version=version,
            role=role,
            timestamp_ms=self.timestamp[row],
            answered=status == "ok",
            prediction=prediction,
            prediction_value=self.value[row],
            score=self.score[row],
            confidence=self.confidence[row],
            request_id=request_id,
            segment=self._segment(row, segments),
            probabilities=self._probabilities(row),
        )

    def _probabilities(self, row: int) -> dict[str, float]:
        if self.probabilities is None:
            return {}
        ends, keys, values = self.probabilities
        return {keys.at(i): values[i] for i in range(ends[row], ends[row + 1])}

    def _segment(self, row: int, segments: dict[bytes, dict[str, str]]) -> dict[str, str]:
        if self.segment is None:
            return {}
        ends, keys, values = self.segment
        first, end = ends[row], ends[row + 1]
        if not (isinstance(keys, _Few) and isinstance(values, _Few)):
            return {keys.at(i): values.at(i) for i in range(first, end)}
        codes = keys.codes[first:end].tobytes() + values.codes[first:end].tobytes()
        found = segments.get(codes)
        if found is None:
            found = segments[codes] = {keys.at(i): values.at(i) for i in range(first, end)}
        return found


def _texts(column: Column) -> _Texts:
    if not isinstance(column, Coded):
        return _Packed.of(column.tolist() if isinstance(column, np.ndarray) else column)  # type: ignore[arg-type]
    values, codes = column.values, column.codes
    if len(values) > max(1, len(codes) // _SHARE):
        return _Packed.of([values[code] for code in codes.tolist()])
    return _Few(tuple(values), _array(codes.astype(np.min_scalar_type(max(0, len(values) - 1)))))


def _numbers(column: Column | None, n: int) -> array[float]:
    if column is None:
        return _array(np.full(n, np.nan))
    return _array(np.ma.filled(np.ma.asarray(column, np.float64), np.nan))


def _ends(ends: npt.NDArray[Any]) -> array[int]:
    from_zero = np.zeros(len(ends) + 1, np.uint32)
    from_zero[1:] = ends
    return _array(from_zero)


def _array(numbers: npt.NDArray[Any]) -> array[Any]:
    return array(numbers.dtype.char, numbers.tobytes())
