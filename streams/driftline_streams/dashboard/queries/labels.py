"""How long the truth takes, how much of it will come, and what it changed afterwards."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from driftline_streams.dashboard.metrics import Metric
from driftline_streams.dashboard.queries.performance import first_day
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import Span

MOST_RESTATEMENTS = 30


class Delay(Struct, frozen=True):
    """Of the labels of a class that come, the share that takes at most so long."""

    class_: str  # tp, fp, tn, fn, right, wrong; empty of numbers and lists
    within_h: float
    share: float


class Usual(Struct, frozen=True):
    """How long the labels of a month took."""

    at_s: int
    n: int
    p50_h: float
    p90_h: float


class Expected(Struct, frozen=True):
    """The share of a day's labels that will have come in the end."""

    version: str
    at_s: int
    share: float


async def delay(reader: Reader, model: str) -> list[Delay]:
    """By class and time."""
    sql = (
        "SELECT class AS class_, within_h, share FROM label_delay_curve WHERE model = {model:String} "
        "AND share IS NOT NULL ORDER BY class, bucket"
    )
    return await reader.rows(Delay, sql, {"model": model})


async def usual(reader: Reader, model: str) -> list[Usual]:
    """The newest month with labels, or nothing."""
    sql = (
        "SELECT toUnixTimestamp(toDateTime(month, 'UTC')) AS at_s, n, p50_h, p90_h FROM label_delay "
        "WHERE model = {model:String} ORDER BY month DESC LIMIT 1"
    )
    return await reader.rows(Usual, sql, {"model": model})


async def expected(reader: Reader, model: str, span: Span) -> list[Expected]:
    """Of each day that was open when it was last looked at."""
    sql = (
        "SELECT version, toUnixTimestamp(toDateTime(day, 'UTC')) AS at_s, any(coverage_expected) AS share "
        f"FROM performance_expected WHERE model = {{model:String}} AND day >= {first_day('day')} "
        "AND coverage_expected IS NOT NULL GROUP BY version, day ORDER BY version, day"
    )
    return await reader.rows(Expected, sql, {"model": model, "start": span.start_s})


async def restatements(reader: Reader, model: str, metric: Metric, span: Span) -> list[dict[str, Any]]:
    """The newest days that changed after they were final: what was reported of `metric`, and what it is now."""
    sql = (
        f"SELECT day, version, role, reported_labelled AS labels_reported, labelled AS labels_now, "
        f"reported_{metric.name} AS reported, {metric.name} AS now, restated_at FROM restatements "
        f"WHERE model = {{model:String}} AND day >= {first_day('day')} "
        f"ORDER BY day DESC, version, role LIMIT {MOST_RESTATEMENTS}"
    )
    return await reader.plain(sql, {"model": model, "start": span.start_s})
