"""Which versions there are, and how they are now."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from driftline_streams.dashboard.queries.sketch import SKETCH, quantiles
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import DAY_S

MOST_VERSIONS = 100  # on the overview, the newest first
LATELY_S = 7 * DAY_S  # in which alerts count as open


class Version(Struct, frozen=True):
    """A model version, as its windows have it."""

    model: str
    version: str
    first_s: int
    newest_s: int  # end of its newest window
    events: int
    width_s: int


class Latest(Struct, frozen=True):
    """The newest event of a version."""

    model: str
    version: str
    role: str
    at_ms: int


class Recent(Struct, frozen=True):
    """The last day of a version."""

    model: str
    version: str
    n: int
    errors: int
    p99_ms: float | None


class DriftNow(Struct, frozen=True):
    """The newest test window of a version."""

    model: str
    version: str
    window_s: int
    drifting: list[str]
    tested: int  # signals with enough data


class AlertCount(Struct, frozen=True):
    """How many alerts of a severity a version had lately."""

    model: str
    version: str
    severity: str
    n: int


class Refused(Struct, frozen=True):
    """Messages that were refused for a reason."""

    topic: str
    reason: str
    n: int


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
        f"WITH {SKETCH}, {quantiles('0.99')} "
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
