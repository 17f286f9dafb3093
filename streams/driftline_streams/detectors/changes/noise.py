"""How much the means of a signal's windows vary without a change: what `watch` divides by.

The variance of a window's mean of n values is

    (within / n + known + excess) * inflation

with the variance of single values within windows (pooled, it goes on being learned), what is known to be uncertain of
the expected mean (an hour of the week of which the reference holds few values), what windows vary beyond sampling, and
what is left because neighbouring windows vary together. The last two come from the residuals of each window against
the mean of those before it (recursive residuals: independent without a change, and after one the mean starts anew),
by the method of moments; each counts only where it is significant, and is looked at again after 20, 40, 80, … windows.

References
----------
DerSimonian and Laird (1986), Meta-analysis in clinical trials, Controlled Clinical Trials 7 (the moment estimate).
Brown, Durbin and Evans (1975), Techniques for testing the constancy of regression relationships, JRSS B 37.
"""

from __future__ import annotations

import math

from msgspec import Struct

from driftline_streams.kernel import significance

FIRST_LOOK = 19  # residuals: those of 20 windows
LAST_LOOK = 1_280  # from then on the older half of what is known is forgotten at each look
SIGNIFICANT = 0.01  # of an excess; that of neighbours, below, is rarer: it is looked at as often and costs more
NEIGHBOURS = 3.0  # standard errors of a correlation
MOST_CORRELATION = 0.9
# Values by which the variance within windows is known at most: older ones are forgotten. Sampling error of 0.5 %.
FREEDOM = 100_000.0
LEAST = 1e-4  # of the variance within windows, in squared units: a window without spread is not infinitely certain
OUTLYING = 4.0  # a residual beyond so many deviations counts as this many, or one bad window would hide a change


class Noise(Struct, array_like=True):
    """All variances are in squares of the signal's unit (one deviation of single values)."""

    within: float = 1.0
    freedom: float = 0.0  # values behind `within`, as of a sample
    excess: float = 0.0
    inflation: float = 1.0
    looks: int = 0
    next_look: int = FIRST_LOOK
    k: int = 0  # residuals behind the sums
    squares: float = 0.0  # of residuals over their sampling error
    gain: float = 0.0  # how much of an excess these squares would show
    lagged: float = 0.0  # of products with the residual before
    last: float = 0.0
    outlying: int = 0  # whether the last one was cut, and on which side
    mean: float = 0.0  # of the windows at this level, by weight
    weight: float = 0.0

    def learn(self, squares: float, freedom: float, least: float = LEAST) -> None:
        """Take in the squared deviations of values from their window's mean, and their degrees of freedom."""
        if freedom <= 0:
            return
        total = self.freedom + freedom
        self.within = max((self.within * self.freedom + squares) / total, least)
        self.freedom = min(total, FREEDOM)

    def compare(self, difference: float, n: int, other_n: int) -> None:
        """Take in how far the means of two windows are apart: what windows of single values show of their spread."""
        harmonic = n * other_n / (n + other_n)
        squares = difference * difference * harmonic
        self.learn(squares * self.within / (self.within + 2 * self.excess * harmonic), 1.0)

    def variance(self, n: int, known: float) -> float:
        """Of the mean of `n` values."""
        return (self.within / n + known + self.excess) * self.inflation

    def update(self, mean: float, n: int, known: float) -> bool:
        """Take in the mean of a window (in units); True when the estimates have been renewed."""
        sampling = self.within / n + known
        if self.weight:
            own = sampling + 1 / self.weight
            far = mean - self.mean
            if self.looks:
                most = OUTLYING * math.sqrt(self.variance(n, known) + 1 / self.weight)
                side = (far > most) - (far < -most)
                if side and side == self.outlying:
                    return False  # rather a change than noise
                self.outlying = side
                far = max(-most, min(most, far))
            residual = far / math.sqrt(own)
            self.k += 1
            self.squares += residual * residual
            self.gain += 1 / own
            self.lagged += residual * self.last
            self.last = residual
        weight = 1 / (sampling + self.excess)
        self.weight += weight
        self.mean += (mean - self.mean) * weight / self.weight
        if self.k < self.next_look:
            return False
        self._look()
        return True

    def restart(self) -> None:
        """Go on at a level of which nothing is known yet."""
        self.weight = self.last = 0.0

    def _look(self) -> None:
        if self.freedom < 10 * self.k and self.squares:
            # Windows of single values show no spread within: theirs is what they vary by from one to the next.
            factor = self.squares / self.k
            self.within *= factor
            self.squares, self.lagged, self.gain = self.squares / factor, self.lagged / factor, self.gain / factor
            self.last /= math.sqrt(factor)
        surprising = float(significance.chi_square(self.squares, self.k)) < SIGNIFICANT
        self.excess = (self.squares - self.k) / self.gain if surprising else 0.0
        correlation = self.lagged / self.squares if self.squares else 0.0
        correlation = min(MOST_CORRELATION, correlation) if correlation > NEIGHBOURS / math.sqrt(self.k) else 0.0
        self.inflation = (1 + correlation) / (1 - correlation)
        self.looks += 1
        if self.k >= LAST_LOOK:
            self.k //= 2
            self.squares, self.gain, self.lagged = self.squares / 2, self.gain / 2, self.lagged / 2
        self.next_look = 2 * self.k
