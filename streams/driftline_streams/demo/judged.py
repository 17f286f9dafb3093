"""What the truth has said of the demo's models: how good they are, which one is better, and what that was worth."""

from __future__ import annotations

from typing import Any

import msgspec

from driftline_streams.dashboard.charts.comparison import sentence
from driftline_streams.dashboard.queries.comparison import Verdict
from driftline_streams.kernel.rates import wilson
from driftline_streams.sinks.clickhouse import ClickHouse

PERFORMANCE = """
SELECT version, any(role) AS role, sum(p.labelled) AS labelled, sum(p.expected) AS expected,
    countIf(state = 'provisional') AS provisional, count() AS months, sum(tp + tn) AS right
FROM performance_monthly AS p WHERE model = {model:String} GROUP BY version ORDER BY version
"""
VERDICTS = """
SELECT champion, challenger, role, toUnixTimestamp(toDateTime(through, 'UTC')) AS at_s, metric, n, difference, low,
    high, verdict
FROM verdicts FINAL WHERE model = {model:String} ORDER BY through DESC LIMIT 1 BY champion, challenger, role
"""
WORTH = """
SELECT version, sum(w.worth) AS worth, sum(w.labelled) AS labelled, any(unit) AS unit
FROM worth_monthly AS w WHERE model = {model:String} GROUP BY version ORDER BY version
"""


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """How often a version was right, over all of its service: `accuracy` with its 95 % interval."""

    version: str
    role: str
    labelled: int
    answered: int
    coverage: float
    accuracy: float
    low: float
    high: float
    final: bool  # whether no more labels are expected


class Worth(msgspec.Struct, frozen=True):
    """What acting on the answers of a version was worth, by `worth` of the spec."""

    version: str
    total: float
    labelled: int
    unit: str


class Judged(msgspec.Struct, frozen=True):
    """All of it; lists are empty as long as nothing is known."""

    performance: list[Performance]
    verdicts: list[Verdict]
    worth: list[Worth]


def judged(clickhouse: ClickHouse, model: str) -> Judged:
    """What the views say of `model` now."""

    def rows(sql: str) -> list[dict[str, Any]]:
        return clickhouse.query_rows(sql, {"model": model})

    return Judged(
        [_performance(row) for row in rows(PERFORMANCE)],
        [msgspec.convert(row, Verdict) for row in rows(VERDICTS)],
        [Worth(row["version"], row["worth"], row["labelled"], row["unit"]) for row in rows(WORTH)],
    )


def sentences(found: Judged) -> list[tuple[str, str]]:
    """Each with what it is about, as a person reads it."""
    return [
        *(("performance", _right(each)) for each in found.performance),
        *(("verdict", sentence(each)) for each in found.verdicts),
        *(("worth", _worth(each)) for each in found.worth),
    ]


def _performance(row: dict[str, Any]) -> Performance:
    low, high = wilson(row["right"], row["labelled"])
    return Performance(
        version=row["version"],
        role=row["role"],
        labelled=row["labelled"],
        answered=row["expected"],
        coverage=row["labelled"] / row["expected"],
        accuracy=row["right"] / row["labelled"],
        low=low,
        high=high,
        final=row["provisional"] == 0,
    )


def _right(one: Performance) -> str:
    state = "" if one.final else "; its last days are not final yet"
    return (
        f"{one.version} was right in {100 * one.accuracy:.1f} % (95 %: {100 * one.low:.1f} to {100 * one.high:.1f}) of "
        f"{one.labelled:,} flights whose truth is known, {100 * one.coverage:.1f} % of its answers{state}"
    )


def _worth(one: Worth) -> str:
    each = one.total / one.labelled
    return f"acting on {one.version} was worth {one.total:,.0f} {one.unit}, {each:.2f} {one.unit} a flight"
