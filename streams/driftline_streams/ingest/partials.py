"""The message to `detect`: what one batch adds to the windows of each model version.

In the walk: the last effect of a batch. Thousands of events become a few kilobytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

import msgspec
import numpy as np

from driftline_schemas.records import Partial
from driftline_streams.ingest.cells import Segments
from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.features import FeatureSums
from driftline_streams.ingest.sliced import sliced
from driftline_streams.ingest.windows import WindowSums
from driftline_streams.kernel.histogram import Ints
from driftline_streams.kernel.limits import MAX_PARTIAL_BYTES

_encode = msgspec.json.Encoder().encode
_LAST = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Source:
    """Where events were read from: the offsets `first` to `last` of one partition, but for the last `left` events."""

    topic: str
    partition: int
    first: int
    last: int
    left: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """The earliest and the latest event time of a model in a batch, in epoch ms."""

    earliest_ms: int
    latest_ms: int


def spans(columns: Columns) -> dict[str, Span]:
    """The span of each model that has events."""
    places = {model: place for place, model in enumerate(dict.fromkeys(v.model for v in columns.versions))}
    model = np.array([places[version.model] for version in columns.versions], np.int64)[columns.version]
    earliest, latest = np.full(len(places), _LAST), np.full(len(places), -_LAST)
    np.minimum.at(earliest, model, columns.time_ms)
    np.maximum.at(latest, model, columns.time_ms)
    found = zip(places, earliest.tolist(), latest.tolist(), strict=True)
    return {name: Span(first, last) for name, first, last in found if first <= last}


def encode(
    source: Source, offset: Ints, windows: WindowSums, features: FeatureSums, reach: Mapping[str, Span]
) -> list[tuple[Partial, bytes]]:
    """One record for each of the versions that has events, with its JSON; `offset` has the events', shape `(n,)`.

    Only the last record of a model says how far the batch has come (`reach` has the span of each model). Those before
    it say where the batch begins, for a window must not close on the word of one version while the events of the next
    are still to come.

    No message is longer than `MAX_PARTIAL_BYTES`: a longer one (many features, or many windows when a backlog is read)
    is replaced by those of parts of its events, named by the offsets they cover: sums do not mind. That ends at a
    single event, whose message is bounded by the bounds on its features.
    """
    columns = windows.columns
    n = np.bincount(columns.version, minlength=len(columns.versions))
    sizes = windows.sizes() + features.sizes()
    # Records that are surely too long are not even made: making them is most of what a sparse backlog costs.
    parts = np.where(n > 1, np.minimum(n, sizes // (MAX_PARTIAL_BYTES * 3 // 4) + 1), 1)
    whole = (n > 0) & (parts == 1)
    window_cells, feature_cells = windows.records(whole), features.records(whole)
    last = {version.model: place for place, version in enumerate(columns.versions) if n[place]}
    out: list[tuple[Partial, bytes]] = []
    for place in np.flatnonzero(n).tolist():
        version = columns.versions[place]
        span = reach[version.model]
        mine = span if place == last[version.model] else Span(span.earliest_ms, span.earliest_ms)
        if whole[place]:
            record = Partial(
                model=version.model,
                version=version.name,
                topic=source.topic,
                partition=source.partition,
                first=source.first,
                last=source.last,
                left=source.left,
                watermark_ms=mine.latest_ms,
                window_ms=version.spec.window_s * 1000,
                feature_window_ms=version.spec.feature_window_s * 1000,
                reference=version.reference.id if version.reference is not None else "",
                windows=window_cells[place],
                features=feature_cells[place],
                slices=sliced(features, place),
            )
            value = _encode(record)
            if len(value) <= MAX_PARTIAL_BYTES or n[place] == 1:
                out.append((record, value))
                continue
        rows = np.flatnonzero(columns.version == place)
        # In this order, parts are the same whichever way an event was read.
        rows = rows[np.lexsort((columns.position[rows], offset[rows]))]
        for covered, part, so_far in _parts(source, offset, rows, max(2, int(parts[place])), mine):
            of_part = columns.take(part)
            segments = Segments.of(of_part)
            again = np.flatnonzero(np.isin(part, features.repeated))
            sums = FeatureSums.of(of_part, segments, features.watchlists, again)
            out += encode(covered, offset[part], WindowSums.of(of_part, segments), sums, {version.model: so_far})
    return out


def _parts(source: Source, offset: Ints, rows: Ints, parts: int, span: Span) -> Iterator[tuple[Source, Ints, Span]]:
    """So many parts of the events at `rows`: what each covers of the source, its rows, and how far it has come."""
    first, end = source.first, 0
    pieces = np.array_split(rows, parts)
    for piece, following in zip_longest(pieces, pieces[1:]):
        end += len(piece)
        last, left, latest_ms = source.last, source.left, span.latest_ms
        if following is not None:
            border, latest_ms = int(offset[following[0]]), span.earliest_ms
            within = offset[piece[-1]] == border  # a frame
            last = border if within else border - 1
            left = int((offset[rows[end:]] == border).sum()) + source.left * (last == source.last) if within else 0
        covered = Source(source.topic, source.partition, first, last, left)
        yield covered, np.sort(piece), Span(span.earliest_ms, latest_ms)
        first = last if left else last + 1
