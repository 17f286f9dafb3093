"""Raw rows: every event that was admitted, as it came, for the table `predictions`.

In the walk: the first effect of a batch; analysts and late labels find the events here.
"""

from __future__ import annotations

import numpy as np

from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.entries import Labels, Numbers, ends_of
from driftline_streams.ingest.event import OPTIONAL_TEXTS
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel.effects import Coded, Column, MapColumn, Rows
from driftline_streams.kernel.histogram import Ints
from driftline_streams.kernel.joined import Joined


def raw_rows(columns: Columns, ids: Joined, source: tuple[str, int], offset: Ints, now_ms: int) -> Rows:
    """The rows of all events, read from `source` (topic, partition) at `offset` (shape `(n,)`), stored at `now_ms`."""
    n = columns.n
    topic, partition = source
    return Rows(
        "predictions",
        n,
        {
            "prediction_id": ids,
            **{name: _texts(columns.stored.get(name), empty, n) for name, empty in _STORED.items()},
            "model": Texts.of([version.model for version in columns.versions]).column(columns.version),
            "version": Texts.of([version.name for version in columns.versions]).column(columns.version),
            "timestamp": columns.time_ms,
            "latency_ms": columns.latency_ms,
            "status": Coded(("ok", "error"), columns.failed.astype(np.uint8)),
            "prediction": columns.label.column(),
            "prediction_value": columns.value,
            "score": columns.score,
            "confidence": columns.confidence,
            "probabilities": _numbers(columns.probabilities),
            "nums": _numbers(columns.numbers),
            "cats": _texts_by_name(columns.labels),
            "segment": _texts_by_name(columns.segment),
            "topic": Coded.constant(topic, n),
            "partition": np.full(n, partition, np.uint32),
            "offset": offset.astype(np.uint64),
            "position": columns.position,
            "frame_size": columns.frame_size,
            "ingested_at": np.full(n, now_ms, np.int64),
        },
    )


# What stands in the columns that are only stored when an event has nothing for them.
_STORED = dict.fromkeys(("role", "error_type", "error_message", *OPTIONAL_TEXTS), "") | {"context": "{}"}


def _texts(texts: Texts | list[str] | None, empty: str, n: int) -> Column:
    if texts is None:
        return Coded.constant(empty, n)
    if isinstance(texts, Texts):
        return texts.column()
    return [text or empty for text in texts] if empty else texts


def _numbers(entries: Numbers) -> MapColumn:
    return MapColumn(ends_of(entries.row, entries.n), entries.key.column(), entries.value)


def _texts_by_name(entries: Labels) -> MapColumn:
    there = entries.value.code != NO_TEXT
    if there.all():
        return MapColumn(ends_of(entries.row, entries.n), entries.key.column(), entries.value.column())
    return MapColumn(ends_of(entries.row[there], entries.n), entries.key.column(there), entries.value.column(there))
