"""What needed a person, with its evidence."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import Span

MOST_ALERTS = 200
EVIDENCE_ROWS = 20


class Alert(Struct, frozen=True):
    """An alert with its evidence."""

    id: str
    model: str
    version: str
    severity: str
    kind: str
    signal: str
    title: str
    cause: str
    owner: str
    start_ms: int
    end_ms: int
    query: str


async def newest(reader: Reader, *, model: str = "", severity: str = "", span: Span | None = None) -> list[Alert]:
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


async def evidence(reader: Reader, query: str) -> list[dict[str, Any]]:
    """The first rows behind an alert.

    As a part of our own SELECT the text can only read, whatever it says, and is bounded in rows and time.
    """
    body = query.strip().rstrip(";")
    return await reader.plain(f"SELECT * FROM (\n{body}\n) LIMIT {EVIDENCE_ROWS} SETTINGS max_execution_time = 20")
