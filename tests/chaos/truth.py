"""The join in plain Python: what becomes of each label, the outcomes, and how good the models were."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from driftline_schemas.spec import ModelSpec

from .message import Message
from .models import DAY_MS
from .rows import Row, Table, named, raw


@dataclass(frozen=True, slots=True)
class Joined:
    outcomes: Table
    fates: dict[str, int]


def join(
    predictions: Collection[Message], labels: dict[tuple[int, int], Message], specs: dict[str, ModelSpec]
) -> Joined:
    """`labels` are by partition and offset."""
    served = {(message.record["model"], message.record["prediction_id"]): message for message in predictions}
    fates: Counter[str] = Counter(stored=len(labels))
    held: dict[tuple[str, str], tuple[int, Message]] = {}  # by prediction: the precedence of its label, and the label
    for (partition, offset), label in labels.items():
        key = label.record["model"], label.record["prediction_id"]
        horizon_ms = specs[key[0]].label_horizon_s * 1000
        prediction = served.get(key)
        if prediction is None or not label.time_ms - horizon_ms <= prediction.time_ms <= label.time_ms + DAY_MS:
            fates["orphaned" if horizon_ms < 10_000 else "waiting"] += 1
        elif prediction.record.get("status") == "error":
            fates["unanswered"] += 1
        else:
            fates["joined"] += 1
            sources, source = specs[key[0]].label_sources, label.record.get("source", "")
            trust = 65_535 - sources.index(source) if source in sources else 0
            precedence = trust << 112 | label.time_ms << 68 | partition << 48 | offset
            held[key] = max(held.get(key, (-1, label)), (precedence, label), key=lambda each: each[0])
    outcomes = {
        key: _outcome(served[key], label, specs[key[0]]) | {"precedence": precedence}
        for key, (precedence, label) in held.items()
    }
    return Joined(outcomes, dict(fates))


def _outcome(prediction: Message, label: Message, spec: ModelSpec) -> Row:
    event, truth = prediction.record, label.record["label"]
    binary, regression, ranking = (spec.kind == kind for kind in ("binary", "regression", "ranking"))
    given = event.get("probabilities")
    left = 1 - sum(given.values()) if given else None
    positive = {"true", "1"} if spec.positive == "true" else {spec.positive}
    row = raw(event, prediction.time_ms)
    return {
        **{name: row[name] for name in ("version", "role", "timestamp_ms", "prediction", "score", "confidence")},
        **{name: row[name] for name in ("segment", "request_id")},
        "kind": spec.kind,
        "label_ms": label.time_ms,
        "label": named(truth),
        "prediction_value": event["prediction"] if regression else None,
        "label_value": truth if regression else float(truth) if ranking else None,
        "predicted_positive": int(named(event["prediction"]) in positive) if binary else None,
        "positive": int(named(truth) in positive) if binary else None,
        "label_probability": given.get(named(truth), left) if spec.kind == "multiclass" and given else None,
        "position": label.record.get("position") if ranking else None,
        "weight": label.record.get("weight", 1.0),
        "source": label.record.get("source", ""),
    }


def performance(predictions: Collection[Message], outcomes: Table) -> Table:
    """Weights of the confusion, and coverage, by model, version, role and day; versions have one role each."""
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
        cell[right + ("p" if row["predicted_positive"] else "n")] += row["weight"]
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
        known = sum(row[name] for name in ("tp", "fp", "tn", "fn"))
        best = (row["tp"] + row["tn"] + missing) / (known + missing)
        clear = best > limit + 0.05 or best < limit - 0.2
        assert clear, "the traffic is to be clearly on one side of the limit, whatever has come"
        if best < limit:
            out.add((model, version, role))
    return out
