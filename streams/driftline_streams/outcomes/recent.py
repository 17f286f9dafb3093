"""The predictions of the last minutes, in memory: most labels that come soon find theirs here, without a query.

In the walk: `app.py` gives it the rows that `ingest` has stored, `join` asks it first.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.effects import Coded, Column, MapColumn, Rows
from driftline_streams.outcomes.truth import Served

_ROW_BITS = 24  # of a place in the index; a batch is far smaller than 16 million events
_ROW_MASK = (1 << _ROW_BITS) - 1
_BATCH_BYTES = 4_000  # of a batch of no events, measured
_SEGMENTS = 1_000  # different ones of a batch are kept as dicts
_EVENT_BYTES = 190  # of an event beside its arrays: the id, its entry in the index, the place; measured


class Recent:
    """A bounded map from (model, prediction id) to prediction; the oldest batches make room for new ones.

    Of several predictions with one id the first one remembered counts, as in the cold look-up, as long as it is here.

    Parameters
    ----------
    max_events, max_bytes
        Whichever is reached first. The bytes are an estimate, within a third of what the process pays.

    Attributes
    ----------
    hits, misses, evicted
        Counts of `find`s and of predictions that had to make room.
    """

    def __init__(self, max_events: int = 100_000, max_bytes: int = 32 << 20) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._numbers = itertools.count()
        self._batches: dict[int, _Batch] = {}  # oldest first
        self._index: dict[str, dict[str, int]] = {}  # model → prediction id → batch number and row
        self._events = 0
        self._bytes = 0
        self.hits = 0
        self.misses = 0
        self.evicted = 0

    def __len__(self) -> int:
        """Number of predictions held."""
        return self._events

    @property
    def nbytes(self) -> int:
        """Estimated memory."""
        return self._bytes

    def remember(self, rows: Rows) -> None:
        """Take in rows of the table `predictions`, by its column names; columns that are absent hold their defaults.

        The columns are copied where they could be views of something larger, never changed.
        """
        if rows.n == 0:
            return
        batch = _Batch.of(rows)
        number = next(self._numbers)
        self._batches[number] = batch
        for model, ids, places in batch.by_model(number << _ROW_BITS):
            index = self._index.setdefault(model, {})
            # Backwards, so that the first of several equal ids is the one that stays.
            fresh = dict(zip(reversed(ids), reversed(places), strict=True))
            for known in fresh.keys() & index.keys():
                del fresh[known]
            index.update(fresh)
        self._events += batch.n
        self._bytes += batch.nbytes
        while self._batches and (self._events > self._max_events or self._bytes > self._max_bytes):
            self._evict()

    def find(self, model: str, prediction_id: str) -> Served | None:
        """The prediction, or `None` when it is not here; the caller asks elsewhere."""
        index = self._index.get(model)
        place = index.get(prediction_id) if index is not None else None
        if place is None:
            self.misses += 1
            return None
        self.hits += 1
        return self._batches[place >> _ROW_BITS].row(place & _ROW_MASK)

    def _evict(self) -> None:
        number, batch = next(iter(self._batches.items()))
        del self._batches[number]
        for model, ids, places in batch.by_model(number << _ROW_BITS):
            index = self._index.get(model, {})  # gone when all that is left of the model are duplicates
            for prediction_id, place in zip(ids, places, strict=True):
                if index.get(prediction_id) == place:
                    del index[prediction_id]
            if not index:
                self._index.pop(model, None)
        self._events -= batch.n
        self._bytes -= batch.nbytes
        self.evicted += batch.n


_Texts = Coded | Sequence[str]
_Entries = tuple[npt.NDArray[np.uint64], _Texts, _Texts]  # as in `MapColumn`


@dataclass(frozen=True, slots=True)
class _Batch:
    n: int
    nbytes: int
    ids: Sequence[str]
    models: Coded
    texts: tuple[_Texts, ...]  # version, role, status, prediction, request_id
    timestamp: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.float64]  # (n, 2): prediction_value and score
    segment: _Entries | None
    segments: dict[bytes, dict[str, str]]  # by their codes: there are few different ones, and most labels need one

    @classmethod
    def of(cls, rows: Rows) -> _Batch:
        n, columns = rows.n, rows.columns
        texts = tuple(
            _texts(columns.get(name), n, default)
            for name, default in (
                ("version", ""),
                ("role", "champion"),
                ("status", "ok"),
                ("prediction", ""),
                ("request_id", ""),
            )
        )
        ids = list(_plain(columns["prediction_id"]))
        numbers = np.full((n, 2), np.nan)
        for i, name in enumerate(("prediction_value", "score")):
            if name in columns:
                numbers[:, i] = np.ma.filled(np.ma.asarray(columns[name], np.float64), np.nan)
        segment = columns.get("segment")
        kept = _copy(segment) if isinstance(segment, MapColumn) else None
        timestamp = np.array(columns["timestamp"], np.int64)
        models = _coded(columns["model"])
        size = _BATCH_BYTES + n * (_EVENT_BYTES + 24) + sum(map(len, ids)) + models.codes.nbytes
        size += sum(map(_size, texts)) + (_size(kept[1]) + _size(kept[2]) + 8 * n if kept is not None else 0)
        return cls(n, size, ids, models, texts, timestamp, numbers, kept, {})

    def by_model(self, base: int) -> list[tuple[str, Sequence[str], Sequence[int]]]:
        """Model, ids and places, for each model of the batch."""
        used = np.unique(self.models.codes)
        if len(used) == 1:
            return [(self.models.values[int(used[0])], self.ids, range(base, base + self.n))]
        found: list[tuple[str, Sequence[str], Sequence[int]]] = []
        for code in used.tolist():
            rows = np.flatnonzero(self.models.codes == code).tolist()
            found.append((self.models.values[code], [self.ids[row] for row in rows], [base + row for row in rows]))
        return found

    def row(self, row: int) -> Served:
        version, role, status, prediction, request_id = [_at(column, row) for column in self.texts]
        value, score = self.numbers[row].tolist()
        return Served(
            version=version,
            role=role,
            timestamp_ms=int(self.timestamp[row]),
            answered=status == "ok",
            prediction=prediction,
            prediction_value=value,
            score=score,
            request_id=request_id,
            segment=self._segment(row),
        )

    def _segment(self, row: int) -> dict[str, str]:
        if self.segment is None:
            return {}
        ends, keys, values = self.segment
        first, end = ends.item(row - 1) if row else 0, ends.item(row)
        if not (isinstance(keys, Coded) and isinstance(values, Coded)):
            return {_at(keys, i): _at(values, i) for i in range(first, end)}
        codes = keys.codes[first:end].tobytes() + values.codes[first:end].tobytes()
        found = self.segments.get(codes)
        if found is None:
            found = {_at(keys, i): _at(values, i) for i in range(first, end)}
            if len(self.segments) < _SEGMENTS:
                self.segments[codes] = found
        return found


def _at(column: _Texts, row: int) -> str:
    return column.values[column.codes.item(row)] if isinstance(column, Coded) else column[row]


def _plain(column: Column) -> Sequence[str]:
    if isinstance(column, Coded):
        return [column.values[code] for code in column.codes.tolist()]
    return column.tolist() if isinstance(column, np.ndarray) else column  # type: ignore[return-value]


def _coded(column: Column) -> Coded:
    if isinstance(column, Coded):
        return _copy_coded(column)
    index: dict[str, int] = {}
    codes = [index.setdefault(value, len(index)) for value in _plain(column)]
    return Coded(tuple(index), np.array(codes, np.uint32))


def _copy_coded(column: Coded) -> Coded:
    return Coded(tuple(column.values), np.array(column.codes))


def _texts(column: Column | None, n: int, default: str) -> _Texts:
    if column is None:
        return Coded.constant(default, n)
    return _copy_coded(column) if isinstance(column, Coded) else list(_plain(column))


def _copy(column: MapColumn) -> _Entries:
    entries = int(column.ends[-1])
    return np.array(column.ends, np.uint64), _texts(column.keys, entries, ""), _texts(column.values, entries, "")


def _size(column: _Texts) -> int:
    if isinstance(column, Coded):
        return int(column.codes.nbytes) + 60 * len(column.values)
    distinct = set(column)  # equal strings are mostly one object: decoders and factorizations share them
    return 8 * len(column) + 58 * len(distinct) + sum(map(len, distinct))
