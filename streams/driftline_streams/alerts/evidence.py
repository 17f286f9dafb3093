"""The SQL that returns the rows behind an alert.

In the walk: `notify` puts it into every alert, so that a person gets from the message to the events in one step. It
reads the contract's tables in the database that the client is connected to, bounded by model and time.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import msgspec

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.kernel.limits import DAY_MS, OTHER_SEGMENT
from driftline_streams.kernel.signals import FEATURE

MOST_ROWS = 1_000
_RIGHT = "if(kind = 'binary', ifNull(predicted_positive = positive, 0), prediction = label)"
IMPROPER = 1e-3  # how far from 1 the sum of probabilities may be, as `ingest` counts it


class Rows(NamedTuple):
    """Which events are the evidence, and what is shown of each."""

    columns: str
    where: str = ""
    order: str = "timestamp"
    table: str = "predictions"
    time: str = "timestamp"  # the column that lies in the window


def query(found: Detection, spec: ModelSpec, reference: Reference | None) -> str:
    """A SELECT that lists at most 1,000 events of the finding, from `outcomes` where labels are concerned.

    Of a model that is silent, the last events before.
    """
    if found.method in _SILENT:
        found = msgspec.structs.replace(found, start_ms=found.start_ms - DAY_MS, end_ms=found.start_ms)
    rows = _of_outcomes(found) or _unseen(found, reference) or _rows(found, _kind(found, spec, reference), spec)
    return (
        f"SELECT prediction_id, timestamp, {rows.columns}\n"
        f"FROM {rows.table}\n"
        f"WHERE {_bounds(found, rows.time)}\n"
        + (f"  AND {rows.where}\n" if rows.where else "")
        + f"ORDER BY {rows.order}\n"
        f"LIMIT {MOST_ROWS}"
    )


def _rows(found: Detection, kind: str | None, spec: ModelSpec) -> Rows:
    """The rows behind a finding; `kind` is its feature's, where that is known."""
    name, feature = quoted(found.signal.removeprefix(FEATURE)), found.signal.startswith(FEATURE)
    match found.kind, found.method, found.signal:
        case "quality", _, _ if found.method in _OF_QUALITY:
            rows = _OF_QUALITY[found.method](found)
        case "quality", "type" | "mistyped", _ if kind is not None and feature:
            sent = "cats" if kind == "numeric" else "nums"  # raw events keep a value as it was sent
            rows = Rows(f"{sent}[{name}] AS value", f"mapContains({sent}, {name})")
        case "quality", "outside", _ if feature:
            rows = Rows(f"nums[{name}] AS value, score", _outside(found, spec, name))
        case _, "vanished" | "nulls", _ if feature:
            # In `nums`, NaN is a null; in `cats`, nulls are absent.
            there = f"(mapContains(nums, {name}) AND NOT isNaN(nums[{name}])) OR mapContains(cats, {name})"
            rows = Rows("nums, cats", f"NOT ({there})")
        case _, _, signal if signal in _OF_SIGNAL:
            rows = _OF_SIGNAL[signal]
        case "objective", _, "latency_ms":
            rows = Rows("latency_ms, status", f"latency_ms > {found.threshold!r}", "latency_ms DESC")
        case _, method, "latency_ms" | "score" | "confidence" | "prediction":
            empty = f"ifNull(toString({found.signal}), '') = ''"
            rows = Rows(found.signal, empty if method == "nulls" else f"{found.signal} IS NOT NULL")
        case _ if feature:
            column, there = _feature(name, kind)
            rows = Rows(f"{column} AS value, score", there)
        case _:  # about all events
            rows = Rows("nums, cats")
    return rows


def _unseen(found: Detection, reference: Reference | None) -> Rows | None:
    """The events with values that the reference does not have; `None` when that is not what was found."""
    profile = None if reference is None else reference.signals.get(found.signal)
    if found.kind != "drift" or found.method != "unseen" or profile is None:
        return None
    feature = found.signal.startswith(FEATURE)
    value, there = _feature(quoted(found.signal.removeprefix(FEATURE)), None) if feature else ("prediction", "")
    known = ", ".join(map(quoted, profile.categories))
    new = f"{value} NOT IN ({known})" if known else ""
    return Rows(f"{value} AS value, score", " AND ".join(filter(None, (there, new))))


def _of_outcomes(found: Detection) -> Rows | None:
    """The outcomes behind what was found of them; `None` when that is not what was found."""
    match found.kind, found.signal:
        case "comparison", _:
            return _disagreement(found)
        case "performance", "mae" | "rmse" | "mape" | "r2":
            worst = "abs(prediction_value - label_value) DESC"
            return Rows("prediction, label", "prediction_value != label_value", worst, table="outcomes FINAL")
        case "performance", "ndcg":
            return Rows("request_id, position, score, label", table="outcomes FINAL")
        case "performance", _:
            return Rows("prediction, label, score", f"NOT ({_RIGHT})", table="outcomes FINAL")
        case "fairness", _:
            return Rows("prediction, label, score", table="outcomes FINAL")
        case _:
            return None


def _disagreement(found: Detection) -> Rows:
    """Of two versions the requests on which only one was right; of numbers all, the largest errors first."""
    of = (
        f"FROM outcomes FINAL WHERE model = {quoted(found.model)} AND version = {quoted(found.reference)}"
        " AND role = 'champion' AND request_id != ''"
    )
    if found.signal == "mae":
        worst = "abs(prediction_value - label_value) DESC"
        where = f"request_id IN (SELECT request_id {of})"
        return Rows("request_id, prediction, label", where, worst, table="outcomes FINAL")
    where = f"(request_id, NOT ({_RIGHT})) IN (SELECT request_id, {_RIGHT} {of})"
    return Rows("request_id, prediction, label, score", where, table="outcomes FINAL")


def _duplicate(found: Detection) -> Rows:
    again = f"SELECT prediction_id FROM predictions WHERE {_bounds(found)} GROUP BY prediction_id HAVING count() > 1"
    return Rows("topic, partition, offset, position", f"prediction_id IN ({again})", "prediction_id, offset, position")


def _improper(_: Detection) -> Rows:
    wrong = f"notEmpty(probabilities) AND abs(arraySum(mapValues(probabilities)) - 1) > {IMPROPER!r}"
    return Rows("prediction, probabilities", wrong)


def _confident(_: Detection) -> Rows:
    sure = "ifNull(score <= 0.05 OR score >= 0.95, 1)"  # classes without a score may have had a confidence
    where = f"prediction != label AND {sure}"
    return Rows("prediction, label, score", where, table="outcomes FINAL", time="label_timestamp")


def _unlabelled(found: Detection) -> Rows:
    there = f"SELECT prediction_id FROM outcomes WHERE model = {quoted(found.model)}"
    return Rows("prediction, score", f"status = 'ok' AND prediction_id NOT IN ({there})")


def _last(_: Detection) -> Rows:
    return Rows("latency_ms, status", order="timestamp DESC")


_OF_SIGNAL = {
    "error_rate": Rows("error_type, error_message", "status = 'error'"),
    "label": Rows("prediction, label", table="outcomes FINAL"),
    "relation": Rows("prediction, label, score", table="outcomes FINAL"),
    "error": Rows("prediction, label, score", "prediction != label", table="outcomes FINAL", time="label_timestamp"),
}
_SILENT = frozenset({"silent", "idle"})
_OF_QUALITY = {
    "duplicate": _duplicate,
    "improper": _improper,
    "confident": _confident,
    "labels_stopped": _unlabelled,
    **dict.fromkeys(_SILENT, _last),
}


def _outside(found: Detection, spec: ModelSpec, name: str) -> str:
    """The condition that a number is beyond the given limits, else beyond the learned one of the finding."""
    feature = spec.features.get(found.signal.removeprefix(FEATURE))
    low, high = (None, None) if feature is None else (feature.min, feature.max)
    if low is None and high is None:
        low, high = (found.threshold, None) if found.direction == "down" else (None, found.threshold)
    ends = [f"nums[{name}] {sign} {end!r}" for sign, end in (("<", low), (">", high)) if end is not None]
    return f"mapContains(nums, {name}) AND ({' OR '.join(ends)})"


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


def _bounds(found: Detection, time: str = "timestamp") -> str:
    """The conditions of model, version, time, role and segment."""
    conditions = [
        f"model = {quoted(found.model)}",
        f"version = {quoted(found.version)}",
        f"{time} >= {_instant(found.start_ms)}",
        f"{time} < {_instant(found.end_ms)}",
    ]
    if found.role:
        conditions.append(f"role = {quoted(found.role)}")
    if found.dim:
        dim = quoted(found.dim)
        # Which values "other" stands for is not on record; that an event has one is.
        rest = found.value == OTHER_SEGMENT
        conditions.append(f"mapContains(segment, {dim})" if rest else f"segment[{dim}] = {quoted(found.value)}")
    return "\n  AND ".join(conditions)


def _instant(ms: int) -> str:
    moment = dt.datetime.fromtimestamp(ms / 1000, dt.UTC)
    return f"toDateTime64('{moment:%Y-%m-%d %H:%M:%S}.{ms % 1000:03d}', 3, 'UTC')"


def _kind(found: Detection, spec: ModelSpec, reference: Reference | None) -> str | None:
    profile = None if reference is None else reference.signals.get(found.signal)
    if profile is not None:
        return profile.type
    feature = spec.features.get(found.signal.removeprefix(FEATURE))
    if feature is not None and feature.type is not None:
        return feature.type
    return "numeric" if found.before is not None else None
