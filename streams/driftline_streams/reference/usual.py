"""How the hours and the days of a reference differ from its others.

In the walk: a step of `build`. What is measured is what `detect` measures of test windows: KS, PSI, the difference of
the means and that of the missing values. Each window is compared with all others, of a signal with a rhythm with those
of the same hour, or day of the week.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from driftline_schemas.spec import Profile, Rhythm, Usual
from driftline_streams.kernel import divergence, moments, rhythm
from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.kernel.limits import DAY_MS, MAX_MAGNITUDE
from driftline_streams.kernel.rhythm import HOUR_MS
from driftline_streams.kernel.usual import LEAST, level
from driftline_streams.reference.profile import Binned

WIDTHS_MS = (HOUR_MS, DAY_MS)
MAX_WINDOWS = 400  # of a width: so many give a deviation to 4 %
LEAST_EVENTS = 50  # of a window: a smaller one shows chance more than itself


def with_usual(columns: Mapping[str, Binned], times_ms: Ints, known: Rhythm | None) -> dict[str, Profile]:
    """The profiles of all columns (of the same events, at `times_ms`) with what is usual of their windows."""
    found: dict[str, list[Usual]] = {name: [] for name in columns}
    for width_ms in WIDTHS_MS:
        window, starts = _windows(times_ms, width_ms)
        if len(starts) < LEAST:
            continue
        for name, column in columns.items():
            slots = known.slots if known is not None and name in known.counts else None
            usual = _usual(column, window, _alike(starts, width_ms, slots), width_ms)
            found[name] += [] if usual is None else [usual]
    return {name: msgspec.structs.replace(column.profile, usual=found[name]) for name, column in columns.items()}


def _windows(times_ms: Ints, width_ms: int) -> tuple[Ints, Ints]:
    """The window of each event, -1 for those that are left out, and the starts of the windows.

    One with far fewer events than most says little of what they are like.
    """
    starts, place, counts = np.unique(times_ms // width_ms, return_inverse=True, return_counts=True)
    full = np.flatnonzero(counts >= max(LEAST_EVENTS, np.median(counts) / 2)) if len(counts) else counts
    chosen = np.unique(np.linspace(0, len(full) - 1, min(MAX_WINDOWS, len(full))).round().astype(np.int64))
    kept = full[chosen] if len(full) else full
    number = np.full(len(starts), -1, np.int64)
    number[kept] = np.arange(len(kept))
    return number[place], starts[kept] * width_ms


def _alike(starts_ms: Ints, width_ms: int, slots: int | None) -> Ints:
    """The kind of each window: those of a kind are compared with each other."""
    if slots is None or (width_ms == DAY_MS and slots == rhythm.DAY):
        return np.zeros(len(starts_ms), np.int64)
    return rhythm.slot(starts_ms, slots)


def _usual(column: Binned, window: Ints, kind: Ints, width_ms: int) -> Usual | None:
    """What is usual of one column; `None` when fewer than `LEAST` windows have values and others of their kind."""
    inside, windows = window >= 0, len(kind)
    bins = len(column.labels) + 1  # the last one counts what is missing
    place = np.where(column.bin >= 0, column.bin, bins - 1)[inside] + bins * window[inside]
    table: Floats = np.bincount(place, minlength=windows * bins).reshape(windows, bins).astype(np.float64)
    others = _others(table, kind)
    counts, other_counts = table[:, :-1], others[:, :-1]
    n, other_n = counts.sum(axis=1), other_counts.sum(axis=1)
    enough = np.flatnonzero((n >= LEAST_EVENTS) & (other_n >= LEAST_EVENTS))
    if len(enough) < LEAST:
        return None
    counts, other_counts = counts[enough], other_counts[enough]
    numeric = column.values is not None
    ours, theirs = counts, other_counts
    if numeric:
        group = np.tile(divergence.coarse_bins(np.array(column.profile.counts, np.int64)), (len(enough), 1))
        ours, theirs = divergence.sum_by(group, counts), divergence.sum_by(group, other_counts)
    missing, other_missing = (side[enough, -1] / side[enough].sum(axis=1) for side in (table, others))
    usual = Usual(
        width_s=width_ms // 1000,
        n=len(enough),
        psi=level(divergence.psi(*divergence.pooled(ours, theirs)), "psi"),
        nulls=level(missing - other_missing, "nulls"),
    )
    if column.values is None:
        return usual
    present = inside & (column.bin >= 0)
    sums: Floats = np.bincount(window[present], column.values[present].clip(-MAX_MAGNITUDE, MAX_MAGNITUDE), windows)[
        :, None
    ].astype(np.float64)
    means, other_means = sums[enough, 0] / n[enough], _others(sums, kind)[enough, 0] / other_n[enough]
    unit = moments.deviation(column.profile.moments)
    moved = (means - other_means) / unit if unit > 0 else np.zeros(len(enough))
    return msgspec.structs.replace(
        usual, ks=level(divergence.ks(counts, other_counts), "ks"), mean=level(moved, "mean")
    )


def _others(table: Floats, kind: Ints) -> Floats:
    """The sums of the other windows of the same kind; shape as `table`, `(windows, …)`."""
    kinds, place = np.unique(kind, return_inverse=True)
    total = np.zeros((len(kinds), table.shape[1]))
    np.add.at(total, place, table)
    return np.asarray(total[place] - table, np.float64)
