"""Judges each challenger beside its champion on the days that are settled, and tells when the verdict changes.

In the walk: `watch` asks for it. A verdict stands in `verdicts` for each settled day, computed anew when a day is
restated or the rules change. What is told is a change between the verdicts of two days, or of the last day when it is
restated.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from driftline_schemas.spec import ModelSpec
from driftline_streams.comparison import finding
from driftline_streams.comparison.finding import Judged, Pair
from driftline_streams.comparison.verdict import NOT_YET, Pairs, Verdict, judge
from driftline_streams.kernel import findings
from driftline_streams.kernel.effects import Effects, Named
from driftline_streams.kernel.query import Query

DAYS = """
SELECT champion, challenger, role, toUnixTimestamp(toDateTime(day, 'UTC')) AS day_s, compared, both_right,
    only_champion, only_challenger, measured, champion_errors, challenger_errors, differences, difference_squares,
    difference_cubes
FROM comparison_days
WHERE model = {model:String} AND settled
ORDER BY champion, challenger, role, day
"""

KNOWN = """
SELECT champion, challenger, role, toUnixTimestamp(toDateTime(through, 'UTC')) AS day_s, n, difference, low, high,
    verdict
FROM verdicts FINAL
WHERE model = {model:String}
ORDER BY champion, challenger, role, through
"""

Rows = Sequence[Mapping[str, Any]]


class Challengers:
    """Judges the challengers and shadows of a model."""

    def __init__(self, prefix: str, query: Query) -> None:
        self._prefix = prefix
        self._query = query

    async def __call__(self, spec: ModelSpec, now_ms: int) -> AsyncIterator[Named]:
        """The verdicts that are new or have changed, one pair at a time; raises what the query raises."""
        days = await self._query(DAYS, {"model": spec.model})
        stored = await self._query(KNOWN, {"model": spec.model}) if days else []
        known = {pair: list(rows) for pair, rows in groupby(stored, _pair)}
        for pair, rows in groupby(days, _pair):
            found = self._effects(spec, pair, list(rows), known.get(pair, []), now_ms)
            if found.rows:
                yield Named(f"comparison:{spec.model}:{':'.join(pair)}:{now_ms}", found)

    def _effects(self, spec: ModelSpec, pair: Pair, days: Rows, known: Rows, now_ms: int) -> Effects:
        """What is new of a pair: nothing when all verdicts stand as they are."""
        sums = [Pairs(**{name: day[name] for name in Pairs.__slots__}) for day in days]
        judged = [
            Judged(day["day_s"], verdict)
            for day, verdict in zip(days, judge(sums, spec.comparison), strict=True)
            if verdict is not None
        ]
        stored = {row["day_s"]: row for row in known}
        new = [each for each in judged if not _stands(each.verdict, stored.get(each.day_s))]
        if not new:
            return Effects()
        until = {day["day_s"]: i + 1 for i, day in enumerate(days)}
        told = [
            finding.detection(spec, pair, each, sums[: until[each.day_s]], days[0]["day_s"])
            for each in _told(judged, known)
        ]
        published = findings.effects(told, self._prefix, now_ms)
        return Effects((finding.rows(spec.model, pair, new, now_ms), *published.rows), published.messages)


def _pair(row: Mapping[str, Any]) -> Pair:
    return Pair(row["champion"], row["challenger"], row["role"])


def _stands(verdict: Verdict, row: Mapping[str, Any] | None) -> bool:
    if row is None or (verdict.n, verdict.verdict) != (row["n"], row["verdict"]):
        return False
    return all(
        math.isinf(getattr(verdict, name))
        if row[name] is None
        else math.isclose(getattr(verdict, name), row[name], rel_tol=1e-9, abs_tol=1e-12)
        for name in ("difference", "low", "high")
    )


def _told(judged: Sequence[Judged], known: Rows) -> list[Judged]:
    """The days whose verdict is not the one before; before the first new day that is the last one that was kept."""
    last_s, last = (known[-1]["day_s"], known[-1]["verdict"]) if known else (-1, NOT_YET)
    out = []
    if judged and judged[-1].day_s == last_s and judged[-1].verdict.verdict != last:
        out.append(judged[-1])  # restated
    for each in judged:
        if each.day_s > last_s and each.verdict.verdict != last:
            out.append(each)
            last = each.verdict.verdict
    return out
