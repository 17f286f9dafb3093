"""The message to `detect`: what one batch adds to the windows of each model version.

In the walk: the last effect of a batch. Thousands of events become a few kilobytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from driftline_schemas.records import Partial
from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.features import FeatureSums
from driftline_streams.ingest.windows import WindowSums
from driftline_streams.kernel.histogram import Ints
from driftline_streams.kernel.limits import MAX_PARTIAL_BYTES

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Source:
    """Where events were read from: the offsets `first` to `last` of one partition."""

    topic: str
    partition: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Span:
    """The earliest and the latest event time of a model in a batch, in epoch ms."""

    earliest_ms: int
    latest_ms: int


def spans(columns: Columns) -> dict[str, Span]:
    """The span of each model that has events."""
    found: dict[str, Span] = {}
    for place in np.flatnonzero(np.bincount(columns.version)).tolist():
        times, model = columns.time_ms[columns.version == place], columns.versions[place].model
        mine = Span(int(times.min()), int(times.max()))
        other = found.get(model, mine)
        found[model] = Span(min(mine.earliest_ms, other.earliest_ms), max(mine.latest_ms, other.latest_ms))
    return found


def partials(source: Source, windows: WindowSums, features: FeatureSums, reach: Mapping[str, Span]) -> list[Partial]:
    """One record for each of the versions that has events, in their order; `reach` has the span of each model.

    Only the last record of a model says how far the batch has come. Those before it say where the batch begins, for a
    window must not close on the word of one version while the events of the next are still to come.
    """
    columns = windows.columns
    window_cells, feature_cells = windows.records(), features.records()
    last = {version.model: place for place, version in enumerate(columns.versions) if window_cells[place]}
    return [
        Partial(
            model=version.model,
            version=version.name,
            topic=source.topic,
            partition=source.partition,
            first=source.first,
            last=source.last,
            watermark_ms=reach[version.model].latest_ms
            if place == last[version.model]
            else reach[version.model].earliest_ms,
            window_ms=version.spec.window_s * 1000,
            feature_window_ms=version.spec.feature_window_s * 1000,
            reference=version.reference.id if version.reference is not None else "",
            windows=window_cells[place],
            features=feature_cells[place],
        )
        for place, version in enumerate(columns.versions)
        if window_cells[place]
    ]


def encode(
    source: Source, offset: Ints, windows: WindowSums, features: FeatureSums, reach: Mapping[str, Span]
) -> list[tuple[Partial, bytes]]:
    """`partials` with their JSON, each of at most `MAX_PARTIAL_BYTES`; `offset` has the events', shape `(n,)`.

    A longer one (many features, or many windows when a backlog is read) is replaced by the partials of the two halves
    of its events, named by the offsets they cover: sums do not mind. That ends at a single event, whose partial is
    bounded by the bounds on its features.
    """
    columns = windows.columns
    out: list[tuple[Partial, bytes]] = []
    for record in partials(source, windows, features, reach):
        value = _encode(record)
        if len(value) <= MAX_PARTIAL_BYTES or len(columns.of_version(record.model, record.version)) == 1:
            out.append((record, value))
            continue
        mine = columns.of_version(record.model, record.version)
        mine = mine[np.argsort(offset[mine], kind="stable")]
        middle, begin_ms = len(mine) // 2, reach[record.model].earliest_ms
        border = int(offset[mine[middle]])
        halves = (
            (mine[:middle], source.first, border - 1, begin_ms),
            (mine[middle:], border, source.last, record.watermark_ms),
        )
        for events, first, last, watermark_ms in halves:
            half = np.sort(events)
            of_half = columns.take(half)
            part, so_far = Source(source.topic, source.partition, first, last), Span(begin_ms, watermark_ms)
            out += encode(part, offset[half], WindowSums.of(of_half), FeatureSums.of(of_half), {record.model: so_far})
    return out
