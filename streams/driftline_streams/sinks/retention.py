"""What a TTL may have deleted: the day from which a table still holds every row.

In the walk: beside it. The ledger asks before it calls a row missing.
"""

from __future__ import annotations

import datetime as dt
import re

from driftline_streams.errors import UsageError
from driftline_streams.sinks.clickhouse import ClickHouse

_CLAUSES = re.compile(r" TTL (.+?)(?: SETTINGS |$)", re.DOTALL)
_BETWEEN_CLAUSES = re.compile(r",(?![^()]*\))")  # commas outside the parentheses of a function
_ELSEWHERE = re.compile(r" (TO (DISK|VOLUME)|RECOMPRESS) ")  # these clauses move rows and delete none
_ACTION = re.compile(r" (DELETE|WHERE|GROUP BY)\b.*", re.DOTALL)

# A row's times are taken for the days of the last half century; one day on top, because a prediction may be dated a day
# ahead of its arrival.
_FIRST_DAY = """
SELECT min(day) + 1 AS first, count() AS n
FROM
(
    SELECT today() + 2 - number AS day, toDateTime64(day, 3, 'UTC') AS timestamp, timestamp AS ingested_at
    FROM numbers(20000)
)
WHERE ({expression}) > now()
"""


def complete_from(clickhouse: ClickHouse, table: str) -> dt.date | None:
    """The first day of event time of which no TTL has deleted rows of `table`; `None` when it has no TTL.

    A TTL over other columns than `timestamp` and `ingested_at` may have deleted anything: then the day lies ahead.
    """
    found = clickhouse.query_rows(
        "SELECT engine_full FROM system.tables WHERE database = {database:String} AND name = {table:String}",
        {"database": clickhouse.database, "table": table},
    )
    days = [_first_day(clickhouse, text) for row in found for text in expressions(row["engine_full"])]
    return max(days, default=None)


def expressions(engine: str) -> list[str]:
    """When rows are deleted, by the TTL in the text of a table's engine.

    >>> expressions("MergeTree ORDER BY t TTL t + toIntervalDay(9), f(t, 1) TO VOLUME 'cold' SETTINGS x = 1")
    ['t + toIntervalDay(9)']
    >>> expressions("MergeTree ORDER BY t SETTINGS x = 1")
    []
    """
    clauses = _CLAUSES.search(engine)
    if clauses is None:
        return []
    parts = [part.strip() for part in _BETWEEN_CLAUSES.split(clauses[1])]
    return [_ACTION.sub("", part) for part in parts if not _ELSEWHERE.search(part)]


def _first_day(clickhouse: ClickHouse, expression: str) -> dt.date:
    ahead = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=3)
    try:
        (row,) = clickhouse.query_rows(_FIRST_DAY.format(expression=expression))
    except UsageError:
        return ahead
    first: dt.date = row["first"]
    return first if row["n"] else ahead
