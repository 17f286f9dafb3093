"""One event, one row: what the tables hold of predictions and labels as they came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
Table = dict[tuple[Any, ...], Row]

_KNOWN = {
    *("prediction_id", "model", "version", "timestamp", "latency_ms", "status", "error", "prediction", "score"),
    *("confidence", "probabilities", "features", "segment", "role", "request_id", "user_id", "trace_id", "span_id"),
    "context",
}


def raw(event: Row, time_ms: int) -> Row:
    """A prediction as `predictions` has it; nulls among the features are left out."""
    features = event.get("features", {})
    prediction = event.get("prediction")
    return {
        **{name: event.get(name) or "" for name in ("prediction_id", "model", "version")},
        **{name: event.get(name) or "" for name in ("request_id", "user_id", "trace_id", "span_id")},
        "timestamp_ms": time_ms,
        "latency_ms": event.get("latency_ms"),
        "status": event.get("status", "ok"),
        "error_type": event.get("error", {}).get("type", ""),
        "error_message": event.get("error", {}).get("message", ""),
        "prediction": "" if prediction is None else named(prediction),
        "prediction_value": prediction if isinstance(prediction, float) else None,
        "score": event.get("score"),
        "confidence": event.get("confidence"),
        "probabilities": event.get("probabilities", {}),
        "nums": {key: value for key, value in features.items() if isinstance(value, float)},
        "cats": {key: named(value) for key, value in features.items() if isinstance(value, str | bool)},
        "segment": {key: value for key, value in event.get("segment", {}).items() if value is not None},
        "role": event.get("role", "champion"),
        "context": event.get("context", {}) | {key: value for key, value in event.items() if key not in _KNOWN},
    }


def named(value: float | str | bool) -> str:
    """A class as text: true, 1.0 and "late" are "true", "1" and "late"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).removesuffix(".0")


def label(told: Row, time_ms: int, sources: Sequence[str]) -> Row:
    """A label as `labels` has it; `sources` are those the spec trusts."""
    value, source = told["label"], told.get("source", "")
    return {
        "prediction_id": told["prediction_id"],
        "model": told["model"],
        "label": named(value),
        "label_value": value if isinstance(value, float) else None,
        "timestamp_ms": time_ms,
        "weight": told.get("weight", 1.0),
        "source": source,
        "trust": 65_535 - sources.index(source) if source in sources else 0,
        "position": told.get("position"),
    }
