"""The join in plain Python: what becomes of each label, the outcomes, and how good the models were."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from driftline_schemas.spec import ModelSpec

from .message import Message
from .rows import Row, Table, named, raw


@dataclass(frozen=True, slots=True)
class Joined:
    outcomes: Table
    fates: dict[str, int]


def join(predictions: Collection[Message], labels: Collection[Message], specs: dict[str, ModelSpec]) -> Joined:
    served = {(message.record["model"], message.record["prediction_id"]): message for message in predictions}
    fates: Counter[str] = Counter(stored=len(labels))
    latest: dict[tuple[str, str], Message] = {}
    for label in labels:
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
    return Joined(outcomes, dict(fates))


def _outcome(prediction: Message, label: Message, spec: ModelSpec) -> Row:
    event, truth = prediction.record, label.record["label"]
    binary, regression = spec.kind == "binary", spec.kind == "regression"
    positive = {"true", "1"} if spec.positive == "true" else {spec.positive}
    row = raw(event, prediction.time_ms)
    return {
        **{name: row[name] for name in ("version", "role", "timestamp_ms", "prediction", "score", "segment")},
        "request_id": row["request_id"],
        "label_ms": label.time_ms,
        "label": named(truth),
        "prediction_value": event["prediction"] if regression else None,
        "label_value": truth if regression else None,
        "predicted_positive": int(named(event["prediction"]) in positive) if binary else None,
        "positive": int(named(truth) in positive) if binary else None,
        "weight": label.record.get("weight", 1.0),
    }


def performance(predictions: Collection[Message], outcomes: Table) -> Table:
    """Confusion counts and coverage by model, version, role and day; versions have one role each."""
    answered: Counter[tuple[str, str, dt.date]] = Counter()
    for message in predictions:
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


def below_limit(judged: Table, specs: dict[str, ModelSpec]) -> set[tuple[str, str, str]]:
    """Whose accuracy is below the limit whatever is missing, and so far that it is sure although the day goes on."""
    out = set()
    for (model, version, role, _), row in judged.items():
        limit = specs[model].performance.accuracy
        if limit is None:
            continue
        missing = row["expected"] - row["labelled"]
        best = (row["tp"] + row["tn"] + missing) / row["expected"]
        clear = best > limit + 0.05 or best < limit - 0.2
        assert clear, "the traffic is to be clearly on one side of the limit, whatever has come"
        if best < limit:
            out.add((model, version, role))
    return out
