"""Models of numbers: estimates of their error from features, and whether the same features still mean the same error.

In the walk: `watch` asks for every day of a version, in order. What is learned from are samples of matured days, drawn
in the order of the hash of their ids: asked again, a sample is the same.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from driftline_streams.estimation import concept, losses, relation, rows, support, table
from driftline_streams.estimation.concept import Judged, Parts
from driftline_streams.estimation.expected import Estimate
from driftline_streams.estimation.losses import CALCULABLE, NUMBERS, Losses, Sample
from driftline_streams.estimation.matured import DAY_S, Matured
from driftline_streams.estimation.served import Open
from driftline_streams.estimation.support import Drifted
from driftline_streams.estimation.version import Version
from driftline_streams.kernel import budget, significance
from driftline_streams.kernel.drift import Result
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.query import Query

ROWS = 1_000  # of a matured day: eight weeks of them are learned from within seconds
SERVED_ROWS = 5_000  # of a day without labels
LEAST_DAYS = 3
LEAST_ROWS = 500
STALE = 7  # days: what was learned is learned again when the newest day is so much newer
GROWN = 1.25  # or there are so many times as many

_OF_VERSION = "model = {model:String} AND version = {version:String}"
_IN_TIME = "timestamp >= toDateTime({start_s:UInt32}, 'UTC') AND timestamp < toDateTime({end_s:UInt32}, 'UTC')"
_NUMBER = "isFinite(ifNull(prediction_value, nan))"
_ERROR = f"least({CALCULABLE[1]}, abs(answer - assumeNotNull(label_value)))"  # as far as in `performance`
_TRUTHS = f"""
SELECT prediction_id, prediction_value, label_value
FROM outcomes FINAL
WHERE {_OF_VERSION} AND toDate(timestamp) = toDate(toDateTime({{start_s:UInt32}}, 'UTC'))
    AND {_NUMBER} AND isFinite(ifNull(label_value, nan))
ORDER BY cityHash64(prediction_id), prediction_id
LIMIT {{rows:UInt32}}
"""

_MATURED = f"""
SELECT nums, cats, assumeNotNull(truths.prediction_value) AS answer, {_ERROR} AS error
FROM ({_TRUTHS}) AS truths
INNER JOIN
(
    SELECT prediction_id, nums, cats
    FROM predictions
    WHERE {_OF_VERSION} AND {_IN_TIME} AND prediction_id IN (SELECT prediction_id FROM ({_TRUTHS}))
    LIMIT 1 BY prediction_id
) AS given USING (prediction_id)
ORDER BY cityHash64(prediction_id), prediction_id
"""

_OF_DAY = f"{_OF_VERSION} AND {_IN_TIME} AND status = 'ok' AND {_NUMBER}"
_ROLES = f"SELECT role, count() AS n FROM predictions WHERE {_OF_DAY} GROUP BY role ORDER BY role"
_BY_CHANCE = "cityHash64(prediction_id), partition, offset, position"
# Features are read of the chosen events alone: those of a whole day do not fit into memory.
_SERVED = f"""
SELECT nums, cats, assumeNotNull(prediction_value) AS answer
FROM predictions
PREWHERE (prediction_id, partition, offset, position) IN
(
    SELECT prediction_id, partition, offset, position
    FROM predictions
    WHERE {_OF_DAY} AND role = {{role:String}}
    ORDER BY {_BY_CHANCE}
    LIMIT {{rows:UInt32}}
)
WHERE {_OF_DAY} AND role = {{role:String}}
ORDER BY {_BY_CHANCE}
"""


class Lesson(NamedTuple):
    """What the days that were asked for have taught."""

    days: Sequence[int]  # their starts
    learned: Losses | str  # or why they teach nothing


class Features:
    """What the features of models of numbers let expect."""

    basis: rows.Basis = "features"

    def __init__(self, query: Query) -> None:
        self._query = query
        self._samples: dict[tuple[str, str], dict[int, Sample]] = {}  # of the days that were last learned from
        self._lessons: dict[tuple[str, str], Lesson] = {}

    def size(self, day: Matured) -> float:
        """Outcomes that can be judged."""
        return day.measured

    def enough(self, lessons: Sequence[Matured]) -> str:
        """Why nothing can be learned from these days; empty when something can."""
        if not lessons:
            return "no matured day to learn from"
        if len(lessons) < LEAST_DAYS:
            return f"only {len(lessons)} of at least {LEAST_DAYS} matured days to learn from"
        n = sum(day.measured for day in lessons)
        return f"only {n:.0f} of at least {LEAST_ROWS} matured outcomes to learn from" if n < LEAST_ROWS else ""

    async def judge(self, version: Version, lessons: Sequence[Matured], group: Sequence[Matured]) -> Judged:
        """The errors of the days of `group` beside what `lessons` let expect of their features."""
        n, rules = sum(day.measured for day in group), version.spec.drift
        if len(lessons) < relation.LEAST_DAYS or self.enough(lessons) or n < rules.min_n:
            return concept.nothing(n)
        learned = await self._learn(version, lessons)
        if isinstance(learned, str) or len(learned.days) < relation.LEAST_DAYS:
            return concept.nothing(n)
        drawn = [await self._sample(version, day.start_s) for day in group]
        events, errors = (
            table.concatenate([each.events for each in drawn]),
            np.concatenate([each.errors for each in drawn]),
        )
        if not len(errors):
            return concept.nothing(n)
        alpha = budget.alpha(rules, budget.CONCEPT, len(group))
        expected = await asyncio.to_thread(learned.expect, events)
        return held_against(learned, expected, errors, rules.min_effect * learned.deviation, alpha)

    async def estimate(
        self, version: Version, day: Open, lessons: Sequence[Matured], reason: str
    ) -> list[rows.Estimated]:
        """The day by role, all of it with `reason` when there is one; raises what the query raises."""
        spec, own = version.spec, version.own(day.start_s)
        bounds = {"model": spec.model, "version": version.name, **_times(day.start_s), "rows": SERVED_ROWS}
        moved = await support.drifted(self._query, spec.model, version.name, day.start_s, day.start_s + DAY_S)
        learned = reason or await self._learn(version, lessons)
        about = rows.About(spec.model, version.name, day.start_s, self.basis, "direct loss")
        out = []
        for row in await self._query(_ROLES, bounds):
            role, n = row["role"], int(row["n"])
            estimates = await self._of_role(learned, n, moved, {**bounds, "role": role})
            out.append(rows.Estimated(about, role, n, 0 if own is None else own.labelled, estimates))
        return out

    async def _of_role(
        self, learned: Losses | str, n: int, moved: Drifted, bounds: Mapping[str, Any]
    ) -> dict[str, Estimate]:
        if isinstance(learned, str):
            return dict.fromkeys(NUMBERS, Estimate.abstaining(learned))
        events = _table(await self._query(_SERVED, bounds))
        if why := _known(n, learned, events, moved):
            return dict.fromkeys(NUMBERS, Estimate.abstaining(why))
        return await asyncio.to_thread(losses.of_day, learned, events, n)

    async def _learn(self, version: Version, lessons: Sequence[Matured]) -> Losses | str:
        """What `lessons` teach, or why they teach nothing.

        It takes seconds, so that days that follow each other share what was learned.
        """
        key, days = (version.spec.model, version.name), [day.start_s for day in lessons]
        known = self._lessons.get(key)
        if known is None or (known.days != days and (isinstance(known.learned, str) or stale(known.days, days, DAY_S))):
            samples = [await self._sample(version, start_s) for start_s in days]
            known = self._lessons[key] = Lesson(days, _teaches(samples) or await asyncio.to_thread(_learned, samples))
            self._samples[key] = {each.start_s: each for each in samples}
        return known.learned

    async def _sample(self, version: Version, start_s: int) -> Sample:
        key = version.spec.model, version.name
        held = self._samples.get(key, {}).get(start_s)
        if held is not None:
            return held
        bounds = {"model": key[0], "version": key[1], **_times(start_s), "rows": ROWS}
        found = await self._query(_MATURED, bounds)
        return Sample(start_s, _table(found), np.array([row["error"] for row in found], np.float64))


def _teaches(samples: Sequence[Sample]) -> str:
    """Why nothing can be learned from these samples; empty when something can."""
    errors = [sample.errors for sample in samples if len(sample.errors)]
    if len(errors) < LEAST_DAYS:
        return f"only {len(errors)} of at least {LEAST_DAYS} matured days still have their predictions"
    if (n := sum(map(len, errors))) < LEAST_ROWS:
        return f"only {n} of at least {LEAST_ROWS} matured outcomes still have their predictions"
    mean, (least, most) = float(np.concatenate(errors).mean()), losses.CALCULABLE
    if mean <= least:
        return "the matured answers were never wrong"
    return "the matured errors are too large to calculate with" if mean >= most else ""


def _learned(samples: Sequence[Sample]) -> Losses:
    return losses.learn([sample for sample in samples if len(sample.errors)])


def stale(known: Sequence[int], days: Sequence[int], day: int) -> bool:
    """Whether what was learned from the days `known` is too old, or of another time, beside `days`; both ascend.

    Days are numbered by their starts, `day` apart.
    """
    before = range(days[0] - STALE * day, days[0], day)
    return not set(known) <= {*days, *before} or days[-1] - known[-1] >= STALE * day or len(days) >= GROWN * len(known)


def held_against(learned: Losses, expected: Floats, errors: Floats, threshold: float, alpha: float) -> Judged:
    """The errors of events (shape `(n,)`, at least one) beside those to expect of their features."""
    n, residual = len(errors), errors - expected
    change, level = float(residual.mean()), float(expected.mean())
    error = math.sqrt(float(residual.var(ddof=1)) / n + learned.spread * level**2) if n > 1 else math.nan
    degrees = len(learned.days) - 1
    p_value = float(significance.student(change / error, degrees)) if error else math.nan
    reach = float(significance.student_95(degrees)) * error
    result = Result(
        dim="",
        value="",
        signal=concept.SIGNAL,
        state="drift" if p_value <= alpha and abs(change) >= threshold else "ok",
        method="loss",
        statistic=abs(change),
        threshold=threshold,
        effect=change,
        low=change - reach,
        high=change + reach,
        p_value=p_value,
        n=n,
        n_reference=ROWS * len(learned.days),
        seasonal=False,
        before=learned.mean,
        after=float(errors.mean()),
        measures={},
        p_values={"loss": p_value} if math.isfinite(p_value) else {},
        observed={},
        expected={},
    )
    parts = Parts(learned.mean, float(errors.mean()), level - learned.mean, change)
    return concept.judged(result, {"mae": parts})


def _known(n: int, learned: Losses, events: table.Table, moved: Drifted) -> str:
    """Why the features of a day cannot be read by what was learned; empty when they can."""
    if n < support.LEAST_PREDICTIONS:
        return f"too few predictions: {n} of at least {support.LEAST_PREDICTIONS}"
    gone = moved.gone or tuple(learned.strange(events))
    return f"inputs have left what was learned from: {', '.join(gone[:3])}" if gone else ""


def _table(found: Sequence[Mapping[str, Any]]) -> table.Table:
    answers = np.array([row["answer"] for row in found], np.float64)
    return table.of_rows([row["nums"] for row in found], [row["cats"] for row in found], answers)


def _times(start_s: int) -> dict[str, int]:
    return {"start_s": start_s, "end_s": start_s + DAY_S}
