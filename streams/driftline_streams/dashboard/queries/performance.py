"""How good versions were by the day or month of their predictions, and how much of the truth was there to say so."""

from __future__ import annotations

from msgspec import Struct

from driftline_streams.dashboard.metrics import Metric
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import Span


class Headline(Struct, frozen=True):
    """A month of a version and role in the number that its kind is judged by, with 95 % intervals."""

    model: str
    version: str
    role: str
    at_s: int
    labelled: int
    coverage: float | None
    state: str
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    mae: float | None
    mae_low: float | None
    mae_high: float | None
    ndcg: float | None
    ndcg_low: float | None
    ndcg_high: float | None


class Cohort(Struct, frozen=True):
    """A metric of the predictions that a version made in a role on one day or in one month."""

    version: str
    role: str
    at_s: int
    labelled: int
    expected: int
    coverage: float | None
    state: str  # provisional, final or restated
    value: float | None
    low: float | None  # 95 % interval
    high: float | None


class Coverage(Struct, frozen=True):
    """How many of a version's answers have their truth."""

    version: str
    at_s: int
    predictions: int
    labelled: int


async def headlines(reader: Reader) -> list[Headline]:
    """The newest months with labels of each version and role, the newest first."""
    sql = (
        "SELECT model, version, role, toUnixTimestamp(toDateTime(month, 'UTC')) AS at_s, labelled, coverage, state, "
        "accuracy, accuracy_low, accuracy_high, mae, mae_low, mae_high, ndcg, ndcg_low, ndcg_high "
        "FROM performance_monthly ORDER BY month DESC LIMIT 3 BY model, version"
    )
    return await reader.rows(Headline, sql)


async def cohorts(reader: Reader, model: str, metric: Metric, span: Span, grain: str) -> list[Cohort]:
    """Cohorts of `grain` "day" or "month"."""
    name = metric.name
    sql = (
        f"SELECT version, role, toUnixTimestamp(toDateTime({grain}, 'UTC')) AS at_s, labelled, expected, coverage, "
        f"state, {name} AS value, {name}_low AS low, {name}_high AS high "
        f"FROM performance_{'monthly' if grain == 'month' else 'daily'} "
        f"WHERE model = {{model:String}} AND {grain} >= {first_day(grain)} ORDER BY version, role, at_s"
    )
    return await reader.rows(Cohort, sql, {"model": model, "start": span.start_s})


async def coverage(reader: Reader, model: str, span: Span, grain: str) -> list[Coverage]:
    """Labels by version and cohort, also of cohorts without any."""
    cohort = "toStartOfMonth(day)" if grain == "month" else "day"
    sql = (
        f"SELECT version, toUnixTimestamp(toDateTime({cohort}, 'UTC')) AS at_s, "
        "sum(c.predictions) AS predictions, sum(c.labelled) AS labelled "
        f"FROM label_coverage AS c WHERE model = {{model:String}} AND day >= {first_day(grain)} "
        "GROUP BY version, at_s ORDER BY version, at_s"
    )
    return await reader.rows(Coverage, sql, {"model": model, "start": span.start_s})


def first_day(grain: str) -> str:
    """The first day of the "day", "week" or "month" in which a span starts, as SQL."""
    day = "toDate(toDateTime({start:Int64}, 'UTC'))"
    return {"month": f"toStartOfMonth({day})", "week": f"toMonday({day})"}.get(grain, day)
