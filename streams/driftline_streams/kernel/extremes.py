"""How far from its reference an extreme value may be before it is news: tails, extrapolated.

In the walk: the checks of data quality, for features without a given range. The largest of more values is larger, and
in a heavy tail much larger, so that the range of the reference alone would be left all the time.

The tail beyond the outermost edge (1/64 of the values) is read as a power law through that edge and the most extreme
value of the `N` (Pareto; a light tail gives a large exponent `a`, which is as good). The largest of `n` values then
exceeds `c` times the largest of `N` with probability n / (n + N c^a), distances measured from the median.
"""

from __future__ import annotations

import math

from driftline_schemas.spec import Profile

CHANCE = 1e-6  # of one side of one signal in one window: a hundred signals have 150,000 of these in a month
LEAST_N = 200  # values of the reference: with fewer, its extremes say too little


def limits(profile: Profile, n: int) -> tuple[float, float]:
    """Below and above what values one of `n` would be news; infinite where the reference does not tell.

    At least as far outside the reference's range as that is wide. In the signal's own unit.
    """
    sums, edges = profile.moments, profile.edges
    width = sums.max - sums.min
    if sums.n < LEAST_N or not edges or not width > 0 or n < 1:
        return -math.inf, math.inf
    middle, share = edges[len(edges) // 2], 1 / (len(edges) + 1)
    low = _reach(middle - edges[0], middle - sums.min, share * sums.n, n / sums.n)
    high = _reach(edges[-1] - middle, sums.max - middle, share * sums.n, n / sums.n)
    return min(middle - low, sums.min - width), max(middle + high, sums.max + width)


def _reach(edge: float, extreme: float, beyond: float, growth: float) -> float:
    """The distance from the median that the most extreme value keeps within, but for `CHANCE`.

    `beyond` values of the reference are farther out than `edge`; the window has `growth` times as many as it.
    """
    if extreme <= 0:
        return 0.0  # nothing on this side of the median
    if edge <= 0 or beyond <= 1:
        return math.inf
    if extreme <= edge:
        return extreme
    stretch = math.log(extreme / edge) / math.log(beyond) * math.log(growth * (1 - CHANCE) / CHANCE)
    return extreme * math.exp(max(0.0, stretch)) if stretch < 600 else math.inf
