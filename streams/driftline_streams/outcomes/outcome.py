"""A prediction and its truth become an outcome, in the terms of the model's kind.

In the walk: the last step of `join`; its messages feed `detect`, its rows every number of `003_performance.sql`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from driftline_schemas import topics
from driftline_schemas.records import (
    AnyOutcome,
    BinaryOutcome,
    ClassOutcome,
    Errors,
    NumberOutcome,
    RankingOutcome,
)
from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.catalog import is_positive
from driftline_streams.kernel.effects import Coded, Effects, MapColumn, Message, Rows, WideInts
from driftline_streams.outcomes.truth import Served, Truth

CERTAIN = 0.95

_OF_SOME_KINDS = (
    *("score", "confidence", "prediction_value", "predicted_positive", "positive"),
    *("label_probability", "position"),
)

_BOOLEAN = frozenset({"true", "false", "1", "0"})


def outcome(truth: Truth, served: Served, spec: ModelSpec, *, described: bool) -> AnyOutcome:
    """What came of an answered prediction, in the terms of the model's kind.

    Of a model that nobody described (`described` false) each pair is taken for what it looks like: true, false, 1 and 0
    for binary, a label with a position for a ranking, other numbers for regression, the rest for classes.

    A binary model whose positive class is `true` but that speaks of other classes is compared by class as well: calling
    all of them negative would make it right every time.
    """
    common: dict[str, Any] = {
        "prediction_id": truth.prediction_id,
        "model": truth.model,
        "version": served.version,
        "role": served.role,
        "timestamp_ms": served.timestamp_ms,
        "label_ms": truth.timestamp_ms,
        "prediction": served.prediction,
        "label": truth.label,
        "score": _number(served.score),
        "confidence": _number(served.confidence),
        "weight": truth.weight,
        "source": truth.source,
        "precedence": f"{truth.precedence:032x}",
        "request_id": served.request_id,
        "segment": served.segment,
    }
    match _kind(truth, served, spec, described=described):
        case "binary":
            return BinaryOutcome(
                predicted_positive=is_positive(served.prediction, spec.positive),
                positive=is_positive(truth.label, spec.positive),
                **common,
            )
        case "regression":
            return NumberOutcome(
                prediction_value=_number(served.prediction_value), label_value=_number(truth.value), **common
            )
        case "ranking":
            relevance = truth.value if truth.label not in _BOOLEAN else float(is_positive(truth.label, "true"))
            return RankingOutcome(relevance=relevance, position=truth.position, **common)
        case _:
            return ClassOutcome(label_probability=_given(served.probabilities, truth.label), **common)


def _given(probabilities: Mapping[str, float], label: str) -> float | None:
    """What the model gave a class: one that it does not name can have no more than the others left."""
    if not probabilities:
        return None
    named = probabilities.get(label)
    return max(0.0, 1.0 - math.fsum(probabilities.values())) if named is None else named


def _kind(truth: Truth, served: Served, spec: ModelSpec, *, described: bool) -> str:
    numeric = not (math.isnan(truth.value) or math.isnan(served.prediction_value))
    boolean = truth.label in _BOOLEAN and served.prediction in _BOOLEAN
    if described:
        by_class = spec.kind == "binary" and not (boolean or spec.positive not in _BOOLEAN)
        return "multiclass" if by_class else spec.kind
    if truth.position is not None:
        return "ranking"
    return "binary" if boolean else "regression" if numeric else "multiclass"


def latest(outcomes: Sequence[AnyOutcome]) -> list[AnyOutcome]:
    """Of several outcomes of one prediction the one whose label holds."""
    kept: dict[tuple[str, str], AnyOutcome] = {}
    for each in outcomes:
        key = (each.model, each.prediction_id)
        known = kept.get(key)
        if known is None or each.precedence >= known.precedence:
            kept[key] = each
    return list(kept.values())


def named_effects(outcomes: Sequence[AnyOutcome], prefix: str) -> tuple[str, Effects]:
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


def errors(outcomes: Sequence[AnyOutcome], name: str) -> list[Errors]:
    """Which of these outcomes are wrong, by model and version; nothing of models that predict numbers.

    Champions, challengers and shadows are versions of their own. A label that corrects one joined earlier counts once
    more: whether it does is not known here.
    """
    by_version: dict[tuple[str, str], list[AnyOutcome]] = {}
    for each in sorted(outcomes, key=lambda each: (each.label_ms, each.prediction_id)):
        if isinstance(each, BinaryOutcome | ClassOutcome):
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


def _wrong(outcome: AnyOutcome) -> bool:
    if isinstance(outcome, BinaryOutcome):
        return outcome.predicted_positive != outcome.positive
    return outcome.prediction != outcome.label


def _certain(outcome: AnyOutcome) -> bool:
    """Whether the score gave the predicted class at least 95 %."""
    if outcome.score is None:
        return False
    negative = isinstance(outcome, BinaryOutcome) and not outcome.predicted_positive
    return (1 - outcome.score if negative else outcome.score) >= CERTAIN


def _rows(outcomes: Sequence[AnyOutcome]) -> Rows:
    ends = np.cumsum([len(each.segment) for each in outcomes], dtype=np.uint64)
    segment = MapColumn(
        ends,
        [key for each in outcomes for key in each.segment],
        [value for each in outcomes for value in each.segment.values()],
    )
    labels = [each.relevance if isinstance(each, RankingOutcome) else _of(each, "label_value") for each in outcomes]
    return Rows(
        "outcomes",
        len(outcomes),
        {
            "prediction_id": [each.prediction_id for each in outcomes],
            "model": _coded([each.model for each in outcomes]),
            "version": _coded([each.version for each in outcomes]),
            "role": _coded([each.role for each in outcomes]),
            "kind": _coded([str(each.__struct_config__.tag) for each in outcomes]),
            "timestamp": np.array([each.timestamp_ms for each in outcomes], np.int64),
            "label_timestamp": np.array([each.label_ms for each in outcomes], np.int64),
            "prediction": [each.prediction for each in outcomes],
            "label": [each.label for each in outcomes],
            # `None` becomes NaN, which is NULL.
            "label_value": np.array(labels, np.float64),
            **{name: np.array([_of(each, name) for each in outcomes], np.float64) for name in _OF_SOME_KINDS},
            "weight": np.array([each.weight for each in outcomes], np.float64),
            "source": _coded([each.source for each in outcomes]),
            "request_id": [each.request_id for each in outcomes],
            "segment": segment,
            "precedence": WideInts([int(each.precedence, 16) for each in outcomes]),
        },
    )


def _of(outcome: AnyOutcome, name: str) -> float | None:
    """A number that only outcomes of some kinds have."""
    found: float | None = getattr(outcome, name, None)
    return found


def _coded(values: Sequence[str]) -> Coded:
    index: dict[str, int] = {}
    codes = [index.setdefault(value, len(index)) for value in values]
    return Coded(tuple(index), np.array(codes, np.uint32))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
