"""Means and deviations from additive sums.

In the walk: `ingest` and the reference builder make `Moments`, `detect` adds them up over a window and reads the level.
"""

from __future__ import annotations

import math

import numpy as np

from driftline_schemas.records import Moments
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.limits import MAX_MAGNITUDE

EMPTY = Moments(0, 0, 0.0, 0.0, 0.0, 0.0)


def of_values(values: Floats) -> Moments:
    """The moments of `values` (any shape and unit, at most `MAX_MAGNITUDE`); what is not finite counts as null.

    >>> of_values(np.array([1.0, 3.0, np.nan]))
    Moments(n=2, nulls=1, sum=4.0, sum_squares=10.0, min=1.0, max=3.0)
    """
    finite = values[np.isfinite(values)]
    nulls = int(values.size - finite.size)
    if not finite.size:
        return Moments(0, nulls, 0.0, 0.0, 0.0, 0.0)
    finite = finite.clip(-MAX_MAGNITUDE, MAX_MAGNITUDE)
    squares = float(np.square(finite).sum())
    return Moments(int(finite.size), nulls, float(finite.sum()), squares, float(finite.min()), float(finite.max()))


def merge(first: Moments, second: Moments) -> Moments:
    """The moments of both samples together: associative and commutative (up to rounding), with `EMPTY` as zero.

    >>> merge(of_values(np.array([1.0])), of_values(np.array([3.0]))) == of_values(np.array([1.0, 3.0]))
    True
    """
    nulls = first.nulls + second.nulls
    if not second.n or not first.n:  # `min` and `max` of an empty sample are 0, not a bound
        one = first if first.n else second
        return Moments(one.n, nulls, one.sum, one.sum_squares, one.min, one.max)
    return Moments(
        first.n + second.n,
        nulls,
        first.sum + second.sum,
        first.sum_squares + second.sum_squares,
        min(first.min, second.min),
        max(first.max, second.max),
    )


def mean(moments: Moments) -> float:
    """The mean in the unit of the values; NaN without any."""
    return moments.sum / moments.n if moments.n else math.nan


def deviation(moments: Moments) -> float:
    """The standard deviation of the values, as of a sample; NaN for fewer than two.

    A spread too small for sums of squares to show (below about 1e-8 of the mean) is read as 0.

    >>> deviation(of_values(np.array([1.0, 3.0])))
    1.4142135623730951
    """
    if moments.n < 2:
        return math.nan
    level = moments.sum / moments.n
    spread = moments.sum_squares - moments.sum * level
    if spread <= 1e-14 * moments.sum_squares:  # rounding noise of the subtraction
        return 0.0
    return math.sqrt(spread / (moments.n - 1))
