"""Means of few values of a skewed signal, made normal: run lengths are stated for normal values.

In the walk: `watch` asks how many events a value for the detectors needs, and straightens what is left of the skewness.
Measured at a stated run length of 2,000 windows: ADWIN raises a false alarm in 1,500 on plain means of ten log-normal
values and in 1,000 where a window holds 0.05 failures; on means of skewness below 0.6, straightened, in 2,000 to 2,300.

References
----------
Wilson and Hilferty (1931), The distribution of chi-square, PNAS 17: the cube root of a gamma variable is nearly normal.
"""

from __future__ import annotations

import math

import numpy as np

from driftline_schemas.spec import Profile
from driftline_streams.kernel import moments

MOST = 0.6  # skewness of what a detector is given, where enough windows can be put together
# Beyond these, straightening takes more than it should: means of a few values are no gamma variable, and of a rate's
# windows nearly all are empty.
_STRAIGHT, _STRAIGHT_RATE = 1.0, 4.0
_END = 0.2
_MOST_SKEWNESS = 100.0


def events_needed(skewness: float) -> int:
    """How many values with this skewness have a mean with one of at most `MOST`.

    >>> events_needed(2.0)  # exponential
    12
    """
    return math.ceil((skewness / MOST) ** 2)


def straighten(x: float, skewness: float, *, rate: bool) -> float:
    """What `x` (mean 0, variance 1, and this skewness) is on the scale of a normal variable.

    Counts of rare events straightened by more than they are worth vary less than 1: fewer false alarms, not more.

    >>> straighten(2.0, 0.0, rate=False), round(straighten(3.0, 1.0, rate=True), 2)
    (2.0, 2.31)
    """
    most = _STRAIGHT_RATE if rate else _STRAIGHT
    g = max(-most, min(most, skewness))
    if abs(g) < 1e-3:
        return x
    # Near the end of a gamma variable's range the cube root falls steeply; real signals have no such end.
    beyond = min(0.0, 1 + g * x / 2 - _END)
    return 6 / g * (math.cbrt(max(_END, 1 + g * x / 2)) - 1) + g / 6 + beyond * 2 / g


def of_rate(share: float) -> float:
    """The skewness of events that are 1 with the chance `share` (strictly between 0 and 1), else 0."""
    return (1 - 2 * share) / math.sqrt(share * (1 - share))


def of_profile(profile: Profile) -> float:
    """The skewness of the bulk of a numeric profile, as far as its bins tell; 0 for a constant.

    The tails beyond the outermost quantiles are taken for exponential ones that go on as the last two quantiles begin:
    the farthest values of a heavy tail would decide alone, and detectors do not see them. Where ties hide how a tail
    begins (most values are zero), all are taken for gamma variables.
    """
    sums, edges = profile.moments, np.array(profile.edges, np.float64)
    counts = np.array(profile.counts, np.float64)
    deviation = moments.deviation(sums)
    if not deviation > 0 or len(edges) < 2 or len(counts) != len(edges) + 1:
        return 0.0
    mean = moments.mean(sums)
    if edges[-2] == edges[-1] < sums.max:
        return min(_MOST_SKEWNESS, 2 * deviation / (mean - sums.min))
    low = min(float(edges[1] - edges[0]) / math.log(2), edges[0] - sums.min)
    high = min(float(edges[-1] - edges[-2]) / math.log(2), sums.max - edges[-1])
    # The moments of each bin about the middle of all; of a tail, those of the exponential distribution.
    start = np.concatenate([edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]])
    step = np.concatenate([[-low], np.zeros(len(edges) - 1), [high]])
    start -= float(((start + step) @ counts) / sums.n)
    second = float((start**2 + 2 * start * step + 2 * step**2) @ counts) / sums.n
    third = float((start**3 + 3 * start**2 * step + 6 * start * step**2 + 6 * step**3) @ counts) / sums.n
    return third / second**1.5 if second > 0 else 0.0
