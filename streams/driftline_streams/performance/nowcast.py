"""What a day's performance will be when all its labels have come: an interval for the final value.

In the walk: `expected.py` asks for each day that is not final. Labels that came early are no sample of all. Each counts
as many times as one of its class has come with so much delay (inverse probability weighting within classes), and those
still to come are drawn: how far each class has come, from the spread of mature days; how many are to come, from these
weights and from how many come of a day in the end; and of which classes they are. The interval holds the middle 95 % of
the final values so drawn, and never leaves the worst cases. Where history says nothing, does not fit the day, or has
misled on too many of the last mature days, the worst cases are the interval.

References
----------
Horvitz and Thompson (1952), A generalization of sampling without replacement, JASA 47, 663-685.
Lawless (1994), Adjustments for reporting delays and the prediction of occurred but not reported events, Canadian
Journal of Statistics 22, 15-31.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.significance import student
from driftline_streams.performance import rates
from driftline_streams.performance.maturity import Maturity, Tried

DRAWS = 2_000
TRIED_DRAWS = 400
LIMITS = (0.025, 0.975)  # of what was drawn: a 95 % interval
UNLIKELY = 1e-3  # as many labels as have come, if history holds: below it, history does not fit
# Of 20 days tried 4 or more are missed by a true 95 % interval once in 63 times, 5 or more once in 390.
MOST_MISSED = 0.2
_SEED = 20_260_102  # results are functions of what is given
LEAST_COME = 0.02  # of the labels that come in the end: with fewer, history alone would speak
LEAST_LABELS = 10
_LEAST_SHARE = 1e-4  # a class of which still fewer labels have come is as good as unseen


class Expected(NamedTuple):
    """What a number will be."""

    metric: str
    estimate: float | None  # `None` where only the worst cases are known
    low: float
    high: float
    method: Literal["weighted", "bounds"]
    reason: str  # why only the worst cases are known; empty otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What has come of one version and role on one day."""

    counts: Mapping[str, float]  # labels by class, as in `Maturity.classes`
    weights: Mapping[str, float]  # sums of the weights of these labels
    answered: int  # predictions that a label may come for
    alone: bool = True  # whether `answered` counts no other role's predictions

    @property
    def labelled(self) -> float:
        """Labels that have come."""
        return sum(self.counts.values())

    @property
    def missing(self) -> float:
        """Predictions without a label."""
        return max(0.0, self.answered - self.labelled)

    def weight(self, name: str) -> float:
        """The mean weight of a label of a class; of a class without labels, of all; without any 1."""
        if self.counts.get(name):
            return self.weights.get(name, self.counts[name]) / self.counts[name]
        return sum(self.weights.values()) / self.labelled if self.labelled and self.weights else 1.0


@dataclass(frozen=True, slots=True)
class Nowcast:
    """Draws of the final day: labels to come of each class, shape `(draws,)` each; or why there are none."""

    seen: Seen
    to_come: Mapping[str, Floats]
    missed: Mapping[str, float]  # metric to the share of mature days whose final value was outside
    reason: str

    def coverage(self) -> Expected:
        """The share of predictions whose label will have come in the end."""
        answered = max(self.seen.answered, 1)
        low, high = (
            min(1.0, self.seen.labelled / answered),
            min(1.0, (self.seen.labelled + self.seen.missing) / answered),
        )
        return _expected("coverage", self._total() / answered, (low, high), self.reason)

    def rates(self) -> list[Expected]:
        """The rates of the classes that have come; nothing without classes."""
        seen = {name: self.seen.weights.get(name, n) for name, n in self.seen.counts.items() if name}
        if not sum(seen.values()) > 0:
            return []
        missing = self.seen.missing * max(self.seen.weight(""), 0.0)
        worst = rates.bounds(seen, missing)
        names = [name for name in self.to_come if name]
        final = {
            n: seen.get(n, 0.0) + self.to_come[n] * self.seen.weight(n) for n in {*names, *seen} if n in self.to_come
        }
        drawn = rates.rates(final) if final else {}
        none = np.zeros(0)
        return [_expected(name, drawn.get(name, none), worst[name], self._doubt(name)) for name in worst]

    def _total(self) -> Floats:
        total: Floats = np.asarray(self.seen.labelled + sum(self.to_come.values(), np.zeros(1)), np.float64)
        return total

    def _doubt(self, metric: str) -> str:
        missed = self.missed.get(metric, 0.0)
        if self.reason or missed <= MOST_MISSED:
            return self.reason
        return f"such intervals missed the final value on {missed:.0%} of the last mature days"


def nowcast(seen: Seen, history: Maturity | str) -> Nowcast:
    """What the labels of a day will be in the end; `history` is that of `maturity.look` for the day's age."""
    if isinstance(history, str):
        return Nowcast(seen, {}, {}, history)
    if seen.labelled < LEAST_LABELS or history.share @ history.mix < LEAST_COME:
        return Nowcast(seen, {}, {}, "too few labels have come so far")
    if unknown := [name for name, n in seen.counts.items() if n and name not in history.classes]:
        return Nowcast(seen, {}, {}, f"no mature day has labels of class {unknown[0]}")
    if seen.alone and (reason := _misfit(seen, history)):
        return Nowcast(seen, {}, {}, reason)
    now = np.array([[seen.counts.get(name, 0.0) for name in history.classes]])
    drawn = _draw(history, Tried(history.share[None], now, now, np.array([float(seen.answered)])), DRAWS, seen.alone)
    to_come = {name: drawn[0, :, i] for i, name in enumerate(history.classes)}
    return Nowcast(seen, to_come, _missed(history), "")


def _misfit(seen: Seen, history: Maturity) -> str:
    """Why history does not fit a day; empty when it does."""
    n, expected = max(seen.answered, 1), history.covered
    deviation = float(np.sqrt(history.covered_sd**2 + max(expected * (1 - expected), 1 / n) / n))
    z = (seen.labelled / n - expected) / deviation
    if student(z, max(history.days - 1, 1.0)) >= UNLIKELY:
        return ""
    return f"{seen.labelled:,.0f} labels have come where the days before led to expect {expected * n:,.0f}"


def _draw(history: Maturity, days: Tried, draws: int, alone: bool) -> Floats:
    """Labels to come, of shape `(days, draws, classes)`."""
    rng = np.random.default_rng(_SEED)
    freedom = max(history.days - 1, 1.0)
    # The spread is itself known from few days, which makes tails as heavy as those of Student's distribution.
    more = (freedom / rng.chisquare(freedom, draws))[:, None]
    scale = np.maximum(history.scale, 1e-12)
    own = (history.squares * more - history.by_chance) / scale
    pooled = (history.squares.sum() * more - history.by_chance.sum()) / scale.sum()
    spread = np.clip(np.maximum(own, pooled), 0.0, 0.5) + history.thin
    strength = 1 / spread - 1
    share = np.clip(days.share, _LEAST_SHARE, 1 - 1e-9)[:, None, :]
    come = np.clip(rng.beta(share * strength, (1 - share) * strength), _LEAST_SHARE, 1.0)
    # Where few have come, 0 of a class is not none: half a label more is drawn from (Jeffreys). As many labels of a
    # class as usual count as a quarter of a label, no more: a model that has just broken makes few of a class many.
    usual = np.maximum(history.coverage * history.mix * days.answered[:, None], _LEAST_SHARE)[:, None, :]
    rest = rng.gamma(days.seen[:, None, :] + 0.5, size=come.shape) / (come + 0.25 / usual) * (1 - come)

    labelled = days.seen.sum(axis=1)
    missing = np.maximum(days.answered - labelled, 0.0)[:, None]
    # Days that are late are late with all classes: their deviations add up.
    middle, apart = rest.sum(axis=2).mean(axis=1, keepdims=True), rest.sum(axis=2).std(axis=1, keepdims=True)
    together = rest.std(axis=1).sum(axis=1, keepdims=True) / np.maximum(apart, 1e-12)
    total = np.clip(middle + (rest.sum(axis=2) - middle) * together, 0.0, missing)
    total = np.minimum(rng.poisson(total), missing).astype(np.float64)
    if alone:
        chance = history.coverage * (1 - history.coverage) / np.maximum(days.answered, 1)
        deviation = np.sqrt(history.coverage_sd**2 + chance)[:, None]
        ended = history.coverage + deviation * rng.standard_normal(total.shape)
        by_coverage = np.clip(days.answered[:, None] * ended - labelled[:, None], 0.0, missing)
        first, second = total.var(axis=1, keepdims=True), by_coverage.var(axis=1, keepdims=True)
        both = first + second
        total = np.where(both > 0, (total * second + by_coverage * first) / np.where(both > 0, both, 1.0), by_coverage)
    n = np.rint(total).astype(np.int64)
    of = np.maximum(rest, 1e-12)
    return rng.multinomial(n, of / of.sum(axis=2, keepdims=True)).astype(np.float64)


def _missed(history: Maturity) -> dict[str, float]:
    """How often intervals would have missed the final value on the last mature days, at this age; by metric."""
    tried = history.tried
    if not any(history.classes):
        return {}
    drawn = tried.seen[:, None, :] + _draw(history, tried, TRIED_DRAWS, alone=True)
    named = [i for i, name in enumerate(history.classes) if name]
    values = rates.rates({history.classes[i]: drawn[:, :, i] for i in named})
    truths = rates.rates({history.classes[i]: tried.final[:, i] for i in named})
    out = {}
    for name, value in values.items():
        known = np.isfinite(truths[name]) & np.isfinite(value).any(axis=1)
        if known.any():
            low, high = (_quantile(value[known], limit) for limit in LIMITS)
            truth = truths[name][known]
            out[name] = float(((truth < low - 1e-9) | (truth > high + 1e-9)).mean())
    return out


def _expected(metric: str, drawn: Floats, worst: tuple[float, float], reason: str) -> Expected:
    """The middle of what was drawn, within the worst cases; these alone when there is a reason, or nothing drawn."""
    usable = drawn[np.isfinite(drawn)]
    low, high = worst
    if reason or not len(usable):
        return Expected(metric, None, low, high, "bounds", reason or "it is not defined yet")
    inside = [float(np.clip(_quantile(usable, each), low, high)) for each in (0.5, *LIMITS)]
    return Expected(metric, inside[0], inside[1], inside[2], "weighted", "")


def _quantile(values: Floats, q: float) -> Floats:
    """Along the last axis, the finite value that a share `q` of the finite ones do not exceed; there must be one."""
    last = np.isfinite(values).sum(axis=-1, keepdims=True) - 1
    out: Floats = np.take_along_axis(np.sort(values, axis=-1), np.rint(q * last).astype(np.int64), axis=-1)[..., 0]
    return out
