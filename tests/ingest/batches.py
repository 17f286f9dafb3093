"""Batches of events, and what is in the effects of one."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import msgspec

from driftline_schemas.records import FeatureCell, Moments, Partial, Rejected
from driftline_streams.ingest import IngestResult
from driftline_streams.kernel.effects import Coded, Column, MapColumn, Rows

from ..memory_batch import MemoryBatch

NOW_MS = 1_790_000_000_000


def event(**fields: Any) -> dict[str, Any]:
    """A small valid event with some fields replaced or added."""
    return {
        "prediction_id": "p1",
        "model": "delays",
        "version": "1",
        "timestamp": NOW_MS - 60_000,
        "latency_ms": 12.5,
        "prediction": "late",
        **fields,
    }


def batch_of(*events: Mapping[str, Any] | bytes | None, first: int = 100) -> MemoryBatch:
    """A batch of events, or of the bytes themselves."""
    values = [e if e is None or isinstance(e, bytes) else msgspec.json.encode(e) for e in events]
    return MemoryBatch(values, first, partition=3)


def rows_of(result: IngestResult, table: str) -> list[dict[str, Any]]:
    """The rows for one table as plain values; NaN in plain columns is `None`, as it is in Nullable columns."""
    found = [rows for rows in result.effects.rows if rows.table == table]
    return [row for rows in found for row in _plain_rows(rows)]


def partials_of(result: IngestResult) -> list[Partial]:
    """The partials among the messages."""
    return [
        msgspec.json.decode(message.value or b"", type=Partial)
        for message in result.effects.messages
        if message.topic.endswith(".partials")
    ]


def sliced_of(partial: Partial) -> dict[tuple[int, str, str], FeatureCell]:
    """The cells of segments in a partial, unpacked, by window, key and value."""
    slices = partial.slices
    if slices is None:
        return {}
    names = list(zip(slices.window_ms, slices.dim, slices.value, strict=True))
    assert len(set(names)) == len(names)
    cells = {
        name: FeatureCell(window_ms=name[0], n=n, moments={}, bins={}, issues=issues)
        for name, n, issues in zip(names, slices.n, slices.issues, strict=True)
    }
    groups = list(accumulate(_integers(slices.groups)))
    sums = struct.unpack(f"<{4 * len(groups)}d", slices.sums)
    of_groups = [(cells[names[at // len(slices.signals)]], slices.signals[at % len(slices.signals)]) for at in groups]
    for i, (cell, signal) in enumerate(of_groups):
        counts = _integers(slices.present)[i], _integers(slices.nulls)[i]
        cell.moments[signal] = Moments(*counts, *sums[i :: len(groups)])
    for entry, count in zip(accumulate(_integers(slices.entries)), _integers(slices.counts), strict=True):
        cell, signal = of_groups[entry // len(slices.labels)]
        cell.bins.setdefault(signal, {})[slices.labels[entry % len(slices.labels)]] = count
    return cells


def _integers(packed: bytes) -> tuple[int, ...]:
    size = {1: "B", 2: "H", 4: "I", 8: "Q"}[packed[0]]
    return struct.unpack(f"<{(len(packed) - 1) // packed[0]}{size}", packed[1:])


def rejects_of(result: IngestResult) -> list[Rejected]:
    """The rejects among the messages."""
    return [
        msgspec.json.decode(message.value or b"", type=Rejected)
        for message in result.effects.messages
        if message.topic.endswith(".rejected")
    ]


def _plain_rows(rows: Rows) -> list[dict[str, Any]]:
    columns = {name: _plain(column) for name, column in rows.columns.items()}
    assert {len(column) for column in columns.values()} == {rows.n}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _plain(column: Column, nan_is_null: bool = True) -> list[Any]:
    if isinstance(column, Coded):
        assert len(set(column.values)) == len(column.values), "a dictionary holds every value once"
        return [column.values[code] for code in column.codes.tolist()]
    if isinstance(column, MapColumn):
        keys, values = _plain(column.keys), _plain(column.values, nan_is_null=False)
        ends = column.ends.tolist()
        assert len(keys) == len(values) == (ends[-1] if ends else 0)
        out = []
        for start, end in zip([0, *ends], ends, strict=False):
            entries = dict(zip(keys[start:end], values[start:end], strict=True))
            assert len(entries) == end - start, "a map holds every key once"
            out.append(entries)
        return out
    plain = list(column) if isinstance(column, Sequence) else column.tolist()  # type: ignore[union-attr]
    return [None if nan_is_null and value != value else value for value in plain]  # noqa: PLR0124  # NaN
