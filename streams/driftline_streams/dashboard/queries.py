"""The questions of the dashboard. Every answer is bounded: by time, by points of a series, or by rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.rows import (
    Alert,
    AlertCount,
    Coverage,
    Detail,
    Drift,
    DriftNow,
    Finding,
    Histograms,
    Latest,
    Load,
    Pairs,
    Performance,
    Recent,
    Record,
    Refused,
    Segment,
    Version,
)
from driftline_streams.dashboard.spans import DAY_S, MOST_POINTS, Span

MOST_VERSIONS = 100  # on the overview, the newest first
MOST_ALERTS = 200
MOST_FINDINGS = 1_000
MOST_SIGNALS = 30  # rows of the heat map, those that drift most first
MOST_SEGMENTS = 50  # to choose from, those that drift most first
_EVERYTHING = Segment()
EVIDENCE_ROWS = 20
LATELY_S = 7 * DAY_S  # in which alerts count as open

# The sketch of the view `latency_by_window`, for stretches of any length: percentiles cannot be averaged, sketches add.
_SKETCH = "1.01 / 0.99 AS g, sumMap(windows.latency) AS sketch"


def _quantile(levels: str) -> str:
    return (
        f"arrayReduce('quantilesExactWeighted({levels})', "
        "arrayMap(i -> if(i = -32768, 0., 2 * pow(g, i) / (g + 1)), mapKeys(sketch)), mapValues(sketch)) AS q"
    )


async def migrated(reader: Reader) -> bool:
    """Whether the tables are there."""
    return bool(
        await reader.plain("SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'models'")
    )


async def versions(reader: Reader, model: str | None = None) -> list[Version]:
    """The versions (of one model or of all) with the newest events, sorted by model and version."""
    sql = (
        "SELECT model, version, toUnixTimestamp(min(window)) AS first_s, "
        "max(toUnixTimestamp(window) + windows.width_s) AS newest_s, sum(n) AS events, max(windows.width_s) AS width_s "
        f"FROM windows WHERE dim = '' {'' if model is None else 'AND model = {model:String}'} "
        f"GROUP BY model, version ORDER BY newest_s DESC, model, version LIMIT {MOST_VERSIONS}"
    )
    found = await reader.rows(Version, sql, {} if model is None else {"model": model})
    return sorted(found, key=lambda v: (v.model, v.version))


async def latest(reader: Reader, of: Sequence[Version]) -> list[Latest]:
    """The newest event of each version, from its newest window."""
    where, parameters = _each(
        of, "timestamp >= toDateTime64({{{since}:Int64}}, 3, 'UTC')", lambda v: v.newest_s - v.width_s
    )
    sql = (
        "SELECT model, version, argMax(role, timestamp) AS role, toUnixTimestamp64Milli(max(timestamp)) AS at_ms "
        f"FROM predictions WHERE {where} GROUP BY model, version"
    )
    return await reader.rows(Latest, sql, parameters) if of else []


async def recent(reader: Reader, of: Sequence[Version]) -> list[Recent]:
    """The last day of each version."""
    where, parameters = _each(of, "window >= toDateTime({{{since}:Int64}}, 'UTC')", lambda v: v.newest_s - DAY_S)
    sql = (
        f"WITH {_SKETCH}, {_quantile('0.99')} "
        "SELECT model, version, sum(windows.n) AS n, sum(windows.errors) AS errors, "
        "if(empty(sketch), NULL, q[1]) AS p99_ms "
        f"FROM windows WHERE dim = '' AND ({where}) GROUP BY model, version"
    )
    return await reader.rows(Recent, sql, parameters) if of else []


async def drift_now(reader: Reader, model: str | None = None) -> list[DriftNow]:
    """What drifts in the newest test windows of each version in which there was enough to test.

    Of each width it is one, and only if it ended less than its width before the newest of all.
    """
    own = "" if model is None else "AND model = {model:String}"
    sql = (
        "SELECT model, version, toUnixTimestamp(max(drift.window)) AS window_s, "
        "arraySort(groupUniqArrayIf(signal, state = 'drift')) AS drifting, "
        "uniqExactIf(signal, state != 'insufficient data') AS tested "
        "FROM drift FINAL INNER JOIN (SELECT *, max(window + width_s) OVER (PARTITION BY model, version) AS latest "
        "FROM (SELECT model, version, width_s, max(window) AS window FROM drift "
        f"WHERE dim = '' AND state != 'insufficient data' {own} GROUP BY model, version, width_s)) "
        "AS newest USING (model, version, width_s, window) "
        "WHERE dim = '' AND drift.window + 2 * width_s > latest GROUP BY model, version"
    )
    return await reader.rows(DriftNow, sql, {} if model is None else {"model": model})


_PERFORMANCE = (
    "labelled, expected, coverage, state, classified, accuracy, accuracy_low, accuracy_high, precision, recall, f1, "
    "roc_auc, brier, mae, rmse"
)


async def performance_now(reader: Reader) -> list[Performance]:
    """The newest months with labels of each version and role, the newest first."""
    sql = (
        f"SELECT model, version, role, toUnixTimestamp(toDateTime(month, 'UTC')) AS at_s, {_PERFORMANCE} "
        "FROM performance_monthly ORDER BY month DESC LIMIT 3 BY model, version"
    )
    return await reader.rows(Performance, sql)


async def performance(reader: Reader, model: str, span: Span, grain: str) -> list[Performance]:
    """Cohorts of `grain` "day" or "month"."""
    sql = (
        f"SELECT model, version, role, toUnixTimestamp(toDateTime({grain}, 'UTC')) AS at_s, {_PERFORMANCE} "
        f"FROM performance_{'monthly' if grain == 'month' else 'daily'} "
        f"WHERE model = {{model:String}} AND {grain} >= {_first_day(grain)} ORDER BY version, role, at_s"
    )
    return await reader.rows(Performance, sql, {"model": model, "start": span.start_s})


async def coverage(reader: Reader, model: str, span: Span, grain: str) -> list[Coverage]:
    """Labels by version and cohort, also of cohorts without any."""
    cohort = "toStartOfMonth(day)" if grain == "month" else "day"
    sql = (
        f"SELECT version, toUnixTimestamp(toDateTime({cohort}, 'UTC')) AS at_s, "
        "sum(c.predictions) AS predictions, sum(c.labelled) AS labelled "
        f"FROM label_coverage AS c WHERE model = {{model:String}} AND day >= {_first_day(grain)} "
        "GROUP BY version, at_s ORDER BY version, at_s"
    )
    return await reader.rows(Coverage, sql, {"model": model, "start": span.start_s})


async def pairs(reader: Reader, model: str, span: Span, grain: str) -> list[Pairs]:
    """Champion beside challengers by "week" (from its Monday) or "month"."""
    cohort = "toStartOfMonth(day)" if grain == "month" else "toMonday(day)"
    sql = (
        f"SELECT champion, challenger, toUnixTimestamp(toDateTime({cohort}, 'UTC')) AS at_s, sum(c.n) AS n, "
        "sum(both_right) AS both, sum(only_champion_right) AS only_champion, "
        "sum(only_challenger_right) AS only_challenger, sum(both_wrong) AS neither, "
        "sum(c.champion_mae * c.n) / sumIf(c.n, c.champion_mae IS NOT NULL) AS champion_mae, "
        "sum(c.challenger_mae * c.n) / sumIf(c.n, c.challenger_mae IS NOT NULL) AS challenger_mae "
        "FROM champion_challenger AS c "
        f"WHERE model = {{model:String}} AND day >= {_first_day(grain)} "
        "GROUP BY champion, challenger, at_s ORDER BY champion, challenger, at_s"
    )
    return await reader.rows(Pairs, sql, {"model": model, "start": span.start_s})


def _first_day(grain: str) -> str:
    day = "toDate(toDateTime({start:Int64}, 'UTC'))"
    return {"month": f"toStartOfMonth({day})", "week": f"toMonday({day})"}.get(grain, day)


async def load(reader: Reader, model: str, span: Span, bucket_s: int) -> list[Load]:
    """Load, latency and answers by version in stretches of `bucket_s`."""
    sql = (
        f"WITH {_SKETCH}, {_quantile('0.5, 0.95, 0.99')} "
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
    return await reader.rows(Load, sql, {"model": model, "bucket": bucket_s, **_bounds(span)})


async def drift_segments(reader: Reader, model: str, version: str, span: Span) -> list[Segment]:
    """The segments that were tested, those that drift most first."""
    sql = (
        "SELECT dim, value FROM drift FINAL WHERE model = {model:String} AND version = {version:String} AND dim != '' "
        "AND window >= toDateTime({start:Int64}, 'UTC') AND window < toDateTime({end:Int64}, 'UTC') "
        f"GROUP BY dim, value ORDER BY countIf(state = 'drift') DESC, dim, value LIMIT {MOST_SEGMENTS}"
    )
    return await reader.rows(Segment, sql, {"model": model, "version": version, **_bounds(span)})


async def drift(  # noqa: PLR0917
    reader: Reader, model: str, version: str, span: Span, bucket_s: int, segment: Segment = _EVERYTHING
) -> list[Drift]:
    """For each of the signals that drift most and each stretch of `bucket_s` the worst test window."""
    where = (
        "model = {model:String} AND version = {version:String} AND dim = {dim:String} AND value = {value:String} "
        "AND window >= toDateTime({start:Int64}, 'UTC') AND window < toDateTime({end:Int64}, 'UTC')"
    )
    worst = "if(threshold > 0, statistic / threshold, statistic)"
    sql = (
        "SELECT signal, dim, value, intDiv(toUnixTimestamp(window), {bucket:UInt32}) * {bucket:UInt32} AS at_s, "
        "toUnixTimestamp(window) AS window_s, width_s, method, state, statistic, threshold, effect, low, high, "
        "p_value, n, n_reference, toBool(seasonal) AS seasonal "
        f"FROM drift FINAL WHERE {where} AND signal IN (SELECT signal FROM drift FINAL WHERE {where} "
        f"GROUP BY signal ORDER BY countIf(state = 'drift') DESC, max({worst}) DESC, signal LIMIT {MOST_SIGNALS}) "
        f"ORDER BY at_s, signal, state = 'drift' DESC, state = 'ok' DESC, {worst} DESC LIMIT 1 BY at_s, signal "
        f"LIMIT {MOST_SIGNALS * MOST_POINTS}"
    )
    asked = {"model": model, "version": version, "bucket": bucket_s, "dim": segment.dim, "value": segment.value}
    return await reader.rows(Drift, sql, {**asked, **_bounds(span)})


async def histograms(reader: Reader, model: str, version: str, cell: Drift) -> Histograms:
    """What a cell compared; empty when the row is gone."""
    sql = (
        "SELECT bins, expected FROM drift FINAL WHERE model = {model:String} AND version = {version:String} "
        "AND window = toDateTime({window:Int64}, 'UTC') AND width_s = {width:UInt32} "
        "AND dim = {dim:String} AND value = {value:String} AND signal = {signal:String} LIMIT 1"
    )
    asked = {"window": cell.window_s, "width": cell.width_s, "signal": cell.signal, "dim": cell.dim}
    asked["value"] = cell.value
    found = await reader.rows(Histograms, sql, {"model": model, "version": version, **asked})
    return found[0] if found else Histograms()


async def drift_detail(reader: Reader, model: str, version: str, cell: Drift) -> str:
    """The sentence of the finding behind a cell; empty without one."""
    sql = (
        "SELECT detail FROM detections FINAL WHERE model = {model:String} AND version = {version:String} "
        "AND kind = 'drift' AND dim = '' AND signal = {signal:String} "
        "AND start = toDateTime({start:Int64}, 'UTC') AND end = toDateTime({end:Int64}, 'UTC') LIMIT 1"
    )
    asked = {"signal": cell.signal, "start": cell.window_s, "end": cell.window_s + cell.width_s}
    found = await reader.rows(Detail, sql, {"model": model, "version": version, **asked})
    return found[0].detail if found else ""


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
    return await reader.rows(Finding, sql, {"model": model, **_bounds(span)})


async def alerts(reader: Reader, *, model: str = "", severity: str = "", span: Span | None = None) -> list[Alert]:
    """The newest alerts of all models or one, of all severities or one."""
    where = ["1"]
    where += ["model = {model:String}"] if model else []
    where += ["severity = {severity:String}"] if severity else []
    where += ["alerts.start >= toDateTime64({start:Int64}, 3, 'UTC')"] if span else []
    sql = (
        "SELECT id, model, version, severity, kind, signal, title, cause, owner, "
        "toUnixTimestamp64Milli(start) AS start_ms, "
        f"toUnixTimestamp64Milli(end) AS end_ms, query FROM alerts FINAL WHERE {' AND '.join(where)} "
        f"ORDER BY alerts.start DESC, id LIMIT {MOST_ALERTS}"
    )
    given = {"model": model, "severity": severity, **({"start": span.start_s} if span else {})}
    return await reader.rows(Alert, sql, {name: value for name, value in given.items() if value != ""})


async def alert_counts(reader: Reader, of: Sequence[Version]) -> list[AlertCount]:
    """Alerts of each version in the week before its newest event."""
    where, parameters = _each(
        of, "alerts.start >= toDateTime64({{{since}:Int64}}, 3, 'UTC')", lambda v: v.newest_s - LATELY_S
    )
    sql = (
        "SELECT model, version, severity, count() AS n FROM alerts FINAL "
        f"WHERE {where} GROUP BY model, version, severity"
    )
    return await reader.rows(AlertCount, sql, parameters) if of else []


async def refused(reader: Reader) -> list[Refused]:
    """How many messages were refused, by reason, most first."""
    sql = "SELECT topic, reason, sum(r.n) AS n FROM rejected_daily AS r GROUP BY topic, reason ORDER BY n DESC LIMIT 20"
    return await reader.rows(Refused, sql)


async def specs(reader: Reader) -> dict[str, ModelSpec]:
    """What people said of their models; a record that this version cannot read is left out."""
    sql = "SELECT model AS version, record FROM models FINAL WHERE kind = 'spec' LIMIT 1000"
    found = {}
    for row in await reader.rows(Record, sql):
        try:
            found[row.version] = msgspec.json.decode(row.record, type=ModelSpec)
        except msgspec.MsgspecError:
            continue
    return found


async def reference(reader: Reader, model: str, version: str) -> Reference | None:
    """The profile that a version is compared with; `None` without one."""
    sql = (
        "SELECT version, record FROM models FINAL "
        "WHERE kind = 'reference' AND model = {model:String} AND version = {version:String}"
    )
    for row in await reader.rows(Record, sql, {"model": model, "version": version}):
        try:
            return msgspec.json.decode(row.record, type=Reference)
        except msgspec.MsgspecError:
            return None
    return None


async def evidence(reader: Reader, query: str) -> list[dict[str, Any]]:
    """The first rows behind an alert.

    As a part of our own SELECT the text can only read, whatever it says, and is bounded in rows and time.
    """
    body = query.strip().rstrip(";")
    return await reader.plain(f"SELECT * FROM (\n{body}\n) LIMIT {EVIDENCE_ROWS} SETTINGS max_execution_time = 20")


def _each(of: Sequence[Version], condition: str, since: Callable[[Version], int]) -> tuple[str, dict[str, str | int]]:
    """The condition that a row is of one of these versions and not older than what `since` says of it.

    One range of the primary key a version: a join would read whole tables.
    """
    terms, parameters = list[str](), dict[str, str | int]()
    for index, one in enumerate(of):
        own = condition.format(since=f"s{index}")
        terms.append(f"model = {{m{index}:String}} AND version = {{v{index}:String}} AND {own}")
        parameters |= {f"m{index}": one.model, f"v{index}": one.version, f"s{index}": since(one)}
    return " OR ".join(f"({term})" for term in terms), parameters


def _bounds(span: Span) -> dict[str, int]:
    return {"start": span.start_s, "end": span.end_s}
