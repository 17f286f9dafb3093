"""How far one sample is from another, from binned counts alone, and how surprising that is.

In the walk: `detect` compares the bins of a closed test window with those of the reference. Effect sizes (PSI, KS) say
whether a difference matters, p-values whether it can be chance; a finding needs both.

Counts are arrays of shape `(bins,)` over the same bins, `observed` of the window and `expected` of the reference.

References
----------
Yurdakul and Naranjo (2020), Statistical properties of the population stability index, Journal of Risk Model Validation.
Press et al. (2007), Numerical Recipes, 3rd ed., sections 6.2, 14.3.
Benjamini and Hochberg (1995), Controlling the false discovery rate, JRSS B 57.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.histogram import Floats, Ints

PSI_BINS = 10
Counts = npt.NDArray[np.integer]


def coarse_bins(expected: Counts, bins: int = PSI_BINS) -> Ints:
    """The coarse bin that each fine bin belongs to, so that coarse bins hold about equally much of `expected`.

    Shape `(fine bins,)`, ascending, at most `bins` different values; a fine bin is never split.

    >>> coarse_bins(np.array([5, 5, 5, 5]), 2).tolist()
    [0, 0, 1, 1]
    """
    total = int(expected.sum())
    if not total:
        return np.zeros(len(expected), np.int64)
    middle = np.cumsum(expected) - expected / 2
    return np.minimum((middle * bins / total).astype(np.int64), bins - 1)


def psi(observed: Counts, expected: Counts) -> float:
    """The population stability index, its bias under no change taken off, at least 0; NaN when a side is empty.

    Bins that are empty on both sides do not count. Where one side alone is empty, half an event is added to every bin
    of both sides: the index of an empty bin is infinite. Two samples of the same distribution have an index of about
    (bins - 1)(1/n + 1/N), so that small windows would always look drifted.

    >>> psi(np.array([50, 50]), np.array([500, 500]))
    0.0
    """
    n, reference_n = int(observed.sum()), int(expected.sum())
    if not n or not reference_n:
        return math.nan
    used = (observed > 0) | (expected > 0)
    ours, theirs = observed[used].astype(np.float64), expected[used].astype(np.float64)
    if not (ours.all() and theirs.all()):
        ours, theirs = ours + 0.5, theirs + 0.5
    p, q = ours / ours.sum(), theirs / theirs.sum()
    index = float(((p - q) * np.log(p / q)).sum())
    return max(0.0, index - (len(p) - 1) * (1 / n + 1 / reference_n))


def ks(observed: Counts, expected: Counts) -> float:
    """The largest distance between the two cumulative distributions at the bins' ends; NaN when a side is empty.

    It is never more than the statistic of the unbinned samples.

    >>> ks(np.array([0, 10]), np.array([10, 10]))
    0.5
    """
    n, reference_n = int(observed.sum()), int(expected.sum())
    if not n or not reference_n:
        return math.nan
    return float(np.abs(np.cumsum(observed) / n - np.cumsum(expected) / reference_n).max())


def ks_p_value(statistic: float, n: int, reference_n: int) -> float:
    """The chance of a KS statistic at least this large without a difference (asymptotic; too large for ties).

    >>> round(ks_p_value(0.1, 500, 500), 4)
    0.0135
    """
    if not n or not reference_n or math.isnan(statistic):
        return math.nan
    return _kolmogorov_tail(statistic * math.sqrt(n * reference_n / (n + reference_n)))


def chi_square(observed: Counts, expected: Counts) -> tuple[float, int]:
    """The two-sample chi-square statistic of homogeneity and its degrees of freedom; (0, 0) when a side is empty.

    >>> chi_square(np.array([10, 20]), np.array([20, 10]))[1]
    1
    """
    n, reference_n = int(observed.sum()), int(expected.sum())
    if not n or not reference_n:
        return 0.0, 0
    used = (observed > 0) | (expected > 0)
    ours, theirs = observed[used].astype(np.float64), expected[used].astype(np.float64)
    ratio = math.sqrt(reference_n / n)
    return float(((ours * ratio - theirs / ratio) ** 2 / (ours + theirs)).sum()), len(ours) - 1


def chi_square_p_value(statistic: float, degrees: int) -> float:
    """The chance of a chi-square statistic at least this large without a difference; 1 without degrees of freedom."""
    if degrees < 1 or statistic <= 0:
        return 1.0
    return _upper_gamma(degrees / 2, statistic / 2)


def significant(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which tests to believe so that at most `alpha` of those believed are expected to be false (Benjamini-Hochberg).

    NaN is never believed and does not count as a test.

    >>> significant([0.001, 0.04, 0.03, float("nan")], 0.05)
    [True, True, True, False]
    """
    p: Floats = np.asarray(p_values, np.float64)
    tested = np.sort(p[~np.isnan(p)])
    below = np.flatnonzero(tested <= alpha * np.arange(1, len(tested) + 1) / max(1, len(tested)))
    if not len(below):
        return [False] * len(p)
    return [bool(value) for value in p <= tested[below[-1]]]


def _kolmogorov_tail(x: float) -> float:
    if x < 0.04:  # 1 to the last digit
        return 1.0
    if x < 1.18:  # the other series: this one needs many terms near zero
        y = math.exp(-(math.pi**2) / (8 * x * x))
        return 1 - math.sqrt(2 * math.pi) / x * sum(y ** ((2 * k - 1) ** 2) for k in range(1, 5))
    return max(0.0, min(1.0, 2 * sum((-1.0) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, 6))))


def _upper_gamma(a: float, x: float) -> float:
    """The regularised upper incomplete gamma function Q(a, x), a > 0, x > 0, to about 1e-12."""
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:  # series for P = 1 - Q
        term = total = 1 / a
        k = a
        while abs(term) > 1e-15 * abs(total):
            k += 1
            term *= x / k
            total += term
        return max(0.0, 1 - total * scale)
    # Continued fraction by Lentz's method; `tiny` keeps its denominators from zero.
    tiny = 1e-300
    b = x + 1 - a
    c, d = 1 / tiny, 1 / b
    fraction = d
    for i in range(1, 100_000):
        step = -i * (i - a)
        b += 2
        d = 1 / (step * d + b or tiny)
        c = b + step / c or tiny
        fraction *= d * c
        if abs(d * c - 1) < 1e-14:
            break
    return min(1.0, scale * fraction)
