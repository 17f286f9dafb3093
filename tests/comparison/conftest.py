"""Answers with their truth, pairs of them, and sums of days, to fill a database with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from driftline_schemas.records import Detection
from driftline_streams.comparison import pairs
from driftline_streams.comparison.watch import Watch
from driftline_streams.kernel.effects import Coded, MapColumn, Rows, WideInts
from driftline_streams.sinks.clickhouse import ClickHouse

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_735_689_600_000  # 2025-01-01, a Wednesday
START = dt.date(2025, 1, 1)

_names = count()


class Answer(Struct, frozen=True, kw_only=True):
    """An answer with its truth; of a regression where it has values."""

    version: str = "1"
    role: str = "champion"
    request: str = "r"
    prediction_id: str = ""  # that of version, role and request when empty
    at_ms: int = START_MS
    label_ms: int = START_MS + HOUR_MS
    right: bool = True
    value: float | None = None
    truth: float | None = None
    kind: str = "binary"
    model: str = "m"

    @property
    def id(self) -> str:
        return self.prediction_id or f"{self.version}-{self.role}-{self.request}"

    @property
    def day(self) -> dt.date:
        return dt.datetime.fromtimestamp(self.at_ms / 1000, dt.UTC).date()


def outcomes(answers: Sequence[Answer]) -> Rows:
    """Rows of outcomes: the truth is the positive class, or a number."""
    n = len(answers)
    numbers: dict[str, Any] = {
        "timestamp": np.array([a.at_ms for a in answers], np.int64),
        "label_timestamp": np.array([a.label_ms for a in answers], np.int64),
        "predicted_positive": np.array([float(a.right) if a.kind == "binary" else np.nan for a in answers]),
        "positive": np.array([1.0 if a.kind == "binary" else np.nan for a in answers]),
        "prediction_value": np.array([np.nan if a.value is None else a.value for a in answers]),
        "label_value": np.array([np.nan if a.truth is None else a.truth for a in answers]),
        "weight": np.ones(n),
    }
    return Rows(
        "outcomes",
        n,
        {
            "prediction_id": [a.id for a in answers],
            "model": [a.model for a in answers],
            "version": [a.version for a in answers],
            "role": [a.role for a in answers],
            "kind": [a.kind for a in answers],
            "request_id": [a.request for a in answers],
            "prediction": ["a" if a.right else "b" for a in answers],
            "label": Coded.constant("a", n),
            "segment": MapColumn(np.zeros(n, np.uint64), [], []),
            "precedence": WideInts(np.zeros(n, np.uint64), np.array([a.label_ms for a in answers], np.uint64)),
            **numbers,
        },
    )


async def put(database: ClickHouse, *rows: Rows) -> None:
    """Insert under a name that nothing else has."""
    await database.insert(rows, f"test {next(_names)}")


async def pair(database: ClickHouse, answers: Sequence[Answer]) -> None:
    """What the round does for the days of these answers, when their labels have come."""
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=next(_names))
    for model in sorted({a.model for a in answers}):
        days = sorted({a.day.isoformat() for a in answers if a.model == model})
        given = {"model": model, "days": days, "at": f"{at:%Y-%m-%d %H:%M:%S}", "segments": []}
        database.command(pairs.COMPUTE, given)


def insert(database: ClickHouse, table: str, *rows: Mapping[str, Any]) -> None:
    """Rows by column name; others get the defaults of the table."""
    lines = b"\n".join(msgspec.json.encode(row, enc_hook=float) for row in rows).decode()
    database.command(f"INSERT INTO {table} FORMAT JSONEachRow {lines}")


def cell(day: int, n: int = 100, *, version: str = "1", role: str = "champion", **given: Any) -> dict[str, Any]:
    """A row of performance of a day that many labels have come for."""
    return {
        "model": "m",
        "version": version,
        "role": role,
        "day": str(START + dt.timedelta(days=day)),
        "stage": "latest",
        "n": n,
        "weight": n,
        "weight_squares": n,
        **given,
    }


def windows(day: int, n: int = 100, version: str = "1") -> dict[str, Any]:
    """A row of windows of a day with that many answers."""
    return {
        "model": "m",
        "version": version,
        "window": f"{START + dt.timedelta(days=day)} 00:00:00",
        "width_s": 3600,
        "n": n,
    }


def binary(tp: float, fp: float, tn: float, fn: float, weight: float = 1.0, **given: Any) -> dict[str, Any]:
    """The columns of a cell of a binary model, each outcome with this weight."""
    n = tp + fp + tn + fn
    confusion = {"1\x1f1": tp, "1\x1f0": fp, "0\x1f0": tn, "0\x1f1": fn}
    return {
        "n": int(n),
        "weight": weight * n,
        "weight_squares": weight * weight * n,
        "binaries": int(n),
        "classified": int(n),
        "classified_weight": weight * n,
        "correct": weight * (tp + tn),
        "confusion": {key: weight * value for key, value in confusion.items()},
        **given,
    }


def slices(
    day: int, whole: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], **given: Any
) -> list[dict[str, Any]]:
    """The rows of a day: all outcomes, and the values of one key."""
    rows = [cell(day, **given, **whole)]
    return rows + [cell(day, **given, dim="carrier", segment=name, **part) for name, part in parts.items()]


def settle(database: ClickHouse, days: int, model: str = "m") -> None:
    """The model goes on after so many days: each day before that has labels has all of them, and is final."""
    insert(database, "performance", cell(days, 1) | {"model": model})
    database.command(
        "INSERT INTO windows (model, version, window, width_s, n) "
        "SELECT DISTINCT model, version, toDateTime(day, 'UTC'), 3600, 1 FROM performance WHERE dim = '' "
        "AND (model, version, day) NOT IN (SELECT model, version, toDate(window) FROM windows)"
    )


async def told(database: ClickHouse, watch: Watch) -> list[Detection]:
    """What one round of the watch publishes; its rows are stored."""
    found: list[Detection] = []
    async for each in watch(START_MS):
        found += [msgspec.json.decode(message.value or b"", type=Detection) for message in each.effects.messages]
        await database.insert(each.effects.rows, each.name)
    return found
