"""Judges whether a model treats the groups of a protected attribute more differently than its spec allows.

In the walk: `watch` asks for it. The view `fairness_by` holds all groups against each other over four weeks; the
intervals are widened so that those of all pairs and rates hold together (Bonferroni). Per attribute and rate the widest
gap is told, when the week before has not shown one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from statistics import NormalDist
from typing import Any

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec
from driftline_streams.comparison.news import news
from driftline_streams.comparison.segments import WEEK_DAYS
from driftline_streams.kernel import budget, findings, words
from driftline_streams.kernel.effects import Named
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.query import Query

METHOD = "gap"

PAIRS = """
SELECT version, role, toUnixTimestamp(toDateTime(cohort, 'UTC')) AS through_s, count() AS pairs
FROM fairness_by(grain = 'weeks', z = 0)
WHERE model = {model:String} AND settled AND state != 'insufficient data'
GROUP BY version, role, cohort
"""

BEYOND = """
SELECT
    version, role, toUnixTimestamp(toDateTime(cohort, 'UTC')) AS through_s,
    toUnixTimestamp(toDateTime(first_day, 'UTC')) AS first_s, attribute, metric, lower_group, higher_group, lower_rate,
    higher_rate, gap, low, high, lower_n, higher_n, allowed
FROM fairness_by(grain = 'weeks', z = {z:Float64})
WHERE model = {model:String} AND settled AND state = 'beyond'
ORDER BY cohort, version, role, attribute, metric, low DESC
"""

Row = Mapping[str, Any]


class Groups:
    """Judges the groups of the protected attributes of a model, if its spec names any."""

    def __init__(self, prefix: str, query: Query) -> None:
        self._prefix = prefix
        self._query = query

    async def __call__(self, spec: ModelSpec, now_ms: int) -> AsyncIterator[Named]:
        """What is new, at once; raises what the query raises."""
        if not spec.fairness.attributes:
            return
        beyond, pairs = await self._beyond(spec)
        week_s = WEEK_DAYS * DAY_MS // 1000
        begun = [key for key in beyond if (*key[:-1], key[-1] - week_s) not in beyond]
        told = [_detection(spec, beyond[key], pairs[_weeks(beyond[key])]) for key in begun]
        found = await news(self._query, told, self._prefix, now_ms)
        if found.name:
            yield found

    async def _beyond(self, spec: ModelSpec) -> tuple[dict[tuple[Any, ...], Row], Counter[tuple[Any, ...]]]:
        """The widest gap by version, role, attribute, rate and weeks, and how many pairs the weeks are judged by."""
        of = {"model": spec.model}
        pairs = Counter({_weeks(row): int(row["pairs"]) for row in await self._query(PAIRS, of)})
        alpha = budget.alpha(spec.drift, budget.FAIRNESS, WEEK_DAYS)
        found: dict[tuple[Any, ...], Row] = {}
        for n in sorted(set(pairs.values())):
            z = -NormalDist().inv_cdf(alpha / (2 * n))  # the other way round it is infinite for small ones
            for row in await self._query(BEYOND, of | {"z": z}):
                if pairs[_weeks(row)] == n:
                    key = (row["version"], row["role"], row["attribute"], row["metric"], row["through_s"])
                    found.setdefault(key, row)
        return found, pairs


def _weeks(row: Row) -> tuple[Any, ...]:
    return row["version"], row["role"], row["through_s"]


def _detection(spec: ModelSpec, row: Row, pairs: int) -> Detection:
    start_ms, end_ms = 1000 * row["first_s"], 1000 * row["through_s"] + DAY_MS
    rate, dim, lower, higher = row["metric"], row["attribute"], row["lower_group"], row["higher_group"]
    return Detection(
        id=findings.id_of(METHOD, spec.model, row["version"], row["role"], rate, dim, end_ms),
        model=spec.model,
        version=row["version"],
        signal=rate,
        kind="fairness",
        method=METHOD,
        start_ms=start_ms,
        end_ms=end_ms,
        direction="down",
        statistic=row["gap"],
        threshold=row["allowed"],
        effect=row["gap"],
        p_value=None,
        before=row["higher_rate"],
        after=row["lower_rate"],
        n=row["lower_n"] + row["higher_n"],
        reference="",
        detail=(
            f"{words.subject(rate)} of {row['role']} {row['version']} was {words.share(row['lower_rate'])} where {dim} "
            f"is {lower} ({row['lower_n']:,}) and {words.share(row['higher_rate'])} where it is {higher} "
            f"({row['higher_n']:,}) {words.when(start_ms, end_ms)}, all of them final: a gap of "
            f"{words.share(row['gap'])}, from {words.share(row['low'])} to {words.share(row['high'])} with all "
            f"{pairs:,} comparisons taken together, beyond the {words.share(row['allowed'])} that the spec allows."
        ),
        dim=dim,
        value=lower,
        role=row["role"],
        low=row["low"],
        high=row["high"],
    )
