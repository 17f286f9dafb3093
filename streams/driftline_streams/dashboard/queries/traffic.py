"""Load, latency, answers, and what the detectors found in them."""

from __future__ import annotations

from msgspec import Struct

from driftline_streams.dashboard.queries.sketch import SKETCH, quantiles
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import Span

MOST_FINDINGS = 1_000


class Load(Struct, frozen=True):
    """A stretch of a version: load, errors, latency and answers."""

    version: str
    at_s: int
    n: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    mean_score: float | None
    mean_confidence: float | None


class Finding(Struct, frozen=True):
    """A detection."""

    id: str
    version: str
    signal: str
    kind: str
    method: str
    start_s: int
    end_s: int
    direction: str
    statistic: float
    after: float | None
    detail: str


async def load(reader: Reader, model: str, span: Span, bucket_s: int) -> list[Load]:
    """Load, latency and answers by version in stretches of `bucket_s`."""
    sql = (
        f"WITH {SKETCH}, {quantiles('0.5, 0.95, 0.99')} "
        "SELECT version, intDiv(toUnixTimestamp(window), {bucket:UInt32}) * {bucket:UInt32} AS at_s, "
        "sum(windows.n) AS n, sum(windows.errors) AS errors, "
        "if(empty(sketch), NULL, q[1]) AS p50_ms, if(empty(sketch), NULL, q[2]) AS p95_ms, "
        "if(empty(sketch), NULL, q[3]) AS p99_ms, "
        "if(sum(score_n) = 0, NULL, sum(score_sum) / sum(score_n)) AS mean_score, "
        "if(sum(confidence_n) = 0, NULL, sum(confidence_sum) / sum(confidence_n)) AS mean_confidence "
        "FROM windows WHERE model = {model:String} AND dim = '' "
        "AND window >= toDateTime({start:Int64}, 'UTC') AND window < toDateTime({end:Int64}, 'UTC') "
        "GROUP BY version, at_s ORDER BY version, at_s"
    )
    return await reader.rows(Load, sql, {"model": model, "bucket": bucket_s, **span.bounds})


async def findings(reader: Reader, model: str, span: Span) -> list[Finding]:
    """The newest detections, without those of drift tests: `drift` has all of these tests."""
    sql = (
        "SELECT id, version, signal, kind, method, toUnixTimestamp(start) AS start_s, toUnixTimestamp(end) AS end_s, "
        "direction, statistic, after, detail FROM detections FINAL WHERE model = {model:String} "
        "AND kind != 'drift' "
        "AND detections.start >= toDateTime64({start:Int64}, 3, 'UTC') "
        "AND detections.start < toDateTime64({end:Int64}, 3, 'UTC') "
        f"ORDER BY detections.start DESC LIMIT {MOST_FINDINGS}"
    )
    return await reader.rows(Finding, sql, {"model": model, **span.bounds})
