"""How far the mean, the spread and the share of missing values of many signals have moved, and how sure that is.

In the walk: `detect` compares the moments of a test window with those of the reference. All arrays have the shape
`(signals,)`; a difference is that of the window less that of the reference.

References
----------
Welch (1947), The generalization of Student's problem, Biometrika 34.
Newcombe (1998), Interval estimation for the difference between independent proportions, Statistics in Medicine 17,
method 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from driftline_schemas.records import Moments
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.rates import wilson_of
from driftline_streams.kernel.significance import normal, student, student_95


class Sample(NamedTuple):
    """One side of a comparison, signal by signal; where there are no values, all but `n` and `nulls` are NaN."""

    n: Floats
    nulls: Floats
    mean: Floats
    variance: Floats  # as of a sample; NaN for fewer than two values
    min: Floats
    max: Floats

    @classmethod
    def of(cls, moments: Sequence[Moments]) -> Sample:
        """That of each signal.

        >>> Sample.of([Moments(2, 1, 4.0, 10.0, 1.0, 3.0)]).variance.tolist()
        [2.0]
        """
        rows = np.array([(m.n, m.nulls, m.sum, m.sum_squares, m.min, m.max) for m in moments], np.float64)
        n, nulls, total, squares, least, most = rows.reshape(-1, 6).T
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / n
            spread = squares - total * mean
            # Below, it is rounding noise of the subtraction (see `moments.deviation`).
            variance = np.where(spread <= 1e-14 * squares, 0.0, spread / (n - 1))
        some = n > 0
        return cls(
            n,
            nulls,
            np.where(some, mean, np.nan),
            np.where(n > 1, variance, np.nan),
            np.where(some, least, np.nan),
            np.where(some, most, np.nan),
        )


class Difference(NamedTuple):
    """A difference with its 95 % interval and its p-value; NaN where there is nothing to compare."""

    value: Floats
    low: Floats
    high: Floats
    p_value: Floats


def scale(ours: Sample, theirs: Sample) -> Floats:
    """The unit of a standardised difference: the deviation of the reference, of a constant one that of both together.

    So a constant that became another constant has moved by a finite amount; 0 where everything is one value.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        n = ours.n + theirs.n
        within = np.maximum(ours.n - 1, 0) * np.nan_to_num(ours.variance)
        between = ours.n * theirs.n / n * np.square(ours.mean - theirs.mean)
        both = (within + np.nan_to_num(between)) / np.maximum(n - 1, 1)
        return np.sqrt(np.where(theirs.variance > 0, theirs.variance, both))


def mean_difference(ours: Sample, theirs: Sample) -> Difference:
    """The difference of the means, in the signal's unit, by Welch's test; NaN for fewer than two values on a side."""
    with np.errstate(invalid="ignore", divide="ignore"):
        one, other = ours.variance / ours.n, theirs.variance / theirs.n
        error = np.sqrt(one + other)
        # Scaled, so that the squares of tiny variances do not vanish.
        share = one / (one + other)
        degrees = 1 / (np.square(share) / (ours.n - 1) + np.square(1 - share) / (theirs.n - 1))
        difference = ours.mean - theirs.mean
        reach = np.where(error > 0, error * student_95(degrees), error)
        certain = np.where(difference == 0, 1.0, 0.0)  # without spread any difference is one
        p_value = np.where(error > 0, student(difference / error, degrees), np.where(error == 0, certain, np.nan))
        return Difference(
            np.where(np.isnan(error), np.nan, difference), difference - reach, difference + reach, p_value
        )


def rate_difference(hits: Floats, n: Floats, reference_hits: Floats, reference_n: Floats) -> Difference:
    """The difference of two shares: score test and Newcombe's interval.

    Where nobody or everybody was hit on both sides there is nothing to test, and the p-value is NaN.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        p, q = hits / n, reference_hits / reference_n
        pooled = (hits + reference_hits) / (n + reference_n)
        z = (p - q) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / reference_n))
        (low, high), (reference_low, reference_high) = wilson_of(p, n), wilson_of(q, reference_n)
        down = np.sqrt(np.square(p - low) + np.square(reference_high - q))
        up = np.sqrt(np.square(high - p) + np.square(q - reference_low))
        return Difference(p - q, p - q - down, p - q + up, normal(z))
