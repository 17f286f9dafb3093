"""Raw rows: every event that was admitted, as it came, for the table `predictions`.

In the walk: the first effect of a batch; analysts and late labels find the events here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.entries import Entries
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel.effects import Coded, Column, MapColumn, Rows
from driftline_streams.kernel.histogram import Ints


def raw_rows(columns: Columns, source: tuple[str, int], offset: Ints, now_ms: int) -> Rows:
    """The rows of all events, read from `source` (topic, partition) at `offset` (shape `(n,)`), stored at `now_ms`."""
    n = columns.n
    topic, partition = source
    return Rows(
        "predictions",
        n,
        {
            **{name: _texts(values) for name, values in columns.strings.items()},
            "model": Texts.of([version.model for version in columns.versions]).column(columns.version),
            "version": Texts.of([version.name for version in columns.versions]).column(columns.version),
            "timestamp": columns.time_ms,
            "latency_ms": columns.latency_ms,
            "status": Coded(("ok", "error"), columns.failed.astype(np.uint8)),
            "prediction": columns.label.column(),
            "prediction_value": columns.value,
            "score": columns.score,
            "confidence": columns.confidence,
            "probabilities": MapColumn(
                columns.probabilities.ends, columns.probabilities.key.column(), columns.probabilities.value.number
            ),
            "nums": _numbers(columns.features),
            "cats": _categories(columns.features),
            "segment": _categories(columns.segment),
            "topic": Coded.constant(topic, n),
            "partition": np.full(n, partition, np.uint32),
            "offset": offset.astype(np.uint64),
            "ingested_at": np.full(n, now_ms, np.int64),
        },
    )


def _texts(values: Sequence[str]) -> Column:
    """Strings, coded when they are all the same, as they are when a field is not used or has one value."""
    return Coded.constant(values[0], len(values)) if values.count(values[0]) == len(values) else values


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
