"""Models of numbers: estimates of their error from features, and whether the same features still mean the same error.

In the walk: `watch` asks for every day of a version, in order. What is learned from are samples of matured days, drawn
in the order of the hash of their ids: asked again, a sample is the same.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from driftline_streams.estimation import concept, losses, relation, rows, support, table
from driftline_streams.estimation.concept import Judged, Parts
from driftline_streams.estimation.expected import Estimate
from driftline_streams.estimation.losses import NUMBERS, Losses, Sample
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
_TRUTHS = f"""
SELECT prediction_id, prediction_value, label_value
FROM outcomes FINAL
WHERE {_OF_VERSION} AND toDate(timestamp) = toDate(toDateTime({{start_s:UInt32}}, 'UTC'))
    AND {_NUMBER} AND isFinite(ifNull(label_value, nan))
ORDER BY cityHash64(prediction_id), prediction_id
LIMIT {{rows:UInt32}}
"""

_MATURED = f"""
SELECT nums, cats, assumeNotNull(truths.prediction_value) AS answer, abs(answer - assumeNotNull(label_value)) AS error
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

_SERVED = f"""
SELECT role, nums, cats, assumeNotNull(prediction_value) AS answer, count() OVER (PARTITION BY role) AS n
FROM predictions
WHERE {_OF_VERSION} AND {_IN_TIME} AND status = 'ok' AND {_NUMBER}
ORDER BY cityHash64(prediction_id), partition, offset, position
LIMIT {{rows:UInt32}} BY role
"""


class Features:
    """What the features of models of numbers let expect."""

    basis: rows.Basis = "features"

    def __init__(self, query: Query) -> None:
        self._query = query
        self._samples: dict[tuple[str, str], dict[int, Sample]] = {}  # of the days that were last learned from
        self._learned: dict[tuple[str, str], Losses] = {}

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
        by_role: dict[str, list[Mapping[str, Any]]] = {}
        for row in await self._query(_SERVED, bounds):
            by_role.setdefault(row["role"], []).append(row)
        learned = None if reason else await self._learn(version, lessons)
        about = rows.About(spec.model, version.name, day.start_s, self.basis, "direct loss")
        out = []
        for role, found in sorted(by_role.items()):
            n = int(found[0]["n"])
            why = reason if learned is None else _known(n, learned, events := _table(found), moved)
            if why or learned is None:
                estimates = dict.fromkeys(NUMBERS, Estimate.abstaining(why))
            else:
                estimates = await asyncio.to_thread(losses.of_day, learned, events, n)
            out.append(rows.Estimated(about, role, n, 0 if own is None else round(own.measured), estimates))
        return out

    async def _learn(self, version: Version, lessons: Sequence[Matured]) -> Losses:
        """From at least two days. It takes seconds, so that days that follow each other share what was learned."""
        key, days = (version.spec.model, version.name), [day.start_s for day in lessons]
        known = self._learned.get(key)
        if known is None or stale(known.days, days, DAY_S):
            samples = [await self._sample(version, start_s) for start_s in days]
            known = await asyncio.to_thread(losses.learn, [each for each in samples if len(each.errors)])
            self._learned[key] = known
            self._samples[key] = {each.start_s: each for each in samples}
        return known

    async def _sample(self, version: Version, start_s: int) -> Sample:
        key = version.spec.model, version.name
        held = self._samples.get(key, {}).get(start_s)
        if held is not None:
            return held
        bounds = {"model": key[0], "version": key[1], **_times(start_s), "rows": ROWS}
        found = await self._query(_MATURED, bounds)
        return Sample(start_s, _table(found), np.array([row["error"] for row in found], np.float64))


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
