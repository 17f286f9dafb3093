"""When an estimate would rest on nothing, and why.

In the walk: `watch` asks before it estimates a day. Whoever gets no number gets the reason instead.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from driftline_streams.estimation import histogram
from driftline_streams.estimation.calibration import Calibration, Day
from driftline_streams.estimation.expected import Served
from driftline_streams.kernel import words
from driftline_streams.kernel.query import Query
from driftline_streams.kernel.signals import FEATURE

LEAST_DAYS = 3  # matured: how much days differ cannot be known from fewer
LEAST_OUTCOMES = 30  # of each kind: the level of the curve is known to a fifth
LEAST_PREDICTIONS = 30
_NEAR = 8  # cells: half a logit to either side
_SOME = 10.0  # outcomes near a score that make it known
MOST_UNKNOWN = 0.05  # of a day's scores
# Nine tenths of a feature's values lie where the reference has less than a tenth; a tenth is of unseen categories; half
# of them are missing: whatever the scores say, the model was not asked such questions before.
LIMITS = {"ks": 0.9, "unseen": 0.1, "nulls": 0.5}

_DRIFTED = """
SELECT signal, measures
FROM drift FINAL
WHERE model = {model:String} AND version = {version:String} AND dim = '' AND state = 'drift' AND width_s >= 86400
    AND window <= toDateTime({start_s:UInt32}, 'UTC') AND window + width_s >= toDateTime({end_s:UInt32}, 'UTC')
"""


class Drifted(NamedTuple):
    """What drifted from the reference on a day."""

    inputs: tuple[str, ...] = ()  # features, by name
    outputs: tuple[str, ...] = ()  # score, confidence, prediction
    gone: tuple[str, ...] = ()  # features that left what the reference holds


async def drifted(query: Query, model: str, version: str, start_s: int, end_s: int) -> Drifted:
    """From the table `drift`, which holds each day of events when it is over; raises what the query raises."""
    bounds: Mapping[str, Any] = {"model": model, "version": version, "start_s": start_s, "end_s": end_s}
    rows = await query(_DRIFTED, bounds)
    features = [row for row in rows if row["signal"].startswith(FEATURE)]
    left = [row for row in features if any(abs(row["measures"].get(name, 0)) >= most for name, most in LIMITS.items())]
    inputs, gone = (tuple(sorted(_name(row) for row in each)) for each in (features, left))
    outputs = tuple(sorted(row["signal"] for row in rows if row["signal"] in {"score", "confidence", "prediction"}))
    return Drifted(inputs, outputs, gone)


def enough(learned: Sequence[Day]) -> str:
    """Why nothing can be learned from these matured days; empty when something can."""
    if not learned:
        return "no matured day to calibrate on"
    if len(learned) < LEAST_DAYS:
        return f"only {len(learned)} of at least {LEAST_DAYS} matured days to calibrate on"
    fewest = min(float(sum(getattr(day, kind).sum() for day in learned)) for kind in ("positives", "negatives"))
    if fewest < LEAST_OUTCOMES:
        return f"only {fewest:.0f} of at least {LEAST_OUTCOMES} matured outcomes of one kind to calibrate on"
    return ""


def known(served: Served, learned: Calibration, inputs: Drifted) -> str:
    """Why the scores of a day cannot be read by this calibration; empty when they can."""
    if not served.n:
        return "the predictions have no score"
    if served.n < LEAST_PREDICTIONS:
        return f"too few predictions: {served.n} of at least {LEAST_PREDICTIONS}"
    seen = learned.learned.positives + learned.learned.negatives
    near = np.convolve(seen, np.ones(2 * _NEAR + 1), mode="same")
    ours = histogram.on_grid(served.buckets, served.negative + served.positive)
    if (unknown := float(ours[near < _SOME].sum()) / served.n) > MOST_UNKNOWN:
        return f"{words.share(unknown)} of the scores lie where the calibration saw next to none"
    if inputs.gone:
        return f"inputs have left what was learned from: {', '.join(inputs.gone[:3])}"
    return ""


def contradicted(start_s: int) -> str:
    """The reason when a matured day does not agree with what was learned before it."""
    return f"the outcomes of {dt.datetime.fromtimestamp(start_s, dt.UTC):%Y-%m-%d} contradict the calibration"


def _name(row: Mapping[str, Any]) -> str:
    return str(row["signal"]).removeprefix(FEATURE)
