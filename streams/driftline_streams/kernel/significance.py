"""How surprising a difference would be without a change: tails of the usual distributions, and which tests to believe.

In the walk: `detect` asks for the p-values of a whole test window at once. Everything is vectorised: arrays of any one
shape go in and come out; NaN stays NaN. A tail below the smallest double is 0.

References
----------
Press et al. (2007), Numerical Recipes, 3rd ed., sections 6.2, 6.14.12.
Hill (1970), Algorithm 395: Student's t-distribution, Communications of the ACM 13(10).
Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 26.7.5.
Benjamini and Hochberg (1995), Controlling the false discovery rate, JRSS B 57.
Benjamini and Bogomolov (2014), Selective inference on multiple families of hypotheses, JRSS B 76.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.histogram import Floats

Z_95 = 1.959963984540054  # of the normal distribution, both sides
_erfc = np.frompyfunc(math.erfc, 1, 1)
_lgamma = np.frompyfunc(math.lgamma, 1, 1)


def normal(z: npt.ArrayLike) -> Floats:
    """The chance of a standard normal value at least as far from 0 as `z`, on either side.

    >>> normal([0.0, 1.96]).round(4).tolist()
    [1.0, 0.05]
    """
    return cast("Floats", np.asarray(_erfc(np.abs(np.asarray(z, np.float64)) / math.sqrt(2)), np.float64))


def student(t: npt.ArrayLike, degrees: npt.ArrayLike) -> Floats:
    """The chance of a t value at least as far from 0, on either side, with `degrees` of freedom (at least 1).

    By Hill's expansion: from 10 degrees on it is within 1 in 1,000 of the exact one even where that is 1e-13; at 5
    within 4 in 1,000, at 2 within 6 %.

    >>> float(student(2.0, 30).round(4))
    0.0546
    """
    given, free = np.asarray(t, np.float64), np.asarray(degrees, np.float64)
    a = free - 0.5
    b = 48 * a * a
    with np.errstate(invalid="ignore", over="ignore"):
        square = np.square(given)
        z2 = a * np.log1p(square / free)
        z = np.sqrt(z2)
        series = (((4 * z2 + 33) * z2 + 240) * z2 + 855) / (10 * b * (b + 0.8 * z2 * z2 + 100))
        return normal(np.where(np.isinf(square), np.inf, z + z * ((z2 + 3) / b - series)))


def student_95(degrees: npt.ArrayLike) -> Floats:
    """How many standard errors a 95 % interval reaches to either side; from 5 degrees of freedom on within 1 in 800.

    >>> float(student_95(30).round(3))
    2.042
    """
    free, z = np.asarray(degrees, np.float64), Z_95
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / free + second / free**2 + third / free**3


def chi_square(statistic: npt.ArrayLike, degrees: npt.ArrayLike) -> Floats:
    """The chance of a chi-square statistic at least this large; 1 without (whole) degrees of freedom.

    The upper incomplete gamma function of a half-integer is a finite sum of positive terms.

    >>> chi_square([3.84, 0.0], [1, 0]).round(3).tolist()
    [0.05, 1.0]
    """
    given, free = np.broadcast_arrays(np.asarray(statistic, np.float64), np.asarray(degrees, np.int64))
    x, k = (given / 2).ravel(), free.ravel()
    tail = np.where(k % 2, cast("Floats", np.asarray(_erfc(np.sqrt(np.maximum(x, 0))), np.float64)), 0.0)
    most = int(k.max(initial=0))
    for odd in (0, 1):  # terms x^s exp(-x) / gamma(s + 1) for s = odd/2, odd/2 + 1, … below k/2
        chosen = np.flatnonzero((k % 2 == odd) & (k > 1) & (x > 0))
        if not len(chosen):
            continue
        power = np.arange(odd, most - 1, 2) / 2
        with np.errstate(invalid="ignore"):  # infinity less infinity: a term of 0
            exponent = power * np.log(x[chosen, None]) - x[chosen, None]
        terms = np.exp(np.nan_to_num(exponent, nan=-np.inf) - np.asarray(_lgamma(power + 1), np.float64))
        tail[chosen] += np.where(power < k[chosen, None] / 2 - 0.5, terms, 0.0).sum(axis=1)
    tail = np.where((k < 1) | (x <= 0), 1.0, np.minimum(tail, 1.0))
    return cast("Floats", np.where(np.isnan(x), np.nan, tail).reshape(given.shape))


def kolmogorov(statistic: npt.ArrayLike, n: npt.ArrayLike, reference_n: npt.ArrayLike) -> Floats:
    """The chance of a KS statistic at least this large between samples of these sizes (asymptotic; too large for ties).

    NaN when a side is empty.

    >>> float(kolmogorov(0.1, 500, 500).round(4))
    0.0135
    """
    ours, theirs = np.asarray(n, np.float64), np.asarray(reference_n, np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        x = np.asarray(statistic, np.float64) * np.sqrt(ours * theirs / (ours + theirs))
        # Near 0 the usual series converges slowly, its theta transform quickly; below 0.04 the chance is 1.
        near, odd = np.clip(x, 0.04, 1.18)[..., None], np.arange(1, 8, 2)
        low = 1 - math.sqrt(2 * math.pi) * (np.exp(-((math.pi * odd / near) ** 2) / 8) / near).sum(axis=-1)
        far, k = np.maximum(x, 1.18)[..., None], np.arange(1, 6)
        high = 2 * ((-1.0) ** (k - 1) * np.exp(-2 * np.square(k * far))).sum(axis=-1)
    return cast("Floats", np.where((ours > 0) & (theirs > 0), np.clip(np.where(x < 1.18, low, high), 0, 1), np.nan))


def believed(p_values: Floats, alpha: float) -> npt.NDArray[np.bool_]:
    """Which tests to believe so that at most `alpha` of the things found are expected to be found falsely.

    Of shape `(things,)`, one test each, that is Benjamini and Hochberg's procedure. Of shape `(things, tests)` a thing
    is found when one of its tests is believed: the tests of a thing are one p-value by Simes, the procedure chooses
    among the things, and within each chosen one it is done again at `alpha` times the share of things chosen (Benjamini
    and Bogomolov). Done over all tests alike, each of three tests that find one true change would excuse a false one.

    NaN is never believed and does not count as a test.

    >>> believed(np.array([0.001, 0.04, 0.03, np.nan]), 0.05).tolist()
    [True, True, True, False]
    >>> believed(np.array([[0.001, 0.9], [0.04, np.nan], [np.nan, np.nan]]), 0.05).tolist()
    [[True, False], [True, False], [False, False]]
    """
    p = p_values if p_values.ndim == 2 else p_values[:, None]
    tests = (~np.isnan(p)).sum(axis=1, keepdims=True)
    ordered = np.sort(p, axis=1)  # NaN last
    adjusted = ordered * tests / np.arange(1, p.shape[1] + 1)
    simes = np.fmin.reduce(adjusted, axis=1, initial=np.inf)
    tested = np.sort(simes[tests[:, 0] > 0])
    below = np.flatnonzero(tested <= alpha * np.arange(1, len(tested) + 1) / max(1, len(tested)))
    if not len(below):
        return np.zeros(p_values.shape, np.bool_)
    level = alpha * (below[-1] + 1) / len(tested)
    within = np.where(adjusted <= level, ordered, -1.0).max(axis=1, keepdims=True)
    found: npt.NDArray[np.bool_] = (p <= within).reshape(p_values.shape)
    return found
