"""Which segments explain a change: because there are more or fewer of their events, or because they changed themselves.

In the walk: `open_test_windows` asks for every finding about a whole test window, and the alert names the first ones.

Every change asked about is one of a mean over events: of the value itself for numbers, of being null for nulls, else of
a score that is +1/2 in the bins that have gained and -1/2 in those that have lost, whose mean moves by exactly the
total variation distance. With `p` the shares of the segment values of one key and `m` their means, before (0) and after
(1),

    m1 - m0 = sum (p1 - p0) (mean of m0 and m1 of the value, less that of all)    mix
            + sum (p0 + p1) / 2 (m1 - m0 of the value)                            within

References
----------
Kitagawa (1955), Components of a difference between two rates, JASA 50, 1168-1194. Oaxaca (1973) and Blinder (1973) have
the same for means of regressions. The mean of all is taken off so that a segment of average events explains nothing by
growing; it adds nothing to the sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from driftline_schemas.records import Moments, Share
from driftline_schemas.spec import Profile, Reference, Slice
from driftline_streams.kernel import divergence, moments
from driftline_streams.kernel.limits import OTHER_CATEGORY, OTHER_SEGMENT
from driftline_streams.windows.cells import WideCell

MOST = 5
NONE = ""  # the value of events that have none for a key
LEAST_SHIFT = 0.05  # standard deviations: a mean that moves less is not what changed, the shape is

What = Literal["values", "nulls", "means"]


class Part(NamedTuple):
    """What one segment value, or all of them, holds of a signal."""

    n: int  # events
    moments: Moments
    bins: Mapping[str, int]


class _Level(NamedTuple):
    weight: float
    mean: float  # anything where `weight` is 0


def shares(
    reference: Reference,
    signal: str,
    whole: WideCell,
    segments: Mapping[tuple[str, str], WideCell],
    what: What = "values",
) -> list[Share]:
    """The at most five segments, over all keys, that contribute most to the change of `signal`, either way.

    What has changed is said by `what`: the "nulls", or the "values", which are "means" for numbers whose mean moved.
    `segments` are those of the window `whole`, by key and value. Of each key the parts of all values, of the rest
    ("other") and of the events without a value (an empty one) add up to 1. Values that one side does not tell apart
    from its rest are part of the rest on both. Empty without segments in the reference or the window, for a signal that
    either does not know, and for one that has not changed.
    """
    profile = reference.signals.get(signal)
    if profile is None:
        return []
    places = _places(profile)

    def of_reference(part: Slice) -> Part:
        return Part(part.n, part.moments.get(signal, moments.EMPTY), _counted(places, part.bins.get(signal, {})))

    def of_window(cell: WideCell) -> Part:
        bins = cell.bins.get(signal, {}) if cell.reference == reference.id else {}
        return Part(cell.n, cell.moments.get(signal, moments.EMPTY), _counted(places, bins))

    usual, window = Part(reference.n, profile.moments, _counted(places, _bins(profile))), of_window(whole)
    if profile.type == "numeric" and what == "values" and _mean_moved(usual.moments, window.moments):
        what = "means"
    found: list[Share] = []
    for dim, slices in reference.segments.items():
        before = {value: of_reference(part) for value, part in slices.items()}
        after = {value: of_window(cell) for (key, value), cell in segments.items() if key == dim}
        if not before or not after:
            continue
        _add_rest(before, usual)
        _add_rest(after, window)
        found += _of_key(dim, _aligned(before, after), _aligned(after, before), what)
    return sorted(found, key=lambda share: (-abs(share.mix + share.within), share.dim, share.value))[:MOST]


def _bins(profile: Profile) -> dict[str, int]:
    if profile.type == "categorical":
        return profile.categories
    return {str(index): count for index, count in enumerate(profile.counts)}


def _places(profile: Profile) -> dict[str, str]:
    """Which bin is counted for which: the coarse ones, in which segments are counted; categories as they are."""
    if profile.type == "categorical":
        return {name: name for name in profile.categories}
    leading = divergence.leading_bins(np.array(profile.counts, np.int64)).tolist()
    return {str(index): str(first) for index, first in enumerate(leading)}


def _counted(places: Mapping[str, str], bins: Mapping[str, int]) -> dict[str, int]:
    """The counts by place; categories without one are all the same."""
    counts: dict[str, int] = {}
    for name, count in bins.items():
        place = places.get(name, OTHER_CATEGORY)
        counts[place] = counts.get(place, 0) + count
    return counts


def _add_rest(parts: dict[str, Part], whole: Part) -> None:
    """Add the events without a value of the key: what the values leave of the whole."""
    seen = _sum(parts.values())
    n = whole.n - seen.n
    if n > 0:
        mine, theirs = whole.moments, seen.moments
        parts[NONE] = Part(
            n,
            Moments(
                max(0, mine.n - theirs.n),
                max(0, mine.nulls - theirs.nulls),
                mine.sum - theirs.sum,
                max(0.0, mine.sum_squares - theirs.sum_squares),
                mine.min,
                mine.max,
            ),
            {name: max(0, count - seen.bins.get(name, 0)) for name, count in whole.bins.items()},
        )


def _sum(parts: Iterable[Part]) -> Part:
    n, sums, bins = 0, moments.EMPTY, dict[str, int]()
    for part in parts:
        n, sums = n + part.n, moments.merge(sums, part.moments)
        for name, count in part.bins.items():
            bins[name] = bins.get(name, 0) + count
    return Part(n, sums, bins)


def _aligned(parts: Mapping[str, Part], others: Mapping[str, Part]) -> dict[str, Part]:
    """The parts, with those that the other side counts in its rest as part of the rest."""
    if OTHER_SEGMENT not in others:
        return dict(parts)
    kept = {value: part for value, part in parts.items() if value in others or value == NONE}
    folded = [part for value, part in parts.items() if value not in kept]
    if folded:
        kept[OTHER_SEGMENT] = _sum([*folded, *([kept[OTHER_SEGMENT]] if OTHER_SEGMENT in kept else [])])
    return kept


def _of_key(dim: str, before: Mapping[str, Part], after: Mapping[str, Part], what: What) -> list[Share]:
    """The shares of all values of one key; none when there is nothing to explain."""
    values = sorted({*before, *after})
    empty = Part(0, moments.EMPTY, {})
    sides = [[side.get(value, empty) for value in values] for side in (before, after)]
    first, second = (_levels(side, sides, what) for side in sides)
    p0, p1 = (np.array([level.weight for level in side]) for side in (first, second))
    m0, m1 = (np.array([level.mean for level in side]) for side in (first, second))
    if not p0.sum() or not p1.sum():
        return []
    # A value that one side does not have can only have come or gone: it did not change.
    m0, m1 = np.where(p0 > 0, m0, m1), np.where(p1 > 0, m1, m0)
    p0, p1 = p0 / p0.sum(), p1 / p1.sum()
    changed = float(p1 @ m1 - p0 @ m0)
    if abs(changed) <= 1e-12 * float(np.abs([m0, m1]).max()):
        return []
    middle = (m0 + m1) / 2
    mix = (p1 - p0) * (middle - float(p0 @ m0 + p1 @ m1) / 2) / changed
    within = (p0 + p1) / 2 * (m1 - m0) / changed
    return [
        Share(dim=dim, value=value, n=part.n, mix=a, within=b)
        for value, part, a, b in zip(values, sides[1], mix.tolist(), within.tolist(), strict=True)
        if a or b
    ]


def _levels(side: list[Part], sides: list[list[Part]], what: What) -> list[_Level]:
    """Weight and mean of each part in what is explained."""
    if what == "nulls":
        return [_level(part.moments.nulls, part.n) for part in side]
    if what == "means":
        return [_level(part.moments.sum, part.moments.n) for part in side]
    before, after = (_sum(each).bins for each in sides)
    n0, n1 = (max(1, sum(each.values())) for each in (before, after))
    gained = {name: float(np.sign(after.get(name, 0) / n1 - before.get(name, 0) / n0)) for name in {*before, *after}}
    return [
        _level(sum(gained[name] * count for name, count in part.bins.items()) / 2, sum(part.bins.values()))
        for part in side
    ]


def _level(total: float, weight: float) -> _Level:
    return _Level(weight, total / weight if weight else 0.0)


def _mean_moved(before: Moments, after: Moments) -> bool:
    if not before.n or not after.n:
        return False
    spread = moments.deviation(before)  # NaN of one value: any shift is one
    return not abs(moments.mean(after) - moments.mean(before)) <= LEAST_SHIFT * spread
