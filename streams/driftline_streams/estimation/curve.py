"""A smooth curve through events that came true or not: logistic regression that bends as far as the events ask.

In the walk: `calibration` draws it through matured outcomes, by the logit of their score. It is a line (Platt, 1999)
with a smooth deviation (penalised splines: Eilers and Marx, 1996, Statistical Science 11), as stiff as Akaike's
criterion wants it. Against isotonic regression it has no steps, leans on its neighbours where events are rare, and
knows how sure it is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from driftline_streams.kernel.histogram import Floats

KNOTS = 16  # a curve of scores bends in fewer places
_STIFFNESS = tuple(10.0**power for power in range(-1, 7))  # penalties that are tried; the last is a straight line
_STEPS = 25  # of Newton's method; it takes four to eight
_CLOSE = 1e-6  # logits
_RIDGE = 1e-4  # a prior deviation of 100 logits: keeps the curve finite where all outcomes are the same


class Curve(NamedTuple):
    """Logits at the knots, shape `(k,)`, with their covariance, shape `(k, k)`; straight between, constant outside."""

    knots: Floats
    values: Floats
    covariance: Floats

    def at(self, x: Floats) -> Floats:
        """The logits of the probabilities at `x`, shape as `x`."""
        return hats(x, self.knots) @ self.values

    def error(self, x: Floats) -> Floats:
        """The covariance of the logits at `x`, shape `(len(x), len(x))`."""
        basis = hats(x, self.knots)
        return np.asarray(basis @ self.covariance @ basis.T, np.float64)

    def draws(self, x: Floats, n: int, dice: np.random.Generator) -> Floats:
        """Deviations of `n` curves that the events leave possible, in logits at `x`: shape `(n, len(x))`."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))
        return np.asarray((dice.standard_normal((n, len(values))) @ root.T) @ hats(x, self.knots).T, np.float64)


def fit(x: Floats, positives: Floats, negatives: Floats) -> Curve:
    """The curve of the share of `positives` over `x` (all of shape `(n,)`); together they must not be all zero."""
    total = positives + negatives
    knots = _knots(x, total)
    basis, rough = hats(x, knots), _roughness(knots)
    at = np.full(len(knots), math.log((positives.sum() + 0.5) / (negatives.sum() + 0.5)))
    fits: list[tuple[float, Curve]] = []
    for stiffness in reversed(_STIFFNESS):  # from the straight line on, each from the one before
        penalty = stiffness * rough + _RIDGE * np.eye(len(knots))
        at, covariance, criterion = _most_likely(basis, positives, total, penalty, at)
        fits.append((criterion, Curve(knots, at, covariance)))
    return min(fits, key=lambda each: each[0])[1]


def expit(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(x / 2)), np.float64)


def hats(x: Floats, knots: Floats) -> Floats:
    """Hat functions of the knots at `x`, shape `(len(x), k)`: each row sums to 1 and has at most two values."""
    if len(knots) == 1:
        return np.ones((len(x), 1))
    at = np.clip(x, knots[0], knots[-1])
    left = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    share = (at - knots[left]) / (knots[left + 1] - knots[left])
    out, rows = np.zeros((len(x), len(knots))), np.arange(len(x))
    out[rows, left], out[rows, left + 1] = 1 - share, share
    return out


def _most_likely(
    basis: Floats, positives: Floats, total: Floats, penalty: Floats, start: Floats
) -> tuple[Floats, Floats, float]:
    """The maximum of the penalised likelihood by Newton's method, its covariance, and Akaike's criterion."""
    at = start
    for _ in range(_STEPS):
        p = expit(basis @ at)
        information = (basis * (total * p * (1 - p))[:, None]).T @ basis
        step = np.linalg.solve(information + penalty, basis.T @ (positives - total * p) - penalty @ at)
        at = at + np.clip(step, -4, 4)  # a longer one overshoots where nearly all outcomes are the same
        if np.abs(step).max() < _CLOSE:
            break
    covariance, logit = np.asarray(np.linalg.inv(information + penalty), np.float64), basis @ at
    deviance = 2 * float((total * np.logaddexp(0, logit) - positives * logit).sum())
    return at, covariance, deviance + 2 * float(np.trace(covariance @ information))


def _knots(x: Floats, weight: Floats) -> Floats:
    """Quantiles of the events, so that each piece holds as many of them, and the ends."""
    x, weight = x[weight > 0], weight[weight > 0]
    order = np.argsort(x)
    share = np.cumsum(weight[order]) / weight.sum()
    inner = np.searchsorted(share, np.arange(1, KNOTS - 1) / (KNOTS - 1)).clip(0, len(x) - 1)
    return np.unique(np.concatenate([[x.min()], x[order][inner], [x.max()]]))


def _roughness(knots: Floats) -> Floats:
    """The integral of the squared second derivative, by differences: 0 of a straight line."""
    if len(knots) < 3:
        return np.zeros((len(knots), len(knots)))
    gap, rows = np.diff(knots), np.arange(len(knots) - 2)
    second = np.zeros((len(rows), len(knots)))
    second[rows, rows], second[rows, rows + 2] = 1 / gap[:-1], 1 / gap[1:]
    second[rows, rows + 1] = -(1 / gap[:-1] + 1 / gap[1:])
    return np.asarray(second.T @ (second / ((gap[:-1] + gap[1:]) / 2)[:, None]), np.float64)
