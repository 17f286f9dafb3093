"""Challengers beside the champion, on the same requests."""

from __future__ import annotations

from msgspec import Struct

from driftline_streams.dashboard.queries.performance import first_day
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import Span

MOST_VERDICTS = 5_000  # rows


class Pairs(Struct, frozen=True):
    """Sums over the pairs of a stretch of time."""

    champion: str
    challenger: str
    role: str  # of the challenger
    at_s: int
    compared: int  # pairs of classes
    both_right: int
    only_champion: int
    only_challenger: int
    measured: int  # pairs of numbers
    differences: float  # of absolute errors, challenger minus champion
    difference_squares: float


class Verdict(Struct, frozen=True):
    """What all settled pairs up to a day say."""

    champion: str
    challenger: str
    role: str
    at_s: int
    metric: str
    n: int
    difference: float
    low: float | None
    high: float | None
    verdict: str


async def pairs(reader: Reader, model: str, span: Span, grain: str) -> list[Pairs]:
    """Champion beside challengers by "day", "week" (from its Monday) or "month"."""
    start = {"month": "toStartOfMonth(day)", "week": "toMonday(day)"}.get(grain, "day")
    sums = ("compared", "both_right", "only_champion", "only_challenger", "measured")
    totals = ", ".join(f"sum(c.{name}) AS {name}" for name in (*sums, "differences", "difference_squares"))
    sql = (
        f"SELECT champion, challenger, role, toUnixTimestamp(toDateTime({start}, 'UTC')) AS at_s, {totals} "
        f"FROM comparisons AS c FINAL WHERE model = {{model:String}} AND day >= {first_day(grain)} AND c.n > 0 "
        "GROUP BY champion, challenger, role, at_s ORDER BY champion, challenger, role, at_s"
    )
    return await reader.rows(Pairs, sql, {"model": model, "start": span.start_s})


async def verdicts(reader: Reader, model: str, span: Span) -> list[Verdict]:
    """Day by day, by time."""
    sql = (
        "SELECT champion, challenger, role, toUnixTimestamp(toDateTime(through, 'UTC')) AS at_s, metric, n, "
        "difference, low, high, verdict FROM verdicts FINAL WHERE model = {model:String} "
        f"AND through >= {first_day('day')} ORDER BY champion, challenger, role, through LIMIT {MOST_VERDICTS}"
    )
    return await reader.rows(Verdict, sql, {"model": model, "start": span.start_s})
