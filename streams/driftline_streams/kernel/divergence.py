"""How far two binned samples are from each other, with what chance alone would show taken off.

In the walk: `detect` compares the bins of a closed test window with those of the reference, all signals at once.

Counts are arrays of shape `(…, bins)` over the same bins, `observed` of the window and `expected` of the reference,
whole or not; results have the shape `(…)` and are NaN where a side is empty. Bins that are empty on both sides do not
count.

**Null bias.** Let p and q be the shares of two samples of sizes n and N from one distribution over B bins. Every
divergence `sum q f(p / q)` with f(1) = 0 is f''(1)/2 · sum (p - q)² / q to second order, and the expectation of that
sum is (B - 1)(1/n + 1/N). So small windows always look changed, by c (B - 1)(1/n + 1/N) with c = f''(1)/2: 1 for PSI
(f = (t - 1) ln t), 1/2 for Kullback-Leibler (t ln t), 1/8 in nats for Jensen-Shannon and for the squared Hellinger
distance. It adds to a true difference in the same way, is taken off, and what falls below 0 is 0. Pardo (2006),
Statistical Inference Based on Divergence Measures, ch. 3; for PSI Yurdakul and Naranjo (2020), Journal of Risk Model
Validation 14(3).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.kernel.significance import Z_95

PSI_BINS = 10
LEAST_EXPECTED = 5.0  # in the window: in emptier bins neither chi-square nor the null bias holds (Cochran 1954)
Counts = npt.NDArray[np.integer] | Floats


def coarse_bins(expected: Counts, bins: int = PSI_BINS) -> Ints:
    """The coarse bin that each fine bin belongs to, so that coarse bins hold about equally much of `expected`.

    Of the shape of `expected`, ascending along the last axis, at most `bins` different values; a fine bin is never
    split.

    >>> coarse_bins(np.array([5, 5, 5, 5]), 2).tolist()
    [0, 0, 1, 1]
    """
    middle = np.cumsum(expected, axis=-1) - expected / 2
    total = np.maximum(np.sum(expected, axis=-1, keepdims=True), 1e-300)
    coarse: Ints = np.minimum((middle * bins / total).astype(np.int64), bins - 1)
    return coarse


def leading_bins(expected: Counts) -> Ints:
    """The first fine bin of the coarse bin that each fine bin belongs to: where segments count it; shape as `expected`.

    >>> leading_bins(np.array([5, 5, 5, 5] * 5)).tolist()
    [0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14, 16, 16, 18, 18]
    """
    coarse = coarse_bins(expected)
    begins = np.diff(coarse, axis=-1, prepend=-1) > 0
    return np.maximum.accumulate(np.where(begins, np.arange(coarse.shape[-1]), 0), axis=-1)


def sum_by(group: Ints, counts: Counts, bins: int = PSI_BINS) -> Floats:
    """The counts of the coarse bins that `group` (of `coarse_bins`) says; both have the shape `(signals, fine bins)`.

    >>> sum_by(np.array([[0, 0, 1]]), np.array([[1, 2, 3]]), 2).tolist()
    [[3.0, 3.0]]
    """
    place = group + bins * np.arange(len(group))[:, None]
    weights = np.asarray(counts, np.float64).ravel()
    return np.bincount(place.ravel(), weights, bins * len(group)).reshape(-1, bins).astype(np.float64)


def pooled(observed: Counts, expected: Counts, least: float = LEAST_EXPECTED) -> tuple[Floats, Floats]:
    """Both sides with the bins too empty to be judged by themselves put together, into one more bin at the end.

    A bin is, when fewer than `least` of the window's values are to be expected in it if nothing has changed. What they
    hold together joins the emptiest of the other bins when it is too little as well.

    >>> [side.tolist() for side in pooled(np.array([50, 46, 2, 2]), np.array([50, 44, 4, 2]))]
    [[50.0, 46.0, 0.0, 0.0, 4.0], [50.0, 44.0, 0.0, 0.0, 6.0]]
    """
    ours, theirs = np.asarray(observed, np.float64), np.asarray(expected, np.float64)
    n, both = ours.sum(axis=-1, keepdims=True), ours + theirs
    with np.errstate(invalid="ignore", divide="ignore"):
        usual = both * (n / both.sum(axis=-1, keepdims=True))
    rare = ~(usual >= least)
    # The emptiest bin that is kept; the pool itself where none is.
    kept = np.concatenate([np.where(rare, np.inf, usual), np.full((*n.shape[:-1], 1), 1e300)], axis=-1)
    scarce = np.where(rare, usual, 0.0).sum(axis=-1, keepdims=True) < least
    home = np.where(scarce, kept.argmin(axis=-1, keepdims=True), ours.shape[-1])
    sides = []
    for side in (ours, theirs):
        rest = np.where(rare, side, 0.0).sum(axis=-1, keepdims=True)
        whole = np.concatenate([np.where(rare, 0.0, side), np.zeros_like(rest)], axis=-1)
        np.put_along_axis(whole, home, np.take_along_axis(whole, home, axis=-1) + rest, axis=-1)
        sides.append(whole)
    return sides[0], sides[1]


def degrees(observed: Counts, expected: Counts) -> Ints:
    """How many bins are used, less one; 0 when there is none."""
    used = (np.asarray(observed) > 0) | (np.asarray(expected) > 0)
    found: Ints = np.maximum(used.sum(axis=-1) - 1, 0)
    return found


def psi(observed: Counts, expected: Counts) -> Floats:
    """The population stability index (Jeffreys divergence), at least 0.

    Where one side alone is empty, half an event is added to every used bin of both sides: the index of an empty bin is
    infinite.

    >>> float(psi(np.array([50, 50]), np.array([500, 500])))
    0.0
    """
    p, q = _smoothed(observed, expected)
    return _above(((p - q) * _log_ratio(p, q)).sum(axis=-1), _bias(observed, expected))


def kl(observed: Counts, expected: Counts) -> Floats:
    """The Kullback-Leibler divergence of the window from the reference, in nats; empty bins as for `psi`."""
    p, q = _smoothed(observed, expected)
    return _above((p * _log_ratio(p, q)).sum(axis=-1), _bias(observed, expected) / 2)


def jensen_shannon(observed: Counts, expected: Counts) -> Floats:
    """The Jensen-Shannon distance: the root of the divergence in bits, 0 to 1.

    >>> jensen_shannon(np.array([[9, 0], [5, 5]]), np.array([[0, 9], [5, 5]])).round(2).tolist()
    [0.98, 0.0]
    """
    p, q = _shares(observed), _shares(expected)
    middle = (p + q) / 2
    nats = (p * _log_ratio(p, middle) + q * _log_ratio(q, middle)).sum(axis=-1) / 2
    return np.sqrt(_above(nats, _bias(observed, expected) / 8) / math.log(2))


def hellinger(observed: Counts, expected: Counts) -> Floats:
    """The Hellinger distance, 0 to 1."""
    p, q = _shares(observed), _shares(expected)
    square = np.square(np.sqrt(p) - np.sqrt(q)).sum(axis=-1) / 2
    return np.sqrt(_above(square, _bias(observed, expected) / 8))


def total_variation(observed: Counts, expected: Counts) -> Floats:
    """Half the sum of absolute differences of the shares, 0 to 1.

    It has no expansion of second order. Under no change the difference of a bin is normal with variance
    s² = p(1 - p)(1/n + 1/N), and its absolute value s · sqrt(2/π) in the mean. That is taken off, which is too much by
    at most itself where the bin has changed: the result errs on the small side.
    """
    p, q = _shares(observed), _shares(expected)
    whole = _pool(observed, expected)
    noise = np.sqrt(whole * (1 - whole) * _precision(observed, expected)[..., None] * 2 / math.pi)
    return _above(np.abs(p - q).sum(axis=-1) / 2, noise.sum(axis=-1) / 2)


def chi_square(observed: Counts, expected: Counts) -> Floats:
    """The two-sample chi-square statistic of homogeneity; under no change its mean is `degrees`.

    >>> float(chi_square(np.array([10, 20]), np.array([20, 10])).round(3))
    6.667
    """
    p, q, whole = _shares(observed), _shares(expected), _pool(observed, expected)
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = np.where(whole > 0, np.square(p - q) / whole, whole)
    return np.asarray(terms.sum(axis=-1) / _precision(observed, expected), np.float64)


def entropy(counts: Counts) -> Floats:
    """The entropy in nats, with Miller and Madow's (1955) correction for bins that a small sample misses.

    >>> float(entropy(np.array([50, 50])).round(3))
    0.698
    """
    p = _shares(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        missed = ((p > 0).sum(axis=-1) - 1) / (2 * np.sum(counts, axis=-1))
        plain = -np.where(p > 0, p * np.log(p), p).sum(axis=-1)
    return np.asarray(plain + missed, np.float64)


def ks(observed: Counts, expected: Counts) -> Floats:
    """The largest distance between the two cumulative distributions at the bins' ends.

    It is never more than the statistic of the unbinned samples.

    >>> float(ks(np.array([0, 10]), np.array([10, 10])))
    0.5
    """
    gap = np.abs(np.cumsum(_shares(observed) - _shares(expected), axis=-1))
    return np.asarray(gap.max(axis=-1), np.float64)


def ks_interval(statistic: Floats, n: Floats, reference_n: Floats) -> tuple[Floats, Floats]:
    """A 95 % interval of the distance at the bins' ends, sound for any distribution and wider than it had to be.

    Each side is within sqrt(ln(2 / 0.025) / 2n) of its distribution at 97.5 % (Dvoretzky, Kiefer and Wolfowitz with the
    constant of Massart 1990), so the statistic is within the sum of both at 95 %.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = math.sqrt(math.log(80) / 2) * (1 / np.sqrt(n) + 1 / np.sqrt(reference_n))
    return np.maximum(statistic - reach, 0.0), np.minimum(statistic + reach, 1.0)


def psi_interval(observed: Counts, expected: Counts) -> tuple[Floats, Floats]:
    """A 95 % interval of the index, by the delta method.

    The first order vanishes where nothing has changed; there the index is (1/n + 1/N) times a chi-square value, whose
    variance 2 (B - 1)(1/n + 1/N)² is added.
    """
    p, q = _smoothed(observed, expected)
    ratio = _log_ratio(p, q)
    variance = 2 * degrees(observed, expected) * np.square(_precision(observed, expected))
    with np.errstate(invalid="ignore", divide="ignore"):
        for share, slope, side in (
            (p, ratio + 1 - q / np.where(p > 0, p, 1), observed),
            (q, -ratio + 1 - p / np.where(q > 0, q, 1), expected),
        ):
            mean = (share * slope).sum(axis=-1)
            variance = variance + ((share * np.square(slope)).sum(axis=-1) - mean * mean) / np.sum(side, axis=-1)
    reach, index = Z_95 * np.sqrt(np.maximum(variance, 0)), psi(observed, expected)
    return np.maximum(index - reach, 0.0), index + reach


def _shares(counts: Counts) -> Floats:
    given = np.asarray(counts, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: Floats = given / given.sum(axis=-1, keepdims=True)
    return shares


def _smoothed(observed: Counts, expected: Counts) -> tuple[Floats, Floats]:
    ours, theirs = np.asarray(observed, np.float64), np.asarray(expected, np.float64)
    used = (ours > 0) | (theirs > 0)
    empty = ((ours == 0) != (theirs == 0)).any(axis=-1, keepdims=True)
    some = ours.any(axis=-1, keepdims=True) & theirs.any(axis=-1, keepdims=True)
    added = np.where(empty & some & used, 0.5, 0.0)
    return _shares(ours + added), _shares(theirs + added)


def _log_ratio(p: Floats, q: Floats) -> Floats:
    """ln(p / q), 0 where p is 0."""
    there = p > 0
    return np.asarray(np.log(np.divide(p, q, out=np.ones_like(p), where=there)), np.float64)


def _precision(observed: Counts, expected: Counts) -> Floats:
    """1/n + 1/N; finite where a side is empty, whose shares are NaN."""
    n, reference_n = np.maximum(observed.sum(axis=-1), 1e-9), np.maximum(expected.sum(axis=-1), 1e-9)
    return np.asarray(1 / n + 1 / reference_n, np.float64)


def _pool(observed: Counts, expected: Counts) -> Floats:
    """The shares of both samples together."""
    return _shares(np.asarray(observed, np.float64) + np.asarray(expected, np.float64))


def _bias(observed: Counts, expected: Counts) -> Floats:
    return degrees(observed, expected) * _precision(observed, expected)


def _above(value: Floats, bias: Floats) -> Floats:
    return np.maximum(value - bias, 0.0)
