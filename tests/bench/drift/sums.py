"""Windows as `ingest` sums them, made from columns: what `detect` is given when there are no events to decode."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np

from driftline_schemas.records import Errors, FeatureCell, Moments, Partial
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.kernel.histogram import BINS, Ints, bin_index, tally

from .streams import ERRORS, Column, Stream, numeric

TOPIC, VERSION = "bench.predictions", "1"
_LABELS = [str(index) for index in range(BINS)]
_encode = msgspec.json.Encoder().encode


class _Summed(NamedTuple):
    """One signal in every window."""

    moments: list[Moments]
    bins: list[dict[str, int]]


def messages(stream: Stream, spec: ModelSpec, reference: Reference) -> Iterator[bytes]:
    """A partial for each window that holds events, and where it is known who was wrong, what was; in order of time."""
    width_ms = spec.feature_window_s * 1000
    windows = list(stream.windows(width_ms))
    begin, end = (np.array(side) for side in zip(*windows, strict=True))
    starts = (stream.time_ms[begin] // width_ms * width_ms).tolist()
    summed = {
        f"feature:{name}": _sum(column, begin, end, reference.signals[f"feature:{name}"].edges)
        for name, column in stream.columns.items()
        if name != ERRORS
    }
    for number, (start_ms, first, after) in enumerate(zip(starts, begin.tolist(), end.tolist(), strict=True)):
        if ERRORS in stream.columns:
            yield _errors(stream, spec, number, slice(first, after))
        cell = FeatureCell(
            window_ms=start_ms,
            n=after - first,
            moments={signal: each.moments[number] for signal, each in summed.items()},
            bins={signal: each.bins[number] for signal, each in summed.items()},
        )
        yield _encode(
            Partial(
                model=spec.model,
                version=VERSION,
                topic=TOPIC,
                partition=0,
                first=first,
                last=after - 1,
                watermark_ms=start_ms + width_ms,  # the next event has come: it closes the window
                window_ms=spec.window_s * 1000,
                feature_window_ms=width_ms,
                reference=reference.id,
                windows=[],
                features=[cell],
            )
        )


def _errors(stream: Stream, spec: ModelSpec, number: int, part: slice) -> bytes:
    wrong = stream.columns[ERRORS][part]
    return _encode(
        Errors(
            model=spec.model,
            version=VERSION,
            name=f"errors:{number}",
            start_ms=int(stream.time_ms[part][0]),
            end_ms=int(stream.time_ms[part][-1]),
            wrong="".join("1" if each else "0" for each in wrong.tolist()),
            confident=0,
        )
    )


def _sum(column: Column, begin: Ints, end: Ints, edges: list[float]) -> _Summed:
    window = np.repeat(np.arange(len(begin)), end - begin)
    if not numeric(column):
        names, code = np.unique(column, return_inverse=True)
        counts = [Moments(n, 0, 0.0, 0.0, 0.0, 0.0) for n in (end - begin).tolist()]
        return _Summed(counts, _counted(window, code, names.tolist(), len(begin)))
    there = np.isfinite(column)
    values = np.where(there, column, 0.0)
    n = np.add.reduceat(there, begin, dtype=np.int64)
    nulls = end - begin - n
    least = np.minimum.reduceat(np.where(there, column, np.inf), begin)
    most = np.maximum.reduceat(np.where(there, column, -np.inf), begin)
    total, squares = np.add.reduceat(values, begin), np.add.reduceat(values * values, begin)
    bounds = np.where(n > 0, least, 0.0), np.where(n > 0, most, 0.0)
    moments = map(Moments, *(each.tolist() for each in (n, nulls, total, squares, *bounds)))
    return _Summed(list(moments), _counted(window[there], bin_index(column[there], edges), _LABELS, len(begin)))


def _counted(window: Ints, code: Ints, names: list[str], windows: int) -> list[dict[str, int]]:
    present, counts = tally(window * len(names) + code, windows * len(names))
    borders = np.searchsorted(present, np.arange(windows + 1) * len(names)).tolist()
    labels, listed = [names[place] for place in (present % len(names)).tolist()], counts.tolist()
    return [dict(zip(labels[first:after], listed[first:after], strict=True)) for first, after in pairwise(borders)]
