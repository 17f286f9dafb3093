"""Which signals move with the hour of the day or of the week, learned from the times of the events.

In the walk: a step of `build`. A rhythm is what comes back: a signal is kept when its days (or weeks) predict each day
that was left out better than all hours together do. A month of which one Monday was odd has no rhythm of Mondays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from driftline_schemas.spec import Rhythm
from driftline_streams.kernel import rhythm as hours
from driftline_streams.kernel import significance
from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.kernel.limits import DAY_MS, MAX_MAGNITUDE
from driftline_streams.reference.profile import Binned

MIN_DAYS = 3  # for the hours of the day: each is seen three times
MIN_WEEKS = 3  # for those of the week
P_VALUE = 1e-3
# Of what a signal varies, so much at least is explained by the hour: its level moves by a seventh of its deviation, or
# hours differ from the whole by a PSI of a tenth of what counts as drift. Smaller rhythms are no reason for a finding.
MIN_EFFECT = 0.02


class Movement(NamedTuple):
    """How one signal moves: sums over its slots and the effect, as a share of its variance, on periods left out."""

    effect: float
    counts: list[list[int]]  # shape (slots, coarse bins)
    means: list[float]  # shape (slots,), 0 where there is no value
    deviations: list[float]


class Rhythms(NamedTuple):
    """The rhythm of a reference with all signals that have one, and the effect of each."""

    rhythm: Rhythm
    effects: dict[str, float]


def learn(columns: Mapping[str, Binned], times_ms: Ints) -> Rhythms | None:
    """The rhythm of all columns (of the same events, at `times_ms`), `None` when there is none or too little to tell.

    Slots are hours of the week when the events span 21 days and at least three weeks have events, else hours of the day
    when they span three days and three have events.
    """
    if not len(times_ms):
        return None
    slots = _slots(times_ms)
    if slots is None:
        return None
    slot = hours.slot(times_ms, slots)
    period = _period(times_ms, slots)
    found = {name: _movement(column, slot, period, slots) for name, column in columns.items()}
    moving = {name: movement for name, movement in found.items() if movement is not None}
    if not moving:
        return None
    numeric = {name: movement for name, movement in moving.items() if columns[name].values is not None}
    rhythm = Rhythm(
        slots=slots,
        n=np.bincount(slot, minlength=slots).tolist(),
        means={name: m.means for name, m in numeric.items()},
        deviations={name: m.deviations for name, m in numeric.items()},
        counts={name: m.counts for name, m in moving.items()},
    )
    return Rhythms(rhythm, {name: m.effect for name, m in moving.items()})


def without(rhythm: Rhythm, dropped: str) -> Rhythm | None:
    """The rhythm without one signal; `None` when nothing is left."""
    if rhythm.counts.keys() <= {dropped}:
        return None
    return Rhythm(
        slots=rhythm.slots,
        n=rhythm.n,
        means={name: level for name, level in rhythm.means.items() if name != dropped},
        deviations={name: spread for name, spread in rhythm.deviations.items() if name != dropped},
        counts={name: counts for name, counts in rhythm.counts.items() if name != dropped},
    )


def _slots(times_ms: Ints) -> Literal[24, 168] | None:
    span_ms = int(times_ms.max() - times_ms.min()) + hours.HOUR_MS  # the last hour counts as seen
    if span_ms >= MIN_WEEKS * 7 * DAY_MS and len(np.unique(_period(times_ms, 168))) >= MIN_WEEKS:
        return 168
    if span_ms >= MIN_DAYS * DAY_MS and len(np.unique(_period(times_ms, 24))) >= MIN_DAYS:
        return 24
    return None


def _period(times_ms: Ints, slots: int) -> Ints:
    """The day, or the week from Monday, of each time."""
    monday_ms = 4 * DAY_MS  # 1970-01-05
    return times_ms // DAY_MS if slots == hours.DAY else (times_ms - monday_ms) // (7 * DAY_MS)


def _movement(column: Binned, slot: Ints, period: Ints, slots: int) -> Movement | None:
    """How a signal moves; `None` when it does not."""
    present = column.bin >= 0
    if not present.any():
        return None
    group = hours.groups(column.profile)
    bins = int(group.max()) + 1
    # One bin more for the events without a value: some features are missing at night.
    coarse = np.where(present, group[column.bin], bins)
    periods, place = np.unique(period, return_inverse=True)
    cell = place * slots + slot
    shape = (len(periods), slots)
    table = np.bincount(cell * (bins + 1) + coarse, minlength=len(periods) * slots * (bins + 1))
    table = table.reshape(*shape, bins + 1)
    counts = table.sum(axis=0)
    effect = _effect_on_shares(table) if _differ(counts) else 0.0
    means = deviations = np.zeros(slots)
    if column.values is not None:
        values, where = column.values[present].clip(-MAX_MAGNITUDE, MAX_MAGNITUDE), cell[present]
        centre, scale = float(values.mean()), float(values.std())
        scaled = (values - centre) / scale if scale else np.zeros(len(values))
        n, sums, squares = (_by_cell(where, weights, shape) for weights in (None, scaled, scaled**2))
        if _levels_differ(n.sum(axis=0), sums.sum(axis=0)):
            effect = max(effect, _effect_on_means(n, sums))
        of_slot = n.sum(axis=0)
        level = sums.sum(axis=0) / np.maximum(of_slot, 1)
        spread = np.sqrt(np.maximum(squares.sum(axis=0) / np.maximum(of_slot, 1) - level**2, 0.0))
        means = np.where(of_slot > 0, _rounded(centre + scale * level, scale), 0.0)
        deviations = _rounded(scale * spread, scale)
    if effect < MIN_EFFECT:
        return None
    return Movement(effect, counts[:, :bins].tolist(), means.tolist(), deviations.tolist())


def _differ(counts: Ints) -> bool:
    """Whether the rows of a table, shape `(slots, bins)`, are too different for chance: chi-square of homogeneity."""
    used = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    if min(used.shape) < 2:
        return False
    expected = used.sum(axis=1, keepdims=True) * used.sum(axis=0) / used.sum()
    statistic = float(((used - expected) ** 2 / expected).sum())
    return bool(significance.chi_square(statistic, (used.shape[0] - 1) * (used.shape[1] - 1)) < P_VALUE)


def _levels_differ(n: Floats, sums: Floats) -> bool:
    """Whether the means of standardised values, shape `(slots,)`, are too different for chance."""
    seen = n > 0
    statistic = float((sums[seen] ** 2 / n[seen]).sum())
    return bool(significance.chi_square(statistic, int(seen.sum()) - 1) < P_VALUE)


def _effect_on_shares(table: Ints) -> float:
    """How much nearer each period left out is to the same hours of the others than to all their hours together.

    In mean squared distances of shares over the variance of chance, an event; `table` has the shape
    `(periods, slots, bins)`. Without a rhythm it is negative, with a strong one the chi-square distance of the hours.
    """
    used = table[..., table.any(axis=(0, 1))].astype(np.float64)
    whole = used.sum(axis=(0, 1))
    others = used.sum(axis=0) - used
    flat = _shares(others.sum(axis=1))[:, None, :]
    n = used.sum(axis=-1, keepdims=True)
    seen = others.sum(axis=-1, keepdims=True) > 0
    predicted = np.where(seen, _shares(others), flat)
    observed = np.where(n > 0, _shares(used), flat)
    gain = (observed - flat) ** 2 - (observed - predicted) ** 2
    return float((n * gain / (whole / whole.sum())).sum() / whole.sum())


def _effect_on_means(n: Floats, sums: Floats) -> float:
    """The same of the means of standardised values: the share of their variance that the hours explain.

    `n` and `sums` have the shape `(periods, slots)`.
    """
    others_n, others_sums = n.sum(axis=0) - n, sums.sum(axis=0) - sums
    flat = (others_sums.sum(axis=1) / np.maximum(others_n.sum(axis=1), 1))[:, None]
    predicted = np.where(others_n > 0, others_sums / np.maximum(others_n, 1), flat)
    observed = np.where(n > 0, sums / np.maximum(n, 1), flat)
    return float((n * ((observed - flat) ** 2 - (observed - predicted) ** 2)).sum() / n.sum())


def _shares(counts: Floats) -> Floats:
    shares: Floats = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1.0)
    return shares


def _by_cell(cell: Ints, weights: Floats | None, shape: tuple[int, int]) -> Floats:
    return np.bincount(cell, weights=weights, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def _rounded(values: Floats, scale: float) -> Floats:
    """To a ten-thousandth of the signal's deviation: sixteen digits would be a third of the record."""
    digits = 4 - math.floor(math.log10(scale)) if scale > 0 else 15
    rounded: Floats = np.round(values, min(digits, 300)) if digits > -300 else values
    return rounded
