"""The label-delay curve: how large a share of the truth that will come has come by which age, by class of outcome.

In the walk: `maturity.py` asks how far a cohort has come. Cohorts are days; what they have seen of their labels ends at
their age, so short delays are seen of more cohorts than long ones, and a mean over what has come would be too quick.
Hence the reverse-time hazard, which each bucket of delays gives from those cohorts alone that are old enough for all of
it: of the labels that took at most so long, the share that took just so long. Their product downwards from the longest
delay is the curve. Actuaries call it the chain ladder. Old cohorts are forgotten, for label processes change.

All arrays are indexed `[day, class, bucket]`. A bucket `i` holds delays of at most `2**(i/4)` minutes, 0 those of a
minute or less, negative ones (clocks that disagree) among them.

References
----------
Lagakos, Barraj and De Gruttola (1988), Nonparametric analysis of truncated survival data, Biometrika 75, 515-523.
Kalbfleisch and Lawless (1989), Inference based on retrospective ascertainment, JASA 84, 360-372.
Mack (1993), Distribution-free calculation of the standard error of chain ladder reserve estimates, ASTIN 23, 213-225.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.kernel.limits import BIN_SEPARATOR

BUCKETS = 96  # up to 27 years; a longer delay counts in the last one
STEPS = 4  # buckets to a doubling
DAY_MIN = 1_440.0
HALF_LIFE_DAYS = 14.0  # after which a cohort counts half: two thirds of the weight lies in the last three weeks
# A class with few labels borrows the curve of all classes, as if it were this many labels of its own.
BORROWED = 2.0

Bools = npt.NDArray[np.bool_]
UPPER_MIN: Floats = 2.0 ** (np.arange(BUCKETS) / STEPS)


def classes(delays: Mapping[str, int]) -> dict[str, Ints]:
    """Counts of shape `(BUCKETS,)` by class, from the map of a cohort; keys without a bucket are a `ValueError`.

    >>> {name: n.sum().item() for name, n in classes({"tp\\x1f0": 2, "tp\\x1f40": 1, "\\x1f400": 1}).items()}
    {'tp': 3, '': 1}
    """
    out: dict[str, Ints] = {}
    for key, n in delays.items():
        name, _, bucket = key.partition(BIN_SEPARATOR)
        counts = out.setdefault(name, np.zeros(BUCKETS, np.int64))
        counts[min(max(int(bucket), 0), BUCKETS - 1)] += n
    return out


def last_bucket(horizon_min: float) -> int:
    """The bucket that a horizon falls into: the last one that counts.

    >>> last_bucket(1.0), last_bucket(2.0), last_bucket(2.1), last_bucket(1e99)
    (0, 4, 5, 95)
    """
    return min(BUCKETS - 1, max(0, math.ceil(STEPS * math.log2(max(horizon_min, 1.0)) - 1e-9)))


def lags(age_min: float, last: int, horizon_min: float) -> Ints:
    """How many days older than a cohort of this age one must be, for its buckets `0..last` to have been seen in full.

    The age is counted from the end of the day, so that it holds for each prediction of the day. Shape `(last + 1,)`.

    >>> lags(1440.0, 45, 2880.0)[[0, 41, 42, 45]].tolist()
    [0, 0, 1, 1]
    """
    ends = np.minimum(UPPER_MIN[: last + 1], horizon_min)
    return np.maximum(0, np.ceil((ends - age_min) / DAY_MIN - 1e-9)).astype(np.int64)


def curves(counts: Floats, lag: Ints, complete: Bools, targets: Sequence[int] | Ints) -> Floats:
    """The curve of each class as it was to be known of each target day, when that was as old as the newest is now.

    `counts` of consecutive days have the shape `(days, classes, last + 1)`, `lag` is that of `lags`, `complete` (days,)
    tells the days of which no more labels are to come, whatever their age. The result has the shape
    `(targets, classes, last + 1)`: the share of the labels coming within the horizon that take at most so long; its
    last entry is 1. NaN where no cohort old enough has a label: then nothing is known of what comes later.
    """
    days, n_classes, n_buckets = counts.shape
    bucket = np.arange(n_buckets)
    # Of a complete cohort all buckets have been seen as soon as the last one that has a label.
    longest = np.where(counts.sum(axis=1) > 0, bucket, 0).max(axis=1, initial=0)
    until = np.where(complete[:, None], np.minimum(bucket, longest[:, None]), bucket)
    ahead = np.asarray(targets)[:, None] - np.arange(days)
    seen = ahead[:, :, None] >= lag[until][None]
    weight = np.where(seen, 0.5 ** (np.maximum(ahead, 0) / HALF_LIFE_DAYS)[:, :, None], 0.0)
    within = counts.cumsum(axis=2)
    just, at_most = _weighted(weight, counts), _weighted(weight, within)
    old_enough = (weight * within[:, :, -1].sum(axis=1)[:, None]).sum(axis=1)[:, None, :] > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = just.sum(axis=1, keepdims=True) / at_most.sum(axis=1, keepdims=True)
    # So quick is none: the curve has reached 0 already.
    pooled = np.where(np.isnan(pooled), np.where(old_enough, 0.0, np.nan), pooled)
    hazard = (just + BORROWED * pooled) / (at_most + BORROWED)
    out = np.ones((len(ahead), n_classes, n_buckets))
    # 1 - hazard is never negative; the product runs downwards from the longest delay.
    out[:, :, :-1] = np.cumprod((1 - hazard)[:, :, :0:-1], axis=2)[:, :, ::-1]
    return out


def _weighted(weight: Floats, counts: Floats) -> Floats:
    """Sums over days, `(targets, days, buckets)` by `(days, classes, buckets)` to `(targets, classes, buckets)`."""
    out: Floats = (weight.transpose(2, 0, 1) @ counts.transpose(2, 0, 1)).transpose(1, 2, 0)
    return out


def visible(ages_min: Floats, weights: Floats, last: int, horizon_min: float) -> Floats:
    """The chance that a label has come, by the bucket of its delay, for predictions of these ages; shape `(last + 1,)`.

    `weights` say how many predictions have which age (in minutes, negative before the prediction); they need not sum
    to 1. Within a bucket delays are taken to be spread evenly over its logarithm. Zeros without predictions.

    >>> visible(np.array([1.5, 100.0]), np.array([1.0, 1.0]), 8, 4.0).round(2).tolist()
    [1.0, 1.0, 1.0, 0.67, 0.5, 0.5, 0.5, 0.5, 0.5]
    """
    total = weights.sum()
    if not total > 0:
        return np.zeros(last + 1)
    place = np.where(
        ages_min >= horizon_min, last, STEPS * np.log2(np.clip(ages_min, 1.0, max(horizon_min, 1.0)))
    )  # in buckets
    share = np.clip(place[:, None] - np.arange(last + 1) + 1, 0, 1) * (ages_min >= 0)[:, None]
    out: Floats = np.minimum(weights @ share / total, 1.0)
    return out


def ages(served: Mapping[int, float], clock_s: int) -> tuple[Floats, Floats]:
    """Ages in minutes at `clock_s` and their weights, from predictions by the hour (its start in seconds).

    Predictions of an hour are taken to be spread evenly over its quarters. What is later than the clock has a negative
    age.
    """
    starts = np.array(sorted(served), np.int64)
    n = np.array([served[start] for start in starts.tolist()], np.float64)
    middles = starts[:, None] + 900 * np.arange(4) + 450
    return ((clock_s - middles) / 60).ravel(), np.repeat(n / 4, 4)
