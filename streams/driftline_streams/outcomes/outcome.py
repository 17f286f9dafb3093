"""A prediction and its truth become an outcome, in the terms of the model's kind.

In the walk: the last step of `join`; its messages feed `detect`, its rows every number of `003_performance.sql`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import msgspec
import numpy as np

from driftline_schemas import topics
from driftline_schemas.records import Errors, Outcome
from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.catalog import is_positive
from driftline_streams.kernel.effects import Coded, Effects, MapColumn, Message, Rows
from driftline_streams.outcomes.truth import Served, Truth

CERTAIN = 0.95

_BOOLEAN = frozenset({"true", "false", "1", "0"})


def outcome(truth: Truth, served: Served, spec: ModelSpec, *, described: bool) -> Outcome:
    """What came of an answered prediction.

    Binary models get `predicted_positive` and `positive`, regression models the two values, multiclass models neither:
    theirs is right when the classes are equal. Of a model that nobody described (`described` false) each pair is taken
    for what it looks like: true, false, 1 and 0 for binary, other numbers for regression, the rest for classes.

    A binary model whose positive class is `true` but that speaks of other classes is compared by class as well: calling
    all of them negative would make it right every time.
    """
    numeric = not (math.isnan(truth.value) or math.isnan(served.prediction_value))
    boolean = truth.label in _BOOLEAN and served.prediction in _BOOLEAN
    if described:
        binary = spec.kind == "binary" and (boolean or spec.positive not in _BOOLEAN)
        regression = spec.kind == "regression"
    else:
        binary = boolean
        regression = numeric and not boolean
    return Outcome(
        prediction_id=truth.prediction_id,
        model=truth.model,
        version=served.version,
        role=served.role,
        timestamp_ms=served.timestamp_ms,
        label_ms=truth.timestamp_ms,
        prediction=served.prediction,
        label=truth.label,
        prediction_value=_number(served.prediction_value) if regression else None,
        label_value=_number(truth.value) if regression else None,
        predicted_positive=is_positive(served.prediction, spec.positive) if binary else None,
        positive=is_positive(truth.label, spec.positive) if binary else None,
        score=_number(served.score),
        weight=truth.weight,
        request_id=served.request_id,
        segment=served.segment,
    )


def latest(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Of several outcomes of one prediction the one whose label is latest, the later in the sequence when they tie."""
    kept: dict[tuple[str, str], Outcome] = {}
    for each in outcomes:
        key = (each.model, each.prediction_id)
        known = kept.get(key)
        if known is None or each.label_ms >= known.label_ms:
            kept[key] = each
    return list(kept.values())


def named_effects(outcomes: Sequence[Outcome], prefix: str) -> tuple[str, Effects]:
    """A name derived from the content, so that repeating these effects under it is harmless, and the effects.

    Nothing, with an empty name, when there are no outcomes.
    """
    if not outcomes:
        return "", Effects()
    topic = topics.OUTCOMES.full_name(prefix)
    encode = msgspec.json.Encoder().encode
    values = [encode(each) for each in outcomes]
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        digest.update(value)
    keys = {model: model.encode() for model in {each.model for each in outcomes}}
    name = f"outcomes:{digest.hexdigest()}"
    messages = [Message(topic, value, keys[each.model]) for each, value in zip(outcomes, values, strict=True)]
    partials = topics.PARTIALS.full_name(prefix)
    messages += [Message(partials, encode(each), keys[each.model]) for each in errors(outcomes, name)]
    return name, Effects((_rows(outcomes),), messages)


def errors(outcomes: Sequence[Outcome], name: str) -> list[Errors]:
    """Which of these outcomes are wrong, by model and version; nothing of models that predict numbers.

    Champions, challengers and shadows are versions of their own. A label that corrects one joined earlier counts once
    more: whether it does is not known here.
    """
    by_version: dict[tuple[str, str], list[Outcome]] = {}
    for each in sorted(outcomes, key=lambda each: (each.label_ms, each.prediction_id)):
        if each.label_value is None:
            by_version.setdefault((each.model, each.version), []).append(each)
    return [
        Errors(
            model=model,
            version=version,
            name=name,
            start_ms=mine[0].label_ms,
            end_ms=mine[-1].label_ms,
            wrong="".join("1" if _wrong(each) else "0" for each in mine),
            confident=sum(_wrong(each) and _certain(each) for each in mine),
        )
        for (model, version), mine in by_version.items()
    ]


def _wrong(outcome: Outcome) -> bool:
    if outcome.positive is None:
        return outcome.prediction != outcome.label
    return outcome.predicted_positive != outcome.positive


def _certain(outcome: Outcome) -> bool:
    """Whether the score gave the predicted class at least 95 %."""
    if outcome.score is None:
        return False
    return (outcome.score if outcome.predicted_positive is not False else 1 - outcome.score) >= CERTAIN


def _rows(outcomes: Sequence[Outcome]) -> Rows:
    ends = np.cumsum([len(each.segment) for each in outcomes], dtype=np.uint64)
    segment = MapColumn(
        ends,
        [key for each in outcomes for key in each.segment],
        [value for each in outcomes for value in each.segment.values()],
    )
    return Rows(
        "outcomes",
        len(outcomes),
        {
            "prediction_id": [each.prediction_id for each in outcomes],
            "model": _coded([each.model for each in outcomes]),
            "version": _coded([each.version for each in outcomes]),
            "role": _coded([each.role for each in outcomes]),
            "timestamp": np.array([each.timestamp_ms for each in outcomes], np.int64),
            "label_timestamp": np.array([each.label_ms for each in outcomes], np.int64),
            "prediction": [each.prediction for each in outcomes],
            "label": [each.label for each in outcomes],
            # `None` becomes NaN, which is NULL.
            "prediction_value": np.array([each.prediction_value for each in outcomes], np.float64),
            "label_value": np.array([each.label_value for each in outcomes], np.float64),
            "predicted_positive": np.array([each.predicted_positive for each in outcomes], np.float64),
            "positive": np.array([each.positive for each in outcomes], np.float64),
            "score": np.array([each.score for each in outcomes], np.float64),
            "weight": np.array([each.weight for each in outcomes], np.float64),
            "request_id": [each.request_id for each in outcomes],
            "segment": segment,
        },
    )


def _coded(values: Sequence[str]) -> Coded:
    index: dict[str, int] = {}
    codes = [index.setdefault(value, len(index)) for value in values]
    return Coded(tuple(index), np.array(codes, np.uint32))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
