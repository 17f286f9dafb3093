"""A migrated database and outcomes to fill it with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Coded, Column, MapColumn, Rows, WideInts
from driftline_streams.performance.cohorts import Cohorts
from driftline_streams.sinks.clickhouse import ClickHouse

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_735_689_600_000  # 2025-01-01, a Wednesday


def outcomes(n: int, **columns: Any) -> Rows:
    """`n` outcomes of version 1 of model m, its champion: columns by name, arrays or one value for all."""
    texts = {
        "model": "m",
        "version": "1",
        "role": "champion",
        "kind": "",
        "source": "",
        "prediction": "",
        "label": "",
        "request_id": "",
    }
    numbers = {
        "timestamp": START_MS,
        "label_timestamp": START_MS + HOUR_MS,
        "prediction_value": np.nan,
        "label_value": np.nan,
        "predicted_positive": np.nan,
        "positive": np.nan,
        "score": np.nan,
        "confidence": np.nan,
        "label_probability": np.nan,
        "position": np.nan,
        "weight": 1.0,
    }
    slices = columns.pop("segment", [{}] * n)
    full: dict[str, Column] = {
        "prediction_id": columns.pop("prediction_id", [f"p{i}" for i in range(n)]),
        "segment": MapColumn(
            np.cumsum([len(each) for each in slices]).astype(np.uint64),
            [key for each in slices for key in each],
            [value for each in slices for value in each.values()],
        ),
    }
    columns.setdefault("kind", _kind(columns))
    for name, usual in texts.items():
        given = columns.pop(name, usual)
        full[name] = Coded.constant(given, n) if isinstance(given, str) else list(given)
    for name, number in numbers.items():
        kind = np.int64 if name.endswith("timestamp") else np.float64
        full[name] = np.broadcast_to(np.asarray(columns.pop(name, number), kind), n).copy()
    full["precedence"] = WideInts(np.zeros(n, np.uint64), np.asarray(full["label_timestamp"]).astype(np.uint64))
    assert not columns, columns
    return Rows("outcomes", n, full)


def _kind(columns: Mapping[str, Any]) -> str:
    if "positive" in columns:
        return "binary"
    if "position" in columns:
        return "ranking"
    return "regression" if "label_value" in columns else "multiclass"


async def compute(database: ClickHouse, *specs: ModelSpec) -> None:
    """Bring the cells up to date, as a worker that starts would."""
    catalog = Catalog()
    for spec in specs:
        catalog.update(spec)
    cohorts = Cohorts(catalog, database.query, database.execute)
    while (await cohorts()).left:
        pass


def served(*cells: tuple[int, int, int], model: str = "m", version: str = "1", dim: str = "") -> Rows:
    """Hourly windows: (start in ms, events, errors)."""
    n = len(cells)
    return Rows(
        "windows",
        n,
        {
            "model": Coded.constant(model, n),
            "version": Coded.constant(version, n),
            "window": np.array([start // 1000 for start, _, _ in cells], np.uint32),
            "width_s": np.full(n, 3600, np.uint32),
            "dim": Coded.constant(dim, n),
            "value": Coded.constant("x" if dim else "", n),
            "n": np.array([events for _, events, _ in cells], np.uint64),
            "errors": np.array([errors for _, _, errors in cells], np.uint64),
        },
    )
