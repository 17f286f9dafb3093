"""Judges which segments a model serves worse than all others, by what the last four weeks showed.

In the walk: `watch` asks for it. The view `segment_differences` tests every segment whenever a week has settled; what
is found must be believed among all segments (Benjamini and Hochberg) and matter. It is told when the week before has
not shown it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec
from driftline_streams.comparison.news import news
from driftline_streams.kernel import budget, findings, words
from driftline_streams.kernel.catalog import sliced_by
from driftline_streams.kernel.effects import Named
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.query import Query

METHOD = "segment"
WEEK_DAYS = 7

WORSE = """
SELECT
    version, role, toUnixTimestamp(toDateTime(through, 'UTC')) AS through_s,
    toUnixTimestamp(toDateTime(first_day, 'UTC')) AS first_s, dim, segment, metric, value, rest, difference, low, high,
    effect, p_value, n, n_rest
FROM segment_differences
WHERE model = {model:String} AND settled AND q_value <= {alpha:Float64}
    AND effect >= if(metric IN ('mae', 'ndcg'), {deviations:Float64}, {rate:Float64})
ORDER BY through, version, role, metric, effect DESC
"""


class Segments:
    """Judges the segments of a model, if it has any."""

    def __init__(self, prefix: str, query: Query) -> None:
        self._prefix = prefix
        self._query = query

    async def __call__(self, spec: ModelSpec, now_ms: int) -> AsyncIterator[Named]:
        """What is new, at once; raises what the query raises."""
        if not sliced_by(spec):
            return
        rules = spec.drift
        limits = {
            "alpha": budget.alpha(rules, budget.SEGMENTS, WEEK_DAYS),
            "deviations": rules.min_effect,
            "rate": rules.rate,
        }
        worse = await self._query(WORSE, {"model": spec.model} | limits)
        found = await news(self._query, [_detection(spec, row) for row in _begun(worse)], self._prefix, now_ms)
        if found.name:
            yield found


def _begun(worse: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The weeks of which the one before has not shown the same."""
    names = ("version", "role", "dim", "segment", "metric")
    shown = {(*(row[name] for name in names), row["through_s"]) for row in worse}
    week_s = WEEK_DAYS * DAY_MS // 1000
    for row in worse:
        if (*(row[name] for name in names), row["through_s"] - week_s) not in shown:
            yield row


def _detection(spec: ModelSpec, row: Mapping[str, Any]) -> Detection:
    start_ms, end_ms = 1000 * row["first_s"], 1000 * row["through_s"] + DAY_MS
    is_error, is_mean = row["metric"] == "mae", row["metric"] in {"mae", "ndcg"}
    each = words.number if is_mean else words.share
    apart = f", {words.number(row['effect'])} σ" if is_mean else ""
    return Detection(
        id=findings.id_of(
            *(METHOD, spec.model, row["version"], row["role"], row["metric"], row["dim"], row["segment"]), end_ms
        ),
        model=spec.model,
        version=row["version"],
        signal=row["metric"],
        kind="performance",
        method=METHOD,
        start_ms=start_ms,
        end_ms=end_ms,
        direction="up" if is_error else "down",
        statistic=row["effect"],
        threshold=spec.drift.min_effect if is_mean else spec.drift.rate,
        effect=row["difference"],
        p_value=row["p_value"],
        before=row["rest"],
        after=row["value"],
        n=row["n"],
        reference="",
        detail=(
            f"{words.subject(row['metric'])} of {row['role']} {row['version']} was {each(row['value'])} where "
            f"{row['dim']} is {row['segment']} and {each(row['rest'])} elsewhere {words.when(start_ms, end_ms)}, all "
            f"of them final: a difference of {each(row['difference'])}{apart} (95 % interval {each(row['low'])} to "
            f"{each(row['high'])}, {words.chance(row['p_value'])}, {row['n']:,} outcomes against {row['n_rest']:,})."
        ),
        dim=row["dim"],
        value=row["segment"],
        role=row["role"],
        low=row["low"],
        high=row["high"],
    )
