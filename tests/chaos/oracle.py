"""What the tables must hold, worked out from the published events one at a time: slow, plain, and without the pipeline.

A table is a dict from what names a row to its values. Events are the records that were published, not what a decoder
made of them; an offset is the place of a message in its partition. Sums are exact (see `traffic`), so they are compared
as they are.
"""

from __future__ import annotations

import bisect
import datetime as dt
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from driftline_schemas.spec import ModelSpec, Profile, Reference

from .traffic import Message, Traffic

Row = dict[str, Any]
Table = dict[tuple[Any, ...], Row]

GAMMA = 1.01 / 0.99


@dataclass(frozen=True, slots=True)
class Expected:
    """The tables by name, and what becomes of the labels."""

    tables: dict[str, Table]
    labels: dict[str, int]  # by fate, as the ledger counts them
    below_limit: set[tuple[str, str, str]]  # model, version and role whose accuracy breaks its limit


def expect(traffic: Traffic) -> Expected:
    """What must stand in ClickHouse when everything has been read."""
    specs = {spec.model: spec for spec in traffic.specs}
    references = {(reference.model, reference.version): reference for reference in traffic.references}
    predictions = _good(traffic, "predictions")
    labels = _good(traffic, "labels")
    joined = _join(predictions, labels, specs)
    performance = _performance(predictions, joined.outcomes, specs)
    return Expected(
        tables={
            "predictions": {place: _raw(message.record, message.time_ms) for place, message in predictions.items()},
            "windows": _windows(predictions, specs),
            "features": _features(predictions, specs, references),
            "labels": {place: _label(message.record, message.time_ms) for place, message in labels.items()},
            "outcomes": joined.outcomes,
            "performance": performance,
            "rejected": _rejected(traffic),
        },
        labels=joined.fates,
        below_limit=_below_limit(performance, specs),
    )


def _good(traffic: Traffic, topic: str) -> dict[tuple[int, int], Message]:
    return {
        (partition, offset): message
        for partition, messages in enumerate(traffic.partitions(topic))
        for offset, message in enumerate(messages)
        if message.reason is None
    }


def _rejected(traffic: Traffic) -> Table:
    return {
        (topic, partition, offset): {"reason": message.reason.value, "payload": _evidence(message.value)}
        for topic in ("predictions", "labels")
        for partition, messages in enumerate(traffic.partitions(topic))
        for offset, message in enumerate(messages)
        if message.reason is not None
    }


def _evidence(value: bytes | None) -> str:
    return (value or b"")[:4096].decode(errors="replace")


# --- raw rows

_KNOWN = {
    *("prediction_id", "model", "version", "timestamp", "latency_ms", "status", "error", "prediction", "score"),
    *("confidence", "probabilities", "features", "segment", "role", "request_id", "user_id", "trace_id", "span_id"),
    "context",
}


def _raw(event: Row, time_ms: int) -> Row:
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


# --- windows


def _windows(predictions: dict[tuple[int, int], Message], specs: dict[str, ModelSpec]) -> Table:
    cells: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for message in predictions.values():
        event = message.record
        spec = specs.get(event["model"], ModelSpec(model=event["model"]))
        slices = [("", "", spec.window_s)]
        for key in spec.segments:
            value = event.get("segment", {}).get(key)
            if value is not None:
                slices.append((key, value, max(spec.window_s, spec.feature_window_s)))
        for dim, value, width_s in slices:
            start_s = message.time_ms // 1000 // width_s * width_s
            cells[event["model"], event["version"], start_s, width_s, dim, value].append(event)
    return {key: _load(events, specs) for key, events in cells.items()}


def _load(events: list[Row], specs: dict[str, ModelSpec]) -> Row:
    latencies = _numbers(events, "latency_ms")
    scores, confidences = _numbers(events, "score"), _numbers(events, "confidence")
    spec = specs.get(events[0]["model"])
    regression = spec is not None and spec.kind == "regression"
    answers = [event["prediction"] for event in events if event.get("prediction") is not None]
    return {
        "n": len(events),
        "errors": sum(event.get("status") == "error" for event in events),
        "latency": dict(Counter(map(bucket, latencies))),
        "latency_n": len(latencies),
        "latency_sum": math.fsum(latencies),
        "latency_max": max(latencies, default=0.0),
        "score_n": len(scores),
        "score_sum": math.fsum(scores),
        "confidence_n": len(confidences),
        "confidence_sum": math.fsum(confidences),
        "classes": {} if regression else dict(Counter(map(named, answers))),
    }


def _numbers(events: list[Row], name: str) -> list[float]:
    return [event[name] for event in events if event.get(name) is not None]


def bucket(value: float) -> int:
    """The bucket of a DDSketch of 1 %: i holds (g**(i-1), g**i], -32768 the zeros."""
    return -32768 if value == 0 else math.ceil(math.log(value) / math.log(GAMMA))


# --- features


@dataclass
class _Signal:
    """Sums over one signal of one cell."""

    nulls: int = 0
    numbers: list[float] = field(default_factory=list)
    texts: int = 0
    bins: Counter[str] = field(default_factory=Counter)


def _features(
    predictions: dict[tuple[int, int], Message],
    specs: dict[str, ModelSpec],
    references: dict[tuple[str, str], Reference],
) -> Table:
    cells: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for message in predictions.values():
        event = message.record
        width_s = specs.get(event["model"], ModelSpec(model="")).feature_window_s
        start_s = message.time_ms // 1000 // width_s * width_s
        cells[event["model"], event["version"], start_s, width_s].append(event)
    out: Table = {}
    for key, events in cells.items():
        model, version = key[:2]
        reference = references.get((model, version))
        signals = _signals(events, specs.get(model, ModelSpec(model=model)), reference)
        out[*key, reference.id if reference is not None else ""] = _sums(len(events), signals)
    return out


def _signals(events: list[Row], spec: ModelSpec, reference: Reference | None) -> dict[str, _Signal]:
    profiles = reference.signals if reference is not None else {}
    out: dict[str, _Signal] = defaultdict(_Signal)
    for event in events:
        for name in ("score", "confidence"):
            _count(out[name], event.get(name), "numeric", profiles.get(name))
        kind = "numeric" if spec.kind == "regression" else "categorical"
        _count(out["prediction"], event.get("prediction"), kind, profiles.get("prediction"))
        features = event.get("features", {})
        if spec.features:
            names = expected = {name for name, feature in spec.features.items() if feature.monitor}
        else:
            expected = {name.removeprefix("feature:") for name in profiles if name.startswith("feature:")}
            names = expected | features.keys()
        for name in names:
            if name not in expected and name not in features:
                continue
            profile = profiles.get(f"feature:{name}")
            described = spec.features[name].type if name in spec.features else None
            kind = described or (profile.type if profile is not None else "as sent")
            _count(out[f"feature:{name}"], features.get(name), kind, profile)
    return dict(out)


def _count(signal: _Signal, value: Any, kind: str, profile: Profile | None) -> None:
    number = isinstance(value, float)
    if value is None or (kind == "numeric" and not number):
        signal.nulls += 1
    elif number and kind != "categorical":
        signal.numbers.append(value)
        if profile is not None and profile.type == "numeric" and kind == "numeric":
            signal.bins[str(bisect.bisect_right(profile.edges, value))] += 1
    else:
        signal.texts += 1
        signal.bins[named(value)] += 1


def _sums(n: int, signals: dict[str, _Signal]) -> Row:
    """As the table has them, without what is zero."""
    numeric = {name: signal.numbers for name, signal in signals.items() if signal.numbers}
    return {
        "n": n,
        "present": _nonzero({name: len(signal.numbers) + signal.texts for name, signal in signals.items()}),
        "nulls": _nonzero({name: signal.nulls for name, signal in signals.items()}),
        "sums": _nonzero({name: math.fsum(numbers) for name, numbers in numeric.items()}),
        "sum_squares": _nonzero({name: math.fsum(x * x for x in numbers) for name, numbers in numeric.items()}),
        "mins": {name: min(numbers) for name, numbers in numeric.items()},
        "maxs": {name: max(numbers) for name, numbers in numeric.items()},
        "bins": {
            f"{name}\x1f{label}": count for name, signal in signals.items() for label, count in signal.bins.items()
        },
    }


def _nonzero(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


# --- labels and what they are about


def _label(label: Row, time_ms: int) -> Row:
    value = label["label"]
    return {
        "prediction_id": label["prediction_id"],
        "model": label["model"],
        "label": named(value),
        "label_value": value if isinstance(value, float) else None,
        "timestamp_ms": time_ms,
        "weight": label.get("weight", 1.0),
        "source": label.get("source", ""),
    }


@dataclass(frozen=True, slots=True)
class _Joined:
    outcomes: Table
    fates: dict[str, int]


def _join(
    predictions: dict[tuple[int, int], Message], labels: dict[tuple[int, int], Message], specs: dict[str, ModelSpec]
) -> _Joined:
    served = {(message.record["model"], message.record["prediction_id"]): message for message in predictions.values()}
    fates: Counter[str] = Counter(stored=len(labels))
    latest: dict[tuple[str, str], Message] = {}
    for label in labels.values():
        key = label.record["model"], label.record["prediction_id"]
        horizon_ms = specs[key[0]].label_horizon_s * 1000
        prediction = served.get(key)
        if prediction is None or prediction.time_ms < label.time_ms - horizon_ms:
            fates["orphaned" if horizon_ms < 10_000 else "waiting"] += 1
        elif prediction.record.get("status") == "error":
            fates["unanswered"] += 1
        else:
            fates["joined"] += 1
            if key not in latest or label.time_ms >= latest[key].time_ms:
                latest[key] = label
    outcomes = {key: _outcome(served[key], label, specs[key[0]]) for key, label in latest.items()}
    return _Joined(outcomes, dict(fates))


def _outcome(prediction: Message, label: Message, spec: ModelSpec) -> Row:
    event, truth = prediction.record, label.record["label"]
    binary, regression = spec.kind == "binary", spec.kind == "regression"
    positive = {"true", "1"} if spec.positive == "true" else {spec.positive}
    raw = _raw(event, prediction.time_ms)
    return {
        **{name: raw[name] for name in ("version", "role", "timestamp_ms", "prediction", "score", "segment")},
        "request_id": raw["request_id"],
        "label_ms": label.time_ms,
        "label": named(truth),
        "prediction_value": event["prediction"] if regression else None,
        "label_value": truth if regression else None,
        "predicted_positive": int(named(event["prediction"]) in positive) if binary else None,
        "positive": int(named(truth) in positive) if binary else None,
        "weight": label.record.get("weight", 1.0),
    }


def _performance(predictions: dict[tuple[int, int], Message], outcomes: Table, specs: dict[str, ModelSpec]) -> Table:
    """Confusion counts and coverage by model, version, role and day; versions have one role each."""
    answered: Counter[tuple[str, str, dt.date]] = Counter()
    for message in predictions.values():
        if message.record.get("status") != "error":
            answered[message.record["model"], message.record["version"], _day(message.time_ms)] += 1
    out: Table = {}
    for (model, _), row in outcomes.items():
        day = _day(row["timestamp_ms"])
        cell = out.setdefault(
            (model, row["version"], row["role"], day),
            {"expected": answered[model, row["version"], day], "labelled": 0, "tp": 0, "fp": 0, "tn": 0, "fn": 0},
        )
        cell["labelled"] += 1
        if row["positive"] is None:
            cell |= {"tp": None, "fp": None, "tn": None, "fn": None}
            continue
        right = "t" if row["positive"] == row["predicted_positive"] else "f"
        cell[right + ("p" if row["predicted_positive"] else "n")] += 1
    return out


def _day(ms: int) -> dt.date:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).date()


def _below_limit(performance: Table, specs: dict[str, ModelSpec]) -> set[tuple[str, str, str]]:
    out = set()
    for (model, version, role, _), row in performance.items():
        limit = specs[model].performance.accuracy
        if limit is None:
            continue
        missing = row["expected"] - row["labelled"]
        best = (row["tp"] + row["tn"] + missing) / row["expected"]
        assert abs(best - limit) > 0.05, "the traffic is to be clearly on one side of the limit, whatever has come"
        if best < limit:
            out.add((model, version, role))
    return out
