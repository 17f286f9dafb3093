"""Whether the same scores still come true as often as they did: the relation apart from the scores themselves.

In the walk: `watch` holds every matured day against what was learned from the days before it. A stratified test over
bands of scores: events that came true less those expected, band by band, so that other scores (other inputs, a model
that answers differently) change nothing. Its parts:

- `level`: all bands together, the test of Mantel and Haenszel (1959) against a known curve.
- `bands`: each band by itself, chi-square.

Both allow for what the curve does not know and for how much days differ; Benjamini-Hochberg over the two. What matters
is how far the shares of the bands have moved on average, beyond what chance moves them.
"""

from __future__ import annotations

import math

import numpy as np

from driftline_schemas.spec import DriftRules
from driftline_streams.estimation import concept
from driftline_streams.estimation.calibration import Calibration, Day
from driftline_streams.estimation.concept import Judged, Parts
from driftline_streams.estimation.histogram import CENTRES
from driftline_streams.kernel import significance
from driftline_streams.kernel.drift import Result
from driftline_streams.kernel.histogram import Floats

BANDS = 10
LEAST_DAYS = 7  # to learn from: with fewer nothing is known of how days differ
LEAST_VARIANCE = 5.0  # of a band's count; below, bands are put together
RARE = 0.5  # of the share of the rarer outcome: a change by half matters, however rare it is


def judge(learned: Calibration, day: Day, rules: DriftRules, alpha: float) -> Judged:
    """The day, or days, beside the calibration; `alpha` is the false-discovery rate over the two tests."""
    n = day.positives + day.negatives
    p = learned.probability
    variance = n * p * (1 - p)
    bands = _bands(learned, variance)
    moved = bands @ (day.positives - n * p)
    slopes = bands @ (variance[:, None] * learned.contrasts)
    seen = np.flatnonzero(variance)
    leverage = bands[:, seen] * variance[seen]
    uncertain = leverage @ learned.curve.error(CENTRES[seen]) @ leverage.T
    covariance = np.diag(bands @ variance) + uncertain + (slopes * learned.spread) @ slopes.T
    total, error = float(moved.sum()), math.sqrt(covariance.sum())
    degrees = max(learned.days - 1, 1)
    level = float(significance.student(total / error, degrees)) if error else math.nan
    square = float(moved @ np.linalg.solve(covariance, moved)) if error else math.nan
    each = float(significance.chi_square(square, len(moved)))
    reach = float(significance.student_95(degrees)) * error
    # A share that has not moved lies as far from its expectation as chance takes it: that much is taken off.
    beyond = np.sqrt(np.maximum(np.square(moved) - np.diag(covariance), 0))
    effect, threshold = float(beyond.sum() / n.sum()), _threshold(learned, rules)
    enough = learned.days >= LEAST_DAYS and day.n >= rules.min_n and error > 0
    believed = significance.believed(np.array([level, each]), alpha)
    drifted = enough and bool(believed.any()) and effect >= threshold
    positive = _positive(learned, day)
    result = Result(
        dim="",
        value="",
        signal=concept.SIGNAL,
        state="drift" if drifted else "ok" if enough else "insufficient data",
        method="level" if level <= each else "bands",
        statistic=effect,
        threshold=threshold,
        effect=effect,
        low=(total - reach) / day.n,
        high=(total + reach) / day.n,
        p_value=min(1.0, 2 * min(level, each), max(level, each)),  # Simes (1986)
        n=round(day.n),
        n_reference=round(learned.learned.n),
        seasonal=False,
        before=positive.before,
        after=positive.after,
        measures={},
        p_values={name: p for name, p in (("level", level), ("bands", each)) if math.isfinite(p)},
        observed={_name(band): round(float(band @ day.positives)) for band in bands},
        expected={_name(band): float(band @ (n * p)) for band in bands},
    )
    return concept.judged(result, {"wrong": _wrong(learned.learned, day), "positive": positive})


def _threshold(learned: Calibration, rules: DriftRules) -> float:
    share = float(learned.learned.positives.sum()) / learned.learned.n
    return min(rules.rate, RARE * min(share, 1 - share)) if 0 < share < 1 else rules.rate


def _bands(learned: Calibration, variance: Floats) -> Floats:
    """The cells of each band, shape `(bands, cells)`: tenths of what was learned, with enough of the day in each."""
    weight = learned.learned.positives + learned.learned.negatives
    tenth = np.minimum((np.cumsum(weight) - weight / 2) / weight.sum() * BANDS, BANDS - 1).astype(np.int64)
    rows: list[Floats] = []
    for band in range(BANDS):
        cells = (tenth == band).astype(np.float64)
        if rows and (rows[-1] @ variance < LEAST_VARIANCE or cells @ variance < LEAST_VARIANCE):
            rows[-1] = rows[-1] + cells
        else:
            rows.append(cells)
    return np.array(rows)


def _positive(learned: Calibration, day: Day) -> Parts:
    n = day.positives + day.negatives
    before = float(learned.learned.positives.sum()) / learned.learned.n
    expected, after = float(n @ learned.probability) / day.n, float(day.positives.sum()) / day.n
    return Parts(before, after, expected - before, after - expected)


def _wrong(learned: Day, day: Day) -> Parts:
    """By band of the score (Kitagawa, 1955, JASA 50); a band that nothing was learned of has the rate of all."""
    before, after = (float(each.wrong.sum() / max(each.answers.sum(), 1)) for each in (learned, day))
    rates = np.where(learned.answers > 0, learned.wrong / np.maximum(learned.answers, 1), before)
    expected = float(rates @ day.answers / max(day.answers.sum(), 1))
    return Parts(before, after, expected - before, after - expected)


def _name(band: Floats) -> str:
    """The scores of a band."""
    cells = np.flatnonzero(band)
    low, high = (1 / (1 + math.exp(-CENTRES[at])) for at in (cells[0], cells[-1]))
    return f"{low:.3g} to {high:.3g}"
