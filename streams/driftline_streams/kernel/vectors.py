"""The vectors of events: how well principal components make them up again, and how they lie in random directions.

In the walk: the reference builder learns components, directions and what they give; `joint` measures later events by
the same ones. All directions come from one part of the reference and all its measurements from the other: measured on
the events they were fitted to, directions always look better than they are.

References
----------
Epps and Singleton (1986), An omnibus test for the two-sample problem using the empirical characteristic function,
Journal of Statistical Computation and Simulation 26.
Chwialkowski et al. (2015), Fast two-sample testing with analytic representations of probability measures, NeurIPS: the
same for vectors, at random frequencies.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.significance import Z_95, chi_square

KEPT = 0.9  # of the variance, by the components
FREQUENCIES = 32  # at most; twice as many numbers are compared
# Of the variance of a signal: directions in which the reference hardly varies are looked at closely, within bounds.
_LEAST_SPREAD = 0.02
_LEAST_EIGENVALUE = 1e-3  # of the largest: below, there is nothing but the rounding of the record


class Directions(NamedTuple):
    """What vectors of `k` signals are measured by."""

    means: Floats  # shape (k,)
    deviations: Floats
    components: Floats  # shape (components, k): orthonormal rows
    frequencies: Floats  # shape (frequencies, k)


class Difference(NamedTuple):
    """A test of two samples of vectors."""

    statistic: float  # Hotelling's T²
    p_value: float
    distance: float  # Mahalanobis distance of the two means, without what chance adds to it; at least 0
    low: float  # 95 % interval of the distance
    high: float


def directions(vectors: Floats, seed: int) -> Directions:
    """Those fitted to `vectors`: shape `(n, k)`, complete, k ≥ 2, every column varies.

    Components carry nine tenths of the variance, and never all of it. Frequencies are normal in the coordinates in
    which the vectors have unit variance in every direction: a relation that breaks shows where they hardly varied.
    """
    n, k = vectors.shape
    means, deviations = vectors.mean(axis=0), vectors.std(axis=0)
    standardised = (vectors - means) / deviations
    eigenvalues, eigenvectors = np.linalg.eigh(standardised.T @ standardised / n)
    eigenvalues, eigenvectors = eigenvalues[::-1], eigenvectors[:, ::-1]
    share = np.cumsum(eigenvalues) / k
    components = min(k - 1, int(np.searchsorted(share, KEPT)) + 1)
    draws = np.random.default_rng(seed).standard_normal((min(FREQUENCIES, 4 * k), k)) / math.sqrt(k)
    frequencies = draws / np.sqrt(np.maximum(eigenvalues, _LEAST_SPREAD)) @ eigenvectors.T
    return Directions(means, deviations, eigenvectors[:, :components].T, frequencies)


def reconstruction_errors(vectors: Floats, by: Directions) -> Floats:
    """The mean squared error of the signals of each vector, standardised, when the components make them up again.

    Shape `(n,)`. Of the vectors that the components were fitted to, its mean is the share of variance they lack.
    """
    standardised = (vectors - by.means) / by.deviations
    made = standardised @ by.components.T @ by.components
    return np.asarray(np.square(standardised - made).mean(axis=1), np.float64)


def waves(vectors: Floats, by: Directions) -> Floats:
    """Cosine and sine of each vector at each frequency, shape `(n, 2 · frequencies)`.

    Their means are the empirical characteristic function there.
    """
    angles = ((vectors - by.means) / by.deviations) @ by.frequencies.T
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def difference(ours: Floats, mean: Floats, covariance: Floats, n: int) -> Difference:
    """Do `ours` (shape `(rows, d)`) have the mean of `n` others, of which only mean and covariance are known?

    Hotelling's T² with the covariance of both together; its p-value by Bartlett's approximation of Wilks' lambda. Needs
    more than `d` rows in both together, and two of each.
    """
    rows = len(ours)
    degrees, chance = rows + n - 2, 1 / rows + 1 / n
    pooled = ((rows - 1) * np.cov(ours, rowvar=False) + (n - 1) * covariance) / degrees
    eigenvalues, eigenvectors = np.linalg.eigh(pooled)
    real = eigenvalues > _LEAST_EIGENVALUE * eigenvalues[-1]
    along = (ours.mean(axis=0) - mean) @ eigenvectors[:, real]
    squared, d = float((along * along / eigenvalues[real]).sum()), int(real.sum())
    statistic = squared / chance
    p_value = float(chi_square((degrees - d / 2) * math.log1p(statistic / degrees), d))
    # A noncentral chi-square variable of `d` degrees of freedom: mean d + shift, variance 2 d + 4 shift.
    shift = statistic - d
    reach = Z_95 * math.sqrt(2 * d + 4 * max(shift, 0.0))
    low, middle, high = (math.sqrt(max(0.0, s) * chance) for s in (shift - reach, shift, shift + reach))
    return Difference(statistic, p_value, middle, low, high)
