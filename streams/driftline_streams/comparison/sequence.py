"""Confidence sequences: intervals of a difference that hold at all times at once, so that looking daily is allowed.

In the walk: the watch over challengers judges the sums of all settled pairs by them. They depend on sums only, however
these came together, so a restated day is judged like any other. Everything is vectorised: arrays of any one shape go in
and come out. Without data an interval is all there could be.

References
----------
Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, JRSS B 86.
Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Time-uniform central limit theory and asymptotic confidence
sequences, Annals of Statistics 52.
Cochran (1977), Sampling Techniques, 3rd edition, section 2.15.
Ville (1939), Étude critique de la notion de collectif.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.histogram import Floats

# Shares of the fortune that are bet, half an octave apart: the best one is the difference over the share of pairs that
# disagree, so the least one suits a difference of a thousandth of that. All of it is never bet: a loss would end it.
_BETS: Floats = np.append(0.97, 2.0 ** (-np.arange(1, 21) / 2))
# Most gamblers bet near a sixth, as differences usually are; against equal parts that saves a sixth of the pairs there
# and costs as many where the difference is a fiftieth of the pairs that disagree (`python -m tests.bench.compare`).
_GAMBLERS: Floats = np.exp(-np.square((np.log2(_BETS) + 2.5) / 1.5) / 2) + 0.02
_LOG_PARTS: Floats = np.log(_GAMBLERS / _GAMBLERS.sum())
_HALVINGS = 44  # of an interval of 2: to 1e-13
_COCHRAN = 25
_TUNED_N = 2_000  # pairs at which the sequence of means is tightest


def evidence(
    champion: npt.ArrayLike, challenger: npt.ArrayLike, neither: npt.ArrayLike, limit: npt.ArrayLike
) -> Floats:
    """The logarithm of the evidence that the challenger is right more often than the champion by more than `limit`.

    Of the pairs, in `champion` only the champion was right, in `challenger` only the challenger, in `neither` both or
    none; `limit` lies between -1 and 1. The evidence is the fortune of gamblers who started with 1 together and bet,
    each a fixed share, that the next pair exceeds the limit. As long as the expected difference never does, given all
    pairs before, their fortune is a supermartingale, however often pairs disagree: the chance that it ever reaches
    1/alpha is at most alpha (Ville). At a limit of 0 it is McNemar's exact test, made to bear looking at any time.

    >>> evidence([0, 5], [5, 0], [5, 5], 0.0).round(2).tolist()
    [1.47, -0.88]
    """
    losses, wins, ties, bound = np.broadcast_arrays(
        *(np.asarray(each, np.float64)[..., None] for each in (champion, challenger, neither, limit))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        stake = _BETS / (1 + bound)
        fortune = wins * np.log1p(stake * (1 - bound)) + ties * np.log1p(-stake * bound) + losses * np.log1p(-_BETS)
    most = fortune.max(axis=-1, keepdims=True)
    all_: Floats = most[..., 0] + np.log(np.exp(fortune - most + _LOG_PARTS).sum(axis=-1))
    return all_


def rates(
    champion: npt.ArrayLike, challenger: npt.ArrayLike, neither: npt.ArrayLike, alpha: float
) -> tuple[Floats, Floats]:
    """The ends of the sequence for the difference of two rates of right answers, challenger minus champion.

    It misses the difference at any time with a chance of at most `alpha`, half on either side.
    """
    low = _lower(champion, challenger, neither, alpha)
    return low, -_lower(challenger, champion, neither, alpha)


def _lower(champion: npt.ArrayLike, challenger: npt.ArrayLike, neither: npt.ArrayLike, alpha: float) -> Floats:
    """The least difference without evidence against it: more evidence is needed for less, so it is found by halving."""
    losses, wins, ties = np.broadcast_arrays(
        *(np.asarray(each, np.float64) for each in (champion, challenger, neither))
    )
    n = losses + wins + ties
    # There is never evidence for more than was seen: a fair bet on a mean does not win (Jensen).
    below, above = np.full(n.shape, -1.0), np.divide(wins - losses, n, out=np.full(n.shape, -1.0), where=n > 0)
    enough = math.log(2 / alpha)
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        exceeded = evidence(losses, wins, ties, middle) >= enough
        below, above = np.where(exceeded, middle, below), np.where(exceeded, above, middle)
    return below


def means(n: npt.ArrayLike, total: npt.ArrayLike, squares: npt.ArrayLike, alpha: float) -> tuple[Floats, Floats]:
    """The ends of the sequence for the mean of `n` differences with this sum and sum of squares.

    By the central limit theorem at all times at once: the chance of ever missing tends to `alpha` with the number of
    pairs at the first look. Of fewer than two pairs the ends are infinite.
    """
    count, sums, powers = np.broadcast_arrays(*(np.asarray(each, np.float64) for each in (n, total, squares)))
    shape = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / _TUNED_N
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / count
        # Below, it is rounding noise of the subtraction.
        spread = powers - sums * mean
        variance = np.where(spread <= 1e-14 * powers, 0.0, spread) / (count - 1)
        scale = count * shape + 1
        reach = np.sqrt(variance * 2 * scale / (count * count * shape) * np.log(np.sqrt(scale) / alpha))
    few = count < 2
    return np.where(few, -np.inf, mean - reach), np.where(few, np.inf, mean + reach)


def pairs_needed(n: npt.ArrayLike, total: npt.ArrayLike, squares: npt.ArrayLike, cubes: npt.ArrayLike) -> Floats:
    """How many differences, of which `n` have these sums of powers, `means` needs: 25 times their squared skewness.

    With fewer, rare large errors on one side make the mean lean to the other side for long (Cochran's rule). Infinite
    where all differences are the same: whatever makes them differ has not been seen yet.
    """
    count, sums, powers, thirds = np.broadcast_arrays(
        *(np.asarray(each, np.float64) for each in (n, total, squares, cubes))
    )
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean = sums / count
        variance = powers / count - np.square(mean)
        varies = variance > 1e-14 * powers / count
        third = thirds / count - 3 * mean * powers / count + 2 * mean**3
        needed = _COCHRAN * np.square(third / variance**1.5)
    return np.where(varies, needed, np.inf)
