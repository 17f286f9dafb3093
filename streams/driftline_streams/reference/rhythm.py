"""Which signals move with the hour of the day or of the week, learned from the times of the events.

In the walk: a step of `build`. A rhythm is what comes back: a signal is kept when its days (or weeks) predict each day
that was left out better than all hours together do. A month of which one Monday was odd has no rhythm of Mondays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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


class Cycle(NamedTuple):
    """The events by period (a day or a week) and by slot of it."""

    slots: Literal[24, 168]
    slot: Ints  # of each event, shape (n,)
    cell: Ints  # of each event: period times slots plus slot
    periods: int

    @classmethod
    def of(cls, times_ms: Ints, slots: Literal[24, 168]) -> Cycle:
        """Those at these times."""
        periods, place = np.unique(_period(times_ms, slots), return_inverse=True)
        slot = hours.slot(times_ms, slots)
        return cls(slots, slot, place * slots + slot, len(periods))

    def sums(self, rows: Ints, weights: Floats | None = None) -> Floats:
        """The sums of the events `rows` (or of their weights) in each cell, shape `(periods, slots)`."""
        cells = np.bincount(self.cell[rows], weights=weights, minlength=self.periods * self.slots)
        return cells.reshape(self.periods, self.slots).astype(np.float64)


def learn(columns: Mapping[str, Binned], times_ms: Ints) -> Rhythms | None:
    """The rhythm of all columns (of the same events, at `times_ms`), `None` when there is none or too little to tell.

    Slots are hours of the week when the events span 21 days and at least three weeks have events, else hours of the day
    when they span three days and three have events. Among hours of the week, a signal whose days are told apart by no
    more than chance has the same rhythm every day.
    """
    slots = _slots(times_ms) if len(times_ms) else None
    if slots is None:
        return None
    cycles = [Cycle.of(times_ms, slots)]
    if slots == 168:
        cycles.append(Cycle.of(times_ms, 24))
    found = {name: _movement(column, cycles) for name, column in columns.items()}
    moving = {name: movement for name, movement in found.items() if movement is not None}
    if not moving:
        return None
    numeric = {name: movement for name, movement in moving.items() if columns[name].values is not None}
    rhythm = Rhythm(
        slots=slots,
        n=np.bincount(cycles[0].slot, minlength=slots).tolist(),
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


def _movement(column: Binned, cycles: Sequence[Cycle]) -> Movement | None:
    """How a signal moves with the first of the cycles, in the way of the one that tells most; `None` with none."""
    present = np.flatnonzero(column.bin >= 0)
    if not len(present):
        return None
    effects = [max(_effect_on_shares(_table(column, cycle)), _effect_on_means(column, cycle)) for cycle in cycles]
    if max(effects) < MIN_EFFECT:
        return None
    finest, best = cycles[0], cycles[int(np.argmax(effects))]
    counts = _table(column, best).sum(axis=0)[:, :-1]
    means = deviations = np.zeros(best.slots)
    if column.values is not None:
        values, centre, scale = _standardised(column, present)
        n, sums, squares = (best.sums(present, weights).sum(axis=0) for weights in (None, values, values**2))
        level = sums / np.maximum(n, 1)
        spread = np.sqrt(np.maximum(squares / np.maximum(n, 1) - level**2, 0.0))
        means = np.where(n > 0, _rounded(centre + scale * level, scale), 0.0)
        deviations = _rounded(scale * spread, scale)
    if best is not finest:
        counts = _spread(finest.sums(present).sum(axis=0), np.tile(counts, (finest.slots // best.slots, 1)))
        means, deviations = (np.tile(levels, finest.slots // best.slots) for levels in (means, deviations))
    return Movement(max(effects), counts.tolist(), means.tolist(), deviations.tolist())


def _table(column: Binned, cycle: Cycle) -> Ints:
    """The events by cell and coarse bin, shape `(periods, slots, bins + 1)`.

    One bin more for the events without a value: some features are missing at night.
    """
    group = hours.groups(column.profile)
    bins = int(group.max()) + 1
    coarse = np.where(column.bin >= 0, group[column.bin], bins)
    cells = np.bincount(cycle.cell * (bins + 1) + coarse, minlength=cycle.periods * cycle.slots * (bins + 1))
    return cells.reshape(cycle.periods, cycle.slots, bins + 1)


def _standardised(column: Binned, present: Ints) -> tuple[Floats, float, float]:
    """The values that are there, with mean 0 and deviation 1, and what their mean and deviation were."""
    assert column.values is not None  # noqa: S101 - only asked of numbers
    values = column.values[present].clip(-MAX_MAGNITUDE, MAX_MAGNITUDE)
    centre, scale = float(values.mean()), float(values.std())
    return ((values - centre) / scale if scale else np.zeros(len(values))), centre, scale


def _spread(n: Floats, counts: Ints) -> Ints:
    """As many as `n` (shape `(slots,)`) in the proportions of `counts` (shape `(slots, bins)`), in whole numbers.

    By the largest remainders, so that every slot keeps its number.
    """
    exact = n[:, None] * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    whole = np.floor(exact)
    left = n - whole.sum(axis=1)
    rank = np.argsort(np.argsort(whole - exact, axis=1, kind="stable"), axis=1)
    spread: Ints = (whole + (rank < left[:, None])).astype(np.int64)
    return spread


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
    `(periods, slots, bins)`. Without a rhythm it is negative, with a strong one the chi-square distance of the hours;
    0 when hours are not more different than chance makes them.
    """
    if not _differ(table.sum(axis=0)):
        return 0.0
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


def _effect_on_means(column: Binned, cycle: Cycle) -> float:
    """The same of the means of numbers: the share of their variance that the hours explain; 0 for categories."""
    if column.values is None:
        return 0.0
    present = np.flatnonzero(column.bin >= 0)
    values, _, _ = _standardised(column, present)
    n, sums = cycle.sums(present), cycle.sums(present, values)
    if not _levels_differ(n.sum(axis=0), sums.sum(axis=0)):
        return 0.0
    others_n, others_sums = n.sum(axis=0) - n, sums.sum(axis=0) - sums
    flat = (others_sums.sum(axis=1) / np.maximum(others_n.sum(axis=1), 1))[:, None]
    predicted = np.where(others_n > 0, others_sums / np.maximum(others_n, 1), flat)
    observed = np.where(n > 0, sums / np.maximum(n, 1), flat)
    return float((n * ((observed - flat) ** 2 - (observed - predicted) ** 2)).sum() / n.sum())


def _shares(counts: Floats) -> Floats:
    shares: Floats = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1.0)
    return shares


def _rounded(values: Floats, scale: float) -> Floats:
    """To a ten-thousandth of the signal's deviation: sixteen digits would be a third of the record."""
    digits = 4 - math.floor(math.log10(scale)) if scale > 0 else 15
    rounded: Floats = np.round(values, min(digits, 300)) if digits > -300 else values
    return rounded
