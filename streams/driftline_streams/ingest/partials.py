"""The message to `detect`: what one batch adds to the windows of each model version.

In the walk: the last effect of a batch. Thousands of events become a few kilobytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

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


def partials(source: Source, columns: Columns, windows: WindowSums, features: FeatureSums) -> list[Partial]:
    """One record for each of `columns.versions` that has events, in their order."""
    latest: dict[str, int] = {}
    for place, time_ms in zip(columns.version.tolist(), columns.time_ms.tolist(), strict=True):
        model = columns.versions[place].model
        latest[model] = max(time_ms, latest.get(model, time_ms))
    window_cells, feature_cells = windows.records(), features.records()
    return [
        Partial(
            model=version.model,
            version=version.name,
            topic=source.topic,
            partition=source.partition,
            first=source.first,
            last=source.last,
            watermark_ms=latest[version.model],
            window_ms=version.spec.window_s * 1000,
            feature_window_ms=version.spec.feature_window_s * 1000,
            reference=version.reference.id if version.reference is not None else "",
            windows=window_cells[place],
            features=feature_cells[place],
        )
        for place, version in enumerate(columns.versions)
        if window_cells[place]
    ]


def encode(source: Source, offset: Ints, windows: WindowSums, features: FeatureSums) -> list[tuple[Partial, bytes]]:
    """The partials with their JSON, each of at most `MAX_PARTIAL_BYTES`; `offset` has the events', shape `(n,)`.

    A longer one (many features, or many windows when a backlog is read) is replaced by the partials of the two halves
    of its events, named by the offsets they cover: sums do not mind. That ends at a single event, whose partial is
    bounded by the bounds on its features.
    """
    columns = windows.columns
    out: list[tuple[Partial, bytes]] = []
    for record in partials(source, columns, windows, features):
        value = _encode(record)
        if len(value) <= MAX_PARTIAL_BYTES or len(columns.of_version(record.model, record.version)) == 1:
            out.append((record, value))
            continue
        mine = columns.of_version(record.model, record.version)
        middle = len(mine) // 2
        border = int(offset[mine[middle]])
        for half, first, last in ((mine[:middle], source.first, border - 1), (mine[middle:], border, source.last)):
            of_half = columns.take(half)
            part = Source(source.topic, source.partition, first, last)
            out += encode(part, offset[half], WindowSums.of(of_half), FeatureSums.of(of_half))
    return out
