"""How far a day has come with its labels, by class of outcome, and how much days differ in that.

In the walk: `nowcast.py` asks for each day that is not final. The delay curve says how large a share of the labels of
each class has come at the day's age. How far to trust it is measured, not assumed: each day that is mature is looked at
as it was at the same age, with the curve as it was to be known then. So slow changes of the label process, weekends
and everything else that the curve does not know are in the spread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from driftline_streams.kernel.histogram import Floats
from driftline_streams.performance import delay
from driftline_streams.performance.delay import Bools

LEAST_DAYS = 7  # mature ones, so that each day of the week has been seen
MOST_DAYS = 60  # mature ones; older ones weigh a twentieth at most
LEAST_LABELS = 50  # of the mature days
TRIED_DAYS = 20  # mature ones, on which a nowcast is tried before it is believed
_SEED = 20_260_101  # results are functions of what is given


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The labels of consecutive days of one model, all its versions and roles together."""

    classes: tuple[str, ...]
    counts: Floats  # (days, classes, delay.BUCKETS)
    answered: Floats  # (days,): predictions that a label may come for
    horizon_min: float  # after the end of a day, when it is final
    age_min: float  # of the last day, from its end; each day before is a day older
    target: float = 1.0  # coverage with which a day is final before the horizon


class Tried(NamedTuple):
    """Mature days as they were at an age."""

    share: Floats  # (days, classes): how many labels the curve said had come
    seen: Floats  # (days, classes): how many had
    final: Floats  # (days, classes): and how many came in the end
    answered: Floats  # (days,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maturity:
    """What history says of a day of one age."""

    classes: tuple[str, ...]
    share: Floats  # (classes,): of the labels of each class, how many have come
    mix: Floats  # (classes,): what labels are in the end
    # How mature days differed from what was to be known of them, weighted means of each class: squares of the
    # differences, what chance makes of them, and what they would be if a day's labels all came or stayed together.
    squares: Floats
    by_chance: Floats
    scale: Floats
    thin: Floats  # (classes,): the same by chance alone, where the curve rests on few labels
    days: float  # mature ones, as many as the weighted ones amount to
    coverage: float  # share of predictions whose label has come in the end
    coverage_sd: float  # from day to day
    covered: float  # share of predictions whose label has come at this age
    covered_sd: float
    tried: Tried  # the last mature days


def mature(history: History) -> tuple[Bools, Bools]:
    """The days of which no more labels are to come, and those of them that were so before the horizon.

    Not those that `performance_states` calls final: a curve is learned from all versions together, as things were at
    any age, and a complete day counts only when all days before it are mature, else the quick ones would stand for all.
    """
    days = len(history.answered)
    old = history.age_min + delay.DAY_MIN * np.arange(days)[::-1] >= history.horizon_min
    labels = history.counts.sum(axis=(1, 2))
    full = (labels >= history.target * history.answered) & (labels > 0) & ~old
    full &= np.logical_and.accumulate(old | full | (history.answered == 0))
    return old | full, full


def look(history: History, index: int, ages_min: Floats, weights: Floats) -> Maturity | str:
    """What history says of day `index`, whose predictions have these ages; a sentence where it says nothing.

    `ages_min` and `weights` are those of `delay.ages`.
    """
    last = delay.last_bucket(history.horizon_min)
    counts = history.counts[:, :, : last + 1]
    done, complete = mature(history)
    finals = counts.sum(axis=2)
    done &= finals.sum(axis=1) > 0
    past = np.flatnonzero(done[:index])[-MOST_DAYS:]
    if len(past) < LEAST_DAYS:
        return f"only {len(past)} days before it have all their labels"
    if finals[past].sum() < LEAST_LABELS:
        return f"only {finals[past].sum():.0f} labels of mature days are known"
    age_min = history.age_min + delay.DAY_MIN * (len(history.answered) - 1 - index)
    lag = delay.lags(age_min, last, history.horizon_min)
    chance = delay.visible(ages_min, weights, last, history.horizon_min)
    curve = delay.curves(counts, lag, complete, [*past.tolist(), index])
    arrived = np.diff(curve, axis=2, prepend=0.0) @ chance  # (days, classes)
    if not np.isfinite(arrived[-1]).all():
        return "no day is old enough to tell when the last labels come"
    known = np.isfinite(arrived[:-1]).all(axis=1)
    past, expected = past[known], arrived[:-1][known]
    if len(past) < LEAST_DAYS:
        return f"what had come is known of only {len(past)} days"

    forgotten = 0.5 ** ((index - past) / delay.HALF_LIFE_DAYS)
    weight = forgotten / forgotten.sum()
    total, answered = finals[past], np.maximum(history.answered[past], 1)
    had = counts[past] @ chance
    mix = weight @ total / (weight @ total.sum(axis=1))
    final, effective = float(weight @ (total.sum(axis=1) / answered)), 1 / float(weight @ weight)
    covered = final * (expected @ mix)
    recent = past[-TRIED_DAYS:]
    # What had come by then: the ages within a day are known, but not which label belongs to which prediction.
    thinned = np.random.default_rng(_SEED).binomial(counts[recent].astype(np.int64), chance).sum(axis=2)
    return Maturity(
        classes=history.classes,
        share=arrived[-1],
        mix=mix,
        squares=weight @ np.square(had - total * expected),
        by_chance=weight @ np.maximum(counts[past] @ np.square(chance) - np.square(had) / np.maximum(total, 1), 0),
        scale=weight @ (np.square(total) * expected * (1 - expected)),
        thin=1 / (forgotten @ total + delay.BORROWED + 1),
        days=effective,
        coverage=min(final, 1.0),
        coverage_sd=float(np.sqrt(weight @ np.square(total.sum(axis=1) / answered - final) * (1 + 1 / effective))),
        covered=float(final * (arrived[-1] @ mix)),
        covered_sd=float(np.sqrt(weight @ np.square(had.sum(axis=1) / answered - covered))),
        tried=Tried(expected[-TRIED_DAYS:], thinned.astype(np.float64), finals[recent], history.answered[recent]),
    )
