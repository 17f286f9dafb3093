"""What a number will be when all labels have come, and what it would be without any."""

from __future__ import annotations

from msgspec import Struct

from driftline_streams.dashboard.metrics import Metric
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import Span

FINAL = "labels"  # the basis of what is said of the final value; the others need no label


class Estimate(Struct, frozen=True):
    """What was said of a metric of one day."""

    role: str
    at_s: int
    basis: str
    estimate: float | None  # `None` where it abstains
    low: float | None  # 95 % interval of the final value
    high: float | None
    n: int
    labelled: int
    coverage: float | None  # share of the labels that will have come in the end
    reason: str  # why it abstains


async def estimates(reader: Reader, model: str, version: str, metric: Metric, span: Span) -> list[Estimate]:
    """Of each day and basis, by time."""
    sql = (
        "SELECT role, toUnixTimestamp(toDateTime(day, 'UTC')) AS at_s, basis, estimate, low, high, n, labelled, "
        "coverage, reason FROM estimates FINAL WHERE model = {model:String} AND version = {version:String} "
        "AND metric = {metric:String} AND day >= toDate(toDateTime({start:Int64}, 'UTC')) "
        "AND day <= toDate(toDateTime({end:Int64}, 'UTC')) ORDER BY role, basis, day"
    )
    return await reader.rows(Estimate, sql, {"model": model, "version": version, "metric": metric.name, **span.bounds})
