"""Correlations of many columns at once, and whether those of two samples differ.

In the walk: the reference builder and `joint` take them of normal scores, so that only a change in how features go
together shows, not one of a feature by itself.

References
----------
Fisher (1921), On the probable error of a coefficient of correlation, Metron 1.
Steiger and Hakstian (1982), The asymptotic distribution of elements of a correlation matrix, BJMSP 35: the variance of
a correlation whatever the distribution.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from driftline_streams.kernel.histogram import Floats, Ints

# Fisher's z is infinite at 1; beyond this, one correlation is as good as another.
_MOST = 0.999
# Of the variance that a normal distribution has: features that are copies of each other would have none.
_LEAST_VARIANCE = 0.25


class Correlations(NamedTuple):
    """Those of all pairs of columns, each over the rows that have both; shape `(k, k)`."""

    r: Floats  # Pearson's; NaN where a column does not vary or fewer than four rows have both
    variance: Floats  # of Fisher's z = atanh(r); NaN where `r` is
    n: Ints


def correlations(values: Floats) -> Correlations:
    """The correlations of the columns of `values`: shape `(n, k)`, NaN where there is no value.

    >>> correlations(np.array([[1.0, 2.0], [2.0, 4.1], [3.0, 5.9], [4.0, 8.0]])).r.round(4).tolist()
    [[1.0, 0.9995], [0.9995, 1.0]]
    """
    present = np.isfinite(values)
    there = present.astype(np.float64)
    n = there.T @ there
    x = _standardised(values, present)
    with np.errstate(invalid="ignore", divide="ignore"):
        square = x * x
        mean, square_mean = x.T @ there / n, square.T @ there / n  # of column i over the rows that also have j
        spread = square_mean - mean * mean
        spread[spread < 1e-12] = np.nan  # constant over these rows
        r = np.clip((x.T @ x / n - mean * mean.T) / np.sqrt(spread * spread.T), -1, 1)
        # An event's part in r is x·y - r (x² + y²) / 2; the variance of r is that of the mean of these.
        both, cubic, fourth = square.T @ square / n, (square * x).T @ x / n, (square * square).T @ there / n
        part = both - r * (cubic + cubic.T) + r * r / 4 * (fourth + fourth.T + 2 * both)
        bounded = np.clip(r, -_MOST, _MOST)
        variance = np.maximum(part / np.square(1 - bounded * bounded), _LEAST_VARIANCE) / (n - 3)
    unknown = ~np.isfinite(r) | (n < 4)
    r[unknown] = variance[unknown] = np.nan
    return Correlations(r, variance, n.astype(np.int64))


def fisher(r: Floats) -> Floats:
    """Fisher's z of correlations, any shape: finite also at 1."""
    return np.asarray(np.arctanh(np.clip(r, -_MOST, _MOST)), np.float64)


def standard_error(r: Floats, variance: Floats) -> Floats:
    """That of correlations themselves, from the variance of their Fisher's z; any shape."""
    return np.asarray((1 - r * r) * np.sqrt(variance), np.float64)


def _standardised(values: Floats, present: Floats) -> Floats:
    """Each column with mean 0 and variance 1 over its own rows, 0 where there is no value."""
    count = np.maximum(1, present.sum(axis=0))
    filled = np.where(present, values, 0.0)
    centred = np.where(present, filled - filled.sum(axis=0) / count, 0.0)
    deviation = np.sqrt(np.square(centred).sum(axis=0) / count)
    return centred / np.where(deviation > 0, deviation, 1.0)
