"""What a reference leads to expect at a time of the day or of the week.

In the walk: the reference builder learns how signals move with the hour, `detect` compares a window with the same hours
of the reference instead of with all of it, and detectors standardise by them.

Hours are those of UTC, and so are days and weeks (from Monday 00:00). People live by local clocks: where those change
for summer, a rhythm that was learned before is an hour early or late after, until the reference is learned again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from driftline_schemas.spec import Profile, Reference, Rhythm
from driftline_streams.kernel import moments
from driftline_streams.kernel.divergence import PSI_BINS, coarse_bins
from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.kernel.limits import OTHER_CATEGORY

HOUR_MS = 3_600_000
DAY, WEEK = 24, 168  # slots of a day, and of a week
_MONDAY = 3 * 24  # hours from Monday 00:00 to 1970-01-01 00:00, a Thursday


class Level(NamedTuple):
    """Where one signal is expected to be in one window.

    Without a value of the reference in the hours of the window, `n` is 0 and the rest is that of the whole reference.
    """

    n: int  # as many values of the reference would be as certain as the mix of these hours is
    mean: float  # in the signal's own unit; NaN for categories
    deviation: float


class Expected(NamedTuple):
    """What one signal is expected to be in one window."""

    counts: Floats  # proportions of the fine bins, or of the categories in the profile's order; they sum to 1
    nulls: float  # proportion of events without a value; NaN when the reference has no events in these hours
    level: Level


def slots_of(start_ms: int, width_ms: int, slots: int) -> Ints:
    """The slots that a window covers, at least in part, ascending; `slots` is 24 or 168.

    >>> slots_of(0, 2 * HOUR_MS, 24).tolist(), slots_of(0, HOUR_MS, 168).tolist()
    ([0, 1], [72])
    """
    return np.flatnonzero(coverage(start_ms, width_ms, slots))


@lru_cache(maxsize=256)
def coverage(start_ms: int, width_ms: int, slots: int) -> Floats:
    """How many hours of each slot a window covers: shape `(slots,)`, read-only; more than 1 where it comes round again.

    >>> coverage(HOUR_MS // 2, HOUR_MS, 24)[:3].tolist()
    [0.5, 0.5, 0.0]
    """
    end_ms = start_ms + max(1, width_ms)
    first, last = start_ms // HOUR_MS, (end_ms - 1) // HOUR_MS
    hours = np.ones(last - first + 1)
    hours[0] -= start_ms % HOUR_MS / HOUR_MS
    hours[-1] -= -end_ms % HOUR_MS / HOUR_MS
    covered = np.zeros(slots)
    np.add.at(covered, slot(np.arange(first, last + 1) * HOUR_MS, slots), hours)
    covered.setflags(write=False)
    return covered


def slot(time_ms: Ints, slots: int) -> Ints:
    """The slot of each time, any shape.

    >>> slot(np.array([0, 4 * 24 * HOUR_MS]), 168).tolist()  # a Thursday and the Monday after it
    [72, 0]
    """
    return (time_ms // HOUR_MS + (_MONDAY if slots == WEEK else 0)) % slots


def groups(profile: Profile) -> Ints:
    """The coarse bin of each fine bin, or of each category in the profile's order: what a rhythm counts.

    Ten bins of numbers with about equally many values each; the nine most frequent categories (ties by name) and one of
    all the rest. Shape `(fine bins,)`; empty for a profile without values.
    """
    if profile.type == "numeric":
        return coarse_bins(np.array(profile.counts, np.int64))
    named = sorted((-count, name) for name, count in profile.categories.items() if name != OTHER_CATEGORY)
    place = {name: index for index, (_, name) in enumerate(named[: PSI_BINS - 1])}
    return np.array([place.get(name, PSI_BINS - 1) for name in profile.categories], np.int64)


def phase(start_ms: int, width_ms: int, slots: int) -> tuple[int, int]:
    """The first window of all that cover the same slots in the same proportions: its start and its width.

    >>> phase(7 * WEEK * HOUR_MS + 90 * 60_000, 60_000, WEEK), phase(25 * HOUR_MS, 2 * HOUR_MS, DAY)
    ((3600000, 3600000), (3600000, 7200000))
    """
    first_ms = start_ms // HOUR_MS * HOUR_MS
    if start_ms + max(1, width_ms) <= first_ms + HOUR_MS:
        start_ms, width_ms = first_ms, HOUR_MS
    return start_ms % (slots * HOUR_MS), width_ms


def expected(reference: Reference, signal: str, start_ms: int, width_ms: int) -> Expected | None:
    """What a signal is expected to be from `start_ms` on for `width_ms`; `None` when it has no rhythm.

    The fine bins of the profile are multiplied by how much fuller their coarse bin is in these hours. Hours are mixed
    as the reference leads to expect their events: by events an hour and by how much of them the window covers.
    """
    rhythm, profile = reference.rhythm, reference.signals.get(signal)
    if rhythm is None or profile is None or signal not in rhythm.counts:
        return None
    chosen, weight = _mix(reference, rhythm, start_ms, width_ms)
    coarse = np.array([rhythm.counts[signal][index] for index in chosen], np.float64)
    values = coarse.sum(axis=1)
    events = float(weight @ np.array([rhythm.n[index] for index in chosen], np.float64))
    nulls = max(0.0, 1 - float(weight @ values) / events) if events else math.nan
    fine = np.array(profile.counts if profile.type == "numeric" else list(profile.categories.values()), np.float64)
    if (weight * values).any():
        group = groups(profile)
        inside = np.bincount(group, weights=fine, minlength=coarse.shape[1])
        fine *= np.divide(weight @ coarse, inside, out=np.zeros_like(inside), where=inside > 0)[group]
    return Expected(fine / fine.sum(), nulls, _level(rhythm, profile, signal, chosen, weight))


def level(reference: Reference, signal: str, start_ms: int, width_ms: int) -> Level | None:
    """The `level` of what is `expected`, without the rest."""
    rhythm, profile = reference.rhythm, reference.signals.get(signal)
    if rhythm is None or profile is None or signal not in rhythm.counts:
        return None
    return _level(rhythm, profile, signal, *_mix(reference, rhythm, start_ms, width_ms))


def _mix(reference: Reference, rhythm: Rhythm, start_ms: int, width_ms: int) -> tuple[list[int], Floats]:
    """The slots of a window, and how much each of their events counts."""
    span = coverage(reference.start_ms, reference.end_ms - reference.start_ms + 1, rhythm.slots)
    window = coverage(start_ms, width_ms, rhythm.slots)
    chosen: list[int] = np.flatnonzero(window).tolist()
    # A slot of which the reference has seen a few minutes must not weigh as if its few events were those of an hour.
    return chosen, window[chosen] / np.maximum(span[chosen], 1.0)


def _level(rhythm: Rhythm, profile: Profile, signal: str, chosen: Sequence[int], weight: Floats) -> Level:
    values = np.array([sum(rhythm.counts[signal][index]) for index in chosen], np.float64)
    share = weight * values
    if not share.any():
        return Level(0, moments.mean(profile.moments), moments.deviation(profile.moments))
    share = share / share.sum()
    seen = values > 0
    n = round(1 / float((share[seen] ** 2 / values[seen]).sum()))  # Kish (1965), Survey Sampling, section 11.7
    if signal not in rhythm.means:
        return Level(n, math.nan, math.nan)
    means = np.array([rhythm.means[signal][index] for index in chosen])
    deviations = np.array([rhythm.deviations[signal][index] for index in chosen])
    mean = float(share @ means)
    return Level(n, mean, math.sqrt(float(share @ (deviations**2 + (means - mean) ** 2))))
