"""The performance to expect of a day without labels, from its scores and how often scores come true.

In the walk: `watch` asks for each day. Confidence-based estimation (Jaffe et al., 2015, AISTATS; Kivimäki et al., 2025,
JMLR 26 for its limits): the expected confusion matrix is a sum of probabilities. The interval is of what the
labels will show, so it has three parts, drawn together: chance of the outcomes (Poisson-binomial), what the calibration
does not know, and how much days differ.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from driftline_streams.estimation import histogram
from driftline_streams.estimation.calibration import Calibration
from driftline_streams.estimation.curve import expit
from driftline_streams.estimation.histogram import CELLS, CENTRES
from driftline_streams.kernel.histogram import Floats, Ints

DRAWS = 400  # an end of the interval is known to a twentieth of its width
LEAST_EVENTS = 5.0  # expected in a denominator, without which a rate says nothing
BINARY = (
    *("accuracy", "balanced_accuracy", "precision", "recall", "f1", "specificity"),
    *("roc_auc", "average_precision", "brier", "log_loss"),
)
CLASSES = ("accuracy",)  # of several classes the confidence tells right from wrong, and no more


class Served(NamedTuple):
    """The scores of one day by fine bucket, ascending, and how many were answered with each class: shape `(n,)`."""

    buckets: Ints
    negative: Floats
    positive: Floats

    @property
    def n(self) -> int:
        """Predictions with a score."""
        return int(self.negative.sum() + self.positive.sum())


class Estimate(NamedTuple):
    """A number to come; NaN where the day cannot tell, with the reason."""

    value: float
    low: float  # 95 % interval of what the labels will show
    high: float
    reason: str = ""

    @classmethod
    def abstaining(cls, reason: str) -> Estimate:
        """No number, and why."""
        return cls(math.nan, math.nan, math.nan, reason)


def of_day(served: Served, learned: Calibration, names: tuple[str, ...], seed: int) -> dict[str, Estimate]:
    """The metrics `names` (of `BINARY`) of a day of at least one prediction; the same seed gives the same intervals."""
    p = learned.curve.at(np.clip((served.buckets + 0.5) / histogram.PER_LOGIT, CENTRES[0], CENTRES[-1]))
    counts = np.stack([served.negative, served.positive])
    point, bases = measures(counts * expit(p), counts, histogram.scores(served.buckets))
    drawn = _draws(served, learned, seed)
    out = {}
    for name in names:
        if bases[name] < LEAST_EVENTS or not math.isfinite(value := float(point[name])):
            out[name] = Estimate.abstaining("too few events are expected for it")
            continue
        low, high = np.nanquantile(drawn[name], (0.025, 0.975))
        out[name] = Estimate(value, min(float(low), value), max(float(high), value))
    return out


def _draws(served: Served, learned: Calibration, seed: int) -> dict[str, Floats]:
    """The metrics in `DRAWS` days that could be, each of shape `(DRAWS,)`."""
    dice = np.random.default_rng(seed)
    counts = np.stack([histogram.on_grid(served.buckets, each) for each in (served.negative, served.positive)])
    seen = np.flatnonzero(counts.sum(axis=0))
    counts = counts[:, seen]
    logit = learned.logit[seen] + learned.curve.draws(CENTRES[seen], DRAWS, dice)
    # What is known of how days differ rests on few of them.
    scale = np.sqrt(learned.spread) * np.sqrt((k := max(learned.days - 1, 3)) / dice.chisquare(k, (DRAWS, 1)))
    logit += (dice.standard_normal((DRAWS, 2)) * scale) @ learned.contrasts[seen].T
    came_true = dice.binomial(counts.astype(np.int64), expit(logit)[:, None, :]).astype(np.float64)
    # The scores of a cell have their own mean.
    weight = np.bincount(histogram.cell(served.buckets), served.negative + served.positive, CELLS)[seen]
    mean = np.bincount(
        histogram.cell(served.buckets), (served.negative + served.positive) * histogram.scores(served.buckets), CELLS
    )
    return measures(came_true, counts, mean[seen] / weight)[0]


def measures(came_true: Floats, counts: Floats, score: Floats) -> tuple[dict[str, Floats], dict[str, float]]:
    """All metrics of answers, by how many came true; and the (mean) number of events that each rests on.

    `counts` has the shape `(2, n)`: answered as negative and as positive, at scores `score`, ascending, shape `(n,)`.
    `came_true` has that shape, or that of many draws, `(…, 2, n)`. NaN where a metric is undefined.
    """
    fn, tp = (came_true[..., answer, :].sum(axis=-1) for answer in (0, 1))
    tn, fp = counts[0].sum() - fn, counts[1].sum() - tp
    positives, n = came_true.sum(axis=-2), counts.sum(axis=0)
    negatives = n - positives
    found, cleared = positives.sum(axis=-1), negatives.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, specificity = tp / (tp + fn), tn / (tn + fp)
        below = np.cumsum(negatives, axis=-1) - negatives / 2
        above, all_above = np.cumsum(positives[..., ::-1], axis=-1), np.cumsum(n[::-1])
        out = {
            "accuracy": (tp + tn) / n.sum(),
            "balanced_accuracy": (recall + specificity) / 2,
            "precision": tp / (tp + fp),
            "recall": recall,
            "f1": 2 * tp / (2 * tp + fp + fn),
            "specificity": specificity,
            "roc_auc": (positives * below).sum(axis=-1) / (found * cleared),
            "average_precision": (positives[..., ::-1] * above / np.maximum(all_above, 1)).sum(axis=-1) / found,
            "brier": (positives * np.square(1 - score) + negatives * np.square(score)).sum(axis=-1) / n.sum(),
            "log_loss": -(positives * np.log(score) + negatives * np.log1p(-score)).sum(axis=-1) / n.sum(),
        }
    least = {name: float(np.mean(found)) for name in ("recall", "average_precision")}
    both = float(min(np.mean(found), np.mean(cleared)))
    bases = dict.fromkeys(BINARY, float(n.sum())) | least | {"roc_auc": both, "balanced_accuracy": both}
    bases |= {"specificity": float(np.mean(cleared)), "precision": float(counts[1].sum())}
    return out, bases | {"f1": float(np.mean(2 * tp + fp + fn))}
