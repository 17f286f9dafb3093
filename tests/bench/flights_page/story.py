"""What ClickHouse says of the year: each part of it is one statement, which the page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from driftline_streams.demo.scores import MODEL
from driftline_streams.sinks.clickhouse import ClickHouse

Row = Mapping[str, Any]

EVENTS = """\
SELECT version, min(timestamp) AS first, max(timestamp) AS last, count() AS predictions
FROM predictions
GROUP BY version
ORDER BY version"""

BY_MONTH = """\
SELECT version, kind, signal, toYYYYMM(start) AS month, uniqExact(toDate(start)) AS days
FROM detections FINAL
WHERE dim = ''
GROUP BY version, kind, signal, month
ORDER BY version, kind, signal, month"""

BY_SIGNAL = """\
SELECT
    version, kind, signal,
    count() AS findings, uniqExact(toDate(start)) AS days, min(start) AS first, max(start) AS last,
    argMax(detail, abs(effect)) AS strongest
FROM detections FINAL
GROUP BY version, kind, signal
ORDER BY version, kind, findings DESC, signal"""

ALERTS = """\
SELECT
    version, kind, signal, count() AS alerts, min(alerts.start) AS first,
    argMin(id, alerts.start) AS id, argMin(severity, alerts.start) AS severity, argMin(title, alerts.start) AS title,
    argMin(cause, alerts.start) AS cause, argMin(query, alerts.start) AS query
FROM alerts FINAL
GROUP BY version, kind, signal
ORDER BY first, version, kind, signal"""

TESTED = """\
SELECT version, arraySort(groupUniqArray(signal)) AS signals
FROM drift FINAL
GROUP BY version
ORDER BY version"""


@dataclass(frozen=True, slots=True)
class Told:
    """The first alert of a cause, and how many rows its own SQL leads to."""

    alert: Row
    rows: int


@dataclass(frozen=True, slots=True)
class Story:
    """All that the page tells."""

    model: str
    events: Sequence[Row]
    months: Sequence[Row]
    tested: Sequence[Row]
    signals: Sequence[Row]
    alerts: Sequence[Told]


def read(clickhouse: ClickHouse) -> Story:
    """Ask."""
    alerts = clickhouse.query_rows(ALERTS)
    return Story(
        MODEL,
        clickhouse.query_rows(EVENTS),
        clickhouse.query_rows(BY_MONTH),
        clickhouse.query_rows(TESTED),
        clickhouse.query_rows(BY_SIGNAL),
        [Told(alert, _rows(clickhouse, str(alert["query"]))) for alert in alerts],
    )


def _rows(clickhouse: ClickHouse, query: str) -> int:
    [counted] = clickhouse.query_rows(f"SELECT count() AS n FROM (\n{query}\n)")
    return int(counted["n"])
