"""The SQL that returns the rows behind an alert.

In the walk: `notify` puts it into every alert, so that a person gets from the message to the events in one step. It
reads the contract's tables in the database that the client is connected to, bounded by model and time.
"""

from __future__ import annotations

import datetime as dt

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, Reference

MOST_ROWS = 1_000

_OWN = {"latency_ms", "score", "confidence", "prediction"}


def query(found: Detection, spec: ModelSpec, reference: Reference | None) -> str:
    """A SELECT over `predictions` (for performance over `outcomes`) that lists at most 1,000 events of the finding."""
    if found.kind == "performance":
        return _select(found, "outcomes FINAL", "prediction, label, score", "prediction != label")
    if found.signal == "error_rate":
        return _select(found, "predictions", "error_type, error_message", "status = 'error'")
    if found.signal == "latency_ms" and found.kind == "objective":
        over = f"latency_ms > {found.threshold!r}"
        return _select(found, "predictions", "latency_ms, status", over, order="latency_ms DESC")
    if found.signal in _OWN:
        return _select(found, "predictions", found.signal, f"{found.signal} IS NOT NULL")
    column, there = _feature(quoted(found.signal.removeprefix("feature:")), _kind(found, spec, reference))
    return _select(found, "predictions", f"{column} AS value, score", there)


def quoted(text: str) -> str:
    """A string literal of ClickHouse.

    >>> print(quoted("it's"))
    'it\\'s'
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _feature(name: str, kind: str | None) -> tuple[str, str]:
    """The expression of a feature and the condition that an event has it; `name` is quoted."""
    if kind == "numeric":
        return f"nums[{name}]", f"mapContains(nums, {name})"
    if kind == "categorical":
        return f"cats[{name}]", f"mapContains(cats, {name})"
    either = f"if(mapContains(nums, {name}), toString(nums[{name}]), cats[{name}])"
    return either, f"(mapContains(nums, {name}) OR mapContains(cats, {name}))"


def _select(found: Detection, table: str, columns: str, where: str, *, order: str = "timestamp") -> str:
    return (
        f"SELECT prediction_id, timestamp, {columns}\n"
        f"FROM {table}\n"
        f"WHERE model = {quoted(found.model)}\n"
        f"  AND version = {quoted(found.version)}\n"
        f"  AND timestamp >= {_instant(found.start_ms)}\n"
        f"  AND timestamp < {_instant(found.end_ms)}\n"
        f"  AND {where}\n"
        f"ORDER BY {order}\n"
        f"LIMIT {MOST_ROWS}"
    )


def _instant(ms: int) -> str:
    moment = dt.datetime.fromtimestamp(ms / 1000, dt.UTC)
    return f"toDateTime64('{moment:%Y-%m-%d %H:%M:%S}.{ms % 1000:03d}', 3, 'UTC')"


def _kind(found: Detection, spec: ModelSpec, reference: Reference | None) -> str | None:
    profile = None if reference is None else reference.signals.get(found.signal)
    if profile is not None:
        return profile.type
    feature = spec.features.get(found.signal.removeprefix("feature:"))
    if feature is not None and feature.type is not None:
        return feature.type
    return "numeric" if found.before is not None else None
