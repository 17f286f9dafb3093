"""Raw rows: every event that was admitted, as it came, for the table `predictions`.

In the walk: the first effect of a batch; analysts and late labels find the events here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.entries import Entries, entries_of
from driftline_streams.ingest.event import NO_CONTEXT, Event
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel.effects import Coded, Column, MapColumn, Rows
from driftline_streams.kernel.histogram import Ints


def raw_rows(columns: Columns, source: tuple[str, int], offset: Ints, now_ms: int) -> Rows:
    """The rows of all events, read from `source` (topic, partition) at `offset` (shape `(n,)`), stored at `now_ms`."""
    n, events = columns.n, columns.events
    topic, partition = source
    errors = [event.error for event in events]
    return Rows(
        "predictions",
        n,
        {
            "prediction_id": [event.prediction_id for event in events],
            "model": Texts.of([version.model for version in columns.versions]).column(columns.version),
            "version": Texts.of([version.name for version in columns.versions]).column(columns.version),
            "timestamp": columns.time_ms,
            "latency_ms": columns.latency_ms,
            "status": Coded(("ok", "error"), columns.failed.astype(np.uint8)),
            "error_type": Texts.of([error.type if error else "" for error in errors]).column(),
            "error_message": _texts([error.message if error else "" for error in errors]),
            "prediction": columns.label.column(),
            "prediction_value": columns.value,
            "score": columns.score,
            "confidence": columns.confidence,
            "probabilities": _probabilities(events),
            "nums": _numbers(columns.features),
            "cats": _categories(columns.features),
            "segment": _categories(columns.segment),
            "role": Texts.of([event.role for event in events]).column(),
            "request_id": _texts([event.request_id for event in events]),
            "user_id": _texts([event.user_id for event in events]),
            "trace_id": _texts([event.trace_id for event in events]),
            "span_id": _texts([event.span_id for event in events]),
            "context": _contexts(events),
            "topic": Coded.constant(topic, n),
            "partition": np.full(n, partition, np.uint32),
            "offset": offset.astype(np.uint64),
            "ingested_at": np.full(n, now_ms, np.int64),
        },
    )


def _texts(values: Sequence[str | None]) -> Column:
    """Strings, coded when they are all the same, as they are when a field is not used or has one value."""
    first = values[0] if values else None
    if values.count(first) == len(values):
        return Coded.constant(first or "", len(values))
    return [value or "" for value in values]


def _contexts(events: Sequence[Event]) -> Column:
    contexts = [event.context for event in events]
    if all(context is NO_CONTEXT for context in contexts):
        return Coded.constant("{}", len(events))
    return [str(context, "utf-8") for context in contexts]


def _probabilities(events: Sequence[Event]) -> MapColumn:
    entries = entries_of([event.probabilities or {} for event in events])
    return MapColumn(entries.ends, entries.key.column(), entries.value.number)


def _numbers(entries: Entries) -> MapColumn:
    is_text = entries.value.text.code != NO_TEXT
    # A null has no type of its own: it is a missing number unless its feature shows only texts in this batch.
    seen = np.zeros((2, len(entries.key.values)), np.bool_)
    seen[0, entries.key.code[is_text]] = True
    seen[1, entries.key.code[~np.isnan(entries.value.number)]] = True
    chosen = ~is_text & ~(seen[0] & ~seen[1])[entries.key.code]
    keys = entries.key.column(chosen)
    return MapColumn(entries.ends_of(chosen), keys, entries.value.number[chosen])


def _categories(entries: Entries) -> MapColumn:
    chosen = entries.value.text.code != NO_TEXT
    keys = entries.key.column(chosen)
    return MapColumn(entries.ends_of(chosen), keys, entries.value.text.column(chosen))
