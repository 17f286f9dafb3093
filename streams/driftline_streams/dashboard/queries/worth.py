"""What outcomes were worth, and how many there were of each class."""

from __future__ import annotations

from msgspec import Struct

from driftline_streams.dashboard.queries.performance import first_day
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import Span

MOST_COUNTS = 5_000


class Worth(Struct, frozen=True):
    """The outcomes of a version and role on a day or in a month."""

    version: str
    role: str
    at_s: int
    labelled: int
    worth: float
    each: float | None  # of one outcome
    counts: dict[str, float]  # of the outcomes that the spec names
    state: str


class Count(Struct, frozen=True):
    """How often a class was predicted and how often it was true in a month, among labelled predictions."""

    at_s: int
    class_: str
    predicted: float
    actual: float


async def worth(reader: Reader, model: str, span: Span, grain: str) -> list[Worth]:
    """By "day" or "month"."""
    sql = (
        f"SELECT version, role, toUnixTimestamp(toDateTime({grain}, 'UTC')) AS at_s, labelled, worth, "
        f"worth_each AS each, counts, state FROM worth_{'monthly' if grain == 'month' else 'daily'} "
        f"WHERE model = {{model:String}} AND {grain} >= {first_day(grain)} ORDER BY version, role, at_s"
    )
    return await reader.rows(Worth, sql, {"model": model, "start": span.start_s})


async def counts(reader: Reader, model: str, version: str, span: Span) -> list[Count]:
    """By month, all roles together."""
    sql = (
        "SELECT toUnixTimestamp(toDateTime(month, 'UTC')) AS at_s, class AS class_, sum(c.predicted) AS predicted, "
        "sum(c.actual) AS actual FROM class_counts_monthly AS c "
        f"WHERE model = {{model:String}} AND version = {{version:String}} AND month >= {first_day('month')} "
        f"GROUP BY month, class ORDER BY month, actual DESC, class LIMIT {MOST_COUNTS}"
    )
    return await reader.rows(Count, sql, {"model": model, "version": version, "start": span.start_s})
