"""Have features changed together: correlations, reconstruction by principal components, and the whole vector.

In the walk: `joint` gives it a sample of the events of a closed window. Features that each look as ever can have come
apart; the tests of single features cannot see that.

Three tests of one window, of normal scores, so that heavy tails do no harm:

- `correlation`: each pair of features, over the events that have both, by the ranks in the window itself: a change of a
  feature alone changes nothing. Fisher's z with a variance that holds for any distribution, Benjamini-Hochberg over the
  pairs, and for all of them together the p-value of Simes (1986), Biometrika 73.
- `reconstruction`: the error of principal components that carry nine tenths of the reference's variance, over the
  events that have all features, against that of the reference by Welch's test.
- `characteristic`: the empirical characteristic function at random frequencies, over the same events (Epps and
  Singleton, 1986; `kernel.vectors`). It needs no classifier and no statistic for one kind of change.

Events of one day are more alike than those of many: all are of the same weekday and in the same weather. Where the
reference knows how its own days differ (`Joint.days`), a day is therefore compared with them, as one more of the same
kind: a t-test with the deviation of the days beside that of the events. Else events are taken to be independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from driftline_schemas.spec import DriftRules, Joint, Level, Reference
from driftline_streams.kernel import moments, scores, vectors
from driftline_streams.kernel.correlation import correlations, fisher, standard_error
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.shifts import Sample, mean_difference
from driftline_streams.kernel.significance import Z_95, believed, normal, student, student_95
from driftline_streams.kernel.vectors import Directions

NEAR = 0.25  # a distance that is little; how it differs from day to day is looked at from here on
TINY = 1e-12  # what has no logarithm counts as this
_MOST_LOGARITHM = 700.0
LEAST_ROWS = 30  # whatever the spec says: below, the p-values do not hold

State = Literal["ok", "drift", "insufficient data"]
Method = Literal["correlation", "reconstruction", "characteristic"]


class Pair(NamedTuple):
    """Two signals and their correlation, in the reference and in the window."""

    first: str
    second: str
    before: float
    after: float


class Result(NamedTuple):
    """One test; NaN where there was nothing to compare."""

    method: Method
    state: State
    statistic: float  # correlation: the largest change; reconstruction: mean error; characteristic: Hotelling's T²
    threshold: float  # that the effect must reach
    effect: float  # correlation: the statistic; the others in deviations of the reference, against the days where known
    low: float  # 95 % interval of the effect
    high: float
    p_value: float
    n: int  # events of the window that were used
    n_reference: int
    before: float = math.nan  # correlation of the pair, or mean reconstruction error
    after: float = math.nan
    pairs: tuple[Pair, ...] = ()  # that changed, most first
    days: int = 0  # of the reference that the window was compared with as one of them; 0 when with all events


def compare(reference: Reference, values: Floats, rules: DriftRules, alpha: float) -> list[Result]:
    """The three tests of a window, whose events are the rows of `values` (shape `(n, k)`, columns as `joint.signals`).

    What is not finite is a missing value. `alpha` is the false-discovery rate over the three. A test without enough
    events, in the window or in the reference, has insufficient data.

    Raises
    ------
    ValueError
        If the reference has no `joint`.
    """
    joint = reference.joint
    if joint is None:
        raise ValueError(f"reference {reference.id} does not know how features go together")
    least = max(rules.min_n, LEAST_ROWS)
    results = [_correlation(joint, values, rules.correlation, alpha, least)]
    results += _vectors(reference, joint, values, rules.min_effect, least)
    significant = believed(np.array([result.p_value for result in results]), alpha)
    return [
        result._replace(state=_state(result, yes)) for result, yes in zip(results, significant.tolist(), strict=True)
    ]


def score(values: Floats, edges: Sequence[Sequence[float]]) -> Floats:
    """The vectors of the events that have all features: normal scores by the `edges` of each, shape `(complete, k)`."""
    complete = values[np.isfinite(values).all(axis=1)]
    made = [scores.by_edges(column, edge) for column, edge in zip(complete.T, edges, strict=True)]
    return np.stack(made, axis=1)


def _state(result: Result, significant: bool) -> State:
    if math.isnan(result.p_value):
        return "insufficient data"
    matters = abs(result.effect) >= result.threshold and (result.pairs or result.method != "correlation")
    return "drift" if significant and matters else "ok"


def _correlation(joint: Joint, values: Floats, threshold: float, alpha: float, least: int) -> Result:
    upper = np.triu_indices(len(joint.signals), 1)
    found = correlations(scores.by_rank(values))
    n, after, after_variance = found.n[upper], found.r[upper], found.variance[upper]
    before, variance = np.array(joint.correlations, np.float64), np.array(joint.variances, np.float64)
    t = (fisher(after) - fisher(before)) / np.sqrt(variance + after_variance)
    days = 0 if joint.days is None else joint.days.n
    p_values = student(t, days - 1) if days else normal(t)
    p_values[n < least] = np.nan
    tested = np.flatnonzero(~np.isnan(p_values))
    if not len(tested) or joint.n < least:
        return _insufficient("correlation", threshold, int(n.max(initial=0)), joint.n)
    change = after - before
    clear = believed(p_values, alpha)
    ranked = sorted(tested.tolist(), key=lambda pair: (not clear[pair], -abs(change[pair])))
    most = ranked[0]
    errors = standard_error(after, after_variance)[most], standard_error(before, variance)[most]
    reach = (float(student_95(days - 1)) if days else Z_95) * math.hypot(*errors)
    simes = (np.sort(p_values[tested]) * len(tested) / np.arange(1, len(tested) + 1)).min()
    changed = [pair for pair in ranked if clear[pair] and abs(change[pair]) >= threshold]
    return Result(
        method="correlation",
        state="ok",
        statistic=float(change[most]),
        threshold=threshold,
        effect=float(change[most]),
        low=float(change[most] - reach),
        high=float(change[most] + reach),
        p_value=float(simes),
        n=int(n[most]),
        n_reference=joint.n,
        before=float(before[most]),
        after=float(after[most]),
        pairs=tuple(
            Pair(joint.signals[upper[0][p]], joint.signals[upper[1][p]], float(before[p]), float(after[p]))
            for p in changed
        ),
        days=days,
    )


def _vectors(reference: Reference, joint: Joint, values: Floats, threshold: float, least: int) -> list[Result]:
    ours = score(values, [reference.signals[signal].edges for signal in joint.signals])
    if min(len(ours), joint.n_complete) < least:
        return [
            _insufficient("reconstruction", threshold, len(ours), joint.n_complete),
            _insufficient("characteristic", threshold, len(ours), joint.n_complete),
        ]
    by = Directions(
        np.array(joint.means), np.array(joint.deviations), np.array(joint.components), np.array(joint.frequencies)
    )
    return [_reconstruction(joint, ours, by, threshold), _characteristic(joint, ours, by, threshold)]


def _reconstruction(joint: Joint, ours: Floats, by: Directions, threshold: float) -> Result:
    window, n = moments.of_values(vectors.reconstruction_errors(ours, by)), len(ours)
    after, unit = moments.mean(window), moments.deviation(joint.error)
    # Features that were copies of each other are made up again without an error: then any error is beyond measure.
    unit = unit if unit > 0 else max(moments.deviation(window), TINY)
    if joint.days is None:
        before, test = moments.mean(joint.error), mean_difference(Sample.of([window]), Sample.of([joint.error]))
        low, high, p_value = float(test.low[0]), float(test.high[0]), float(test.p_value[0])
    else:
        error = moments.deviation(window) / math.sqrt(n)
        before, low, high, p_value = _beside_days(after, error, joint.days.error, joint.days.n)
    return Result(
        method="reconstruction",
        state="ok",
        statistic=after,
        threshold=threshold,
        effect=(after - before) / unit,
        low=low / unit,
        high=high / unit,
        p_value=p_value,
        n=n,
        n_reference=joint.n_complete,
        before=before,
        after=after,
        days=0 if joint.days is None else joint.days.n,
    )


def _characteristic(joint: Joint, ours: Floats, by: Directions, threshold: float) -> Result:
    covariance = np.empty((len(joint.waves), len(joint.waves)))
    upper = np.triu_indices(len(joint.waves))
    covariance[upper] = covariance.T[upper] = joint.covariance
    test = vectors.difference(vectors.waves(ours, by), np.array(joint.waves), covariance, joint.n_complete)
    effect, low, high, p_value = test.distance, test.low, test.high, test.p_value
    if joint.days is not None:  # how much farther from the reference than its own days are
        error = (test.high - test.low) / (2 * Z_95)
        day = _beside_days(test.distance + NEAR, error, joint.days.distance, joint.days.n)
        effect, low, high = test.distance + NEAR - day.usual, day.low, day.high
        p_value = max(p_value, day.p_value / 2) if effect > 0 else 1.0
    return Result(
        method="characteristic",
        state="ok",
        statistic=test.statistic,
        threshold=threshold,
        effect=effect,
        low=low,
        high=high,
        p_value=p_value,
        n=len(ours),
        n_reference=joint.n_complete,
        days=0 if joint.days is None else joint.days.n,
    )


class _Day(NamedTuple):
    usual: float
    low: float  # 95 % interval of the difference from it
    high: float
    p_value: float


def _beside_days(value: float, error: float, level: Level, n: int) -> _Day:
    """A positive value of a day, with its standard error, as one more beside `n` days: such values are skewed."""
    usual, difference = math.exp(level.mean), math.log(max(value, TINY)) - level.mean
    deviation = math.hypot(level.deviation * math.sqrt(1 + 1 / n), error / max(value, TINY), TINY)
    reach = float(student_95(n - 1)) * deviation
    low, high = (usual * math.expm1(min(end, _MOST_LOGARITHM)) for end in (difference - reach, difference + reach))
    return _Day(usual, low, high, float(student(difference / deviation, n - 1)))


def _insufficient(method: Method, threshold: float, n: int, n_reference: int) -> Result:
    nan = math.nan
    return Result(method, "insufficient data", nan, threshold, nan, nan, nan, nan, n, n_reference)
