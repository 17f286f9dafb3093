"""In which terms a prediction and its truth are compared."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline_schemas.records import AnyOutcome, ClassOutcome, Errors, RankingOutcome
from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.outcomes.outcome import Outcomes, outcomes
from driftline_streams.outcomes.published import PORTION, Told, errors, records
from driftline_streams.outcomes.served import Served, objects
from driftline_streams.outcomes.truth import Truth, Truths

from .conftest import NOW_MS

Terms = tuple[bool | None, bool | None, float | None, float | None]


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def pair(prediction: str, label: str, spec: ModelSpec, *, described: bool = True, **more: Any) -> Outcomes:
    """The outcome of one prediction of model m; `more` are fields of its label or its prediction."""
    truth: dict[str, Any] = {
        "model": "m",
        "prediction_id": "a",
        "label": label,
        "value": number(label),
        "timestamp_ms": 0,
        "weight": 1.0,
        "source": "",
        "trust": 0,
        "position": math.nan,
        "topic": "t",
        "partition": 0,
        "offset": 0,
        "ingested_ms": 0,
    }
    served: dict[str, Any] = {
        "version": "1",
        "role": "champion",
        "timestamp_ms": 0,
        "answered": True,
        "prediction": prediction,
        "prediction_value": number(prediction),
        "score": math.nan,
        "confidence": math.nan,
        "request_id": "",
        "segment": {},
        "probabilities": {},
    }
    truth |= {name: value for name, value in more.items() if name in truth}
    served |= {name: value for name, value in more.items() if name not in truth}
    catalog = Catalog()
    if described:
        catalog.update(spec)
    columns = {name: objects([value]) for name, value in served.items()}
    numeric = {name: column.astype(type(served[name])) for name, column in columns.items() if name in NUMBERS}
    return outcomes(Truths.of([Truth(**truth)]), Served(**(columns | numeric)), catalog)


NUMBERS = ("timestamp_ms", "answered", "prediction_value", "score", "confidence")


def joined(*parts: Outcomes) -> Outcomes:
    truths, served = Truths.joined([part.truths for part in parts]), Served.joined([part.served for part in parts])
    return Outcomes(truths, served, *(np.concatenate(columns) for columns in list(zip(*parts, strict=True))[2:]))


def made(prediction: str, label: str, spec: ModelSpec, *, described: bool = True, **more: Any) -> AnyOutcome:
    (record,) = records(pair(prediction, label, spec, described=described, **more))
    return DECODER.decode(msgspec.json.encode(record))


DECODER: msgspec.json.Decoder[AnyOutcome] = msgspec.json.Decoder(AnyOutcome)

BINARY = ModelSpec(model="m")
LATE = ModelSpec(model="m", positive="late")
CLASSES = ModelSpec(model="m", kind="multiclass")
PRICE = ModelSpec(model="m", kind="regression")


@pytest.mark.parametrize(
    ("spec", "described", "prediction", "label", "terms"),
    [
        (BINARY, True, "1", "true", (True, True, None, None)),
        (BINARY, True, "0", "true", (False, True, None, None)),
        (BINARY, True, "late", "on time", (None, None, None, None)),  # not "both negative, so right"
        (LATE, True, "late", "on time", (True, False, None, None)),
        (CLASSES, True, "1", "1", (None, None, None, None)),
        (PRICE, True, "1", "0", (None, None, 1.0, 0.0)),
        (PRICE, True, "n/a", "2", (None, None, None, 2.0)),
        (BINARY, False, "1", "false", (True, False, None, None)),
        (BINARY, False, "1.5", "2", (None, None, 1.5, 2.0)),
        (BINARY, False, "cat", "dog", (None, None, None, None)),
    ],
)
def test_terms_follow_the_kind_of_the_model(
    spec: ModelSpec, described: bool, prediction: str, label: str, terms: Terms
) -> None:
    got = made(prediction, label, spec, described=described)
    names = ("predicted_positive", "positive", "prediction_value", "label_value")
    assert tuple(getattr(got, name, None) for name in names) == terms


RANKED = ModelSpec(model="m", kind="ranking")


@pytest.mark.parametrize(
    ("label", "relevance"), [("true", 1.0), ("false", 0.0), ("1", 1.0), ("0", 0.0), ("2.5", 2.5), ("seen", None)]
)
def test_of_a_list_a_click_or_a_grade_counts_at_its_position(label: str, relevance: float | None) -> None:
    outcome = made("0.5", label, RANKED, position=3.0, request_id="list")
    assert isinstance(outcome, RankingOutcome)
    assert (outcome.relevance, outcome.position, outcome.request_id) == (relevance, 3, "list")
    undescribed = made("0.5", label, ModelSpec(model="m"), described=False, position=3.0)
    assert isinstance(undescribed, RankingOutcome)
    unplaced = made("0.5", label, RANKED)
    assert isinstance(unplaced, RankingOutcome)
    assert unplaced.position is None


@pytest.mark.parametrize(
    ("probabilities", "given"),
    [({"cat": 0.5, "dog": 0.25}, 0.25), ({"cat": 0.5, "cow": 0.125}, 0.375), ({"cat": 1.0}, 0.0), ({}, None)],
)
def test_what_the_true_class_was_given_is_at_most_what_others_left(
    probabilities: dict[str, float], given: float | None
) -> None:
    outcome = made("cat", "dog", CLASSES, probabilities=probabilities, confidence=0.5)
    assert isinstance(outcome, ClassOutcome)
    assert (outcome.label_probability, outcome.confidence) == (given, 0.5)


def test_outcomes_of_several_kinds_keep_their_order() -> None:
    parts = [
        pair("1", "0", BINARY, prediction_id="a"),
        pair("7", "8", PRICE, prediction_id="b"),
        pair("1", "2", RANKED, prediction_id="c"),
        pair("1", "1", CLASSES, prediction_id="d"),
        pair("1", "1", BINARY, prediction_id="e"),
    ]
    told = records(joined(*parts))
    assert [outcome.prediction_id for outcome in told] == list("abcde")
    assert [outcome.__struct_config__.tag for outcome in told] == [
        *("binary", "regression", "ranking", "multiclass", "binary")
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.integers(0, 3), st.integers(0, 70_000)),
        max_size=12,
        unique_by=lambda each: each[3],
    )
)
def test_by_column_and_one_by_one_the_same_labels_hold(told: list[tuple[str, int, int, int]]) -> None:
    labels = [
        Truth(
            model="m",
            prediction_id=prediction_id,
            label="",
            value=math.nan,
            timestamp_ms=NOW_MS + later_ms,
            weight=1.0,
            source="",
            trust=trusted * 32_768 - (trusted > 1),
            position=math.nan,
            topic="t",
            partition=place * 13,
            offset=place << 20,
            ingested_ms=0,
        )
        for prediction_id, trusted, later_ms, place in told
    ]
    truths = Truths.of(labels)
    high, low = truths.precedence()
    numbers = [int(upper) << 64 | int(lower) for upper, lower in zip(high, low, strict=True)]
    assert numbers == [each.precedence for each in labels]
    by_rule = sorted(labels, key=lambda each: (each.trust, each.timestamp_ms, each.partition, each.offset))
    holding = {each.prediction_id: each for each in by_rule}
    expected = [row for row, each in enumerate(labels) if holding[each.prediction_id] is each]
    assert truths.holding().tolist() == expected


def test_the_name_of_effects_is_that_of_their_content() -> None:
    first, second = pair("1", "0", BINARY), pair("1", "1", BINARY)
    (one,), (again,), (other,) = Told(first, "t"), Told(first, "t"), Told(second, "t")
    assert one.name == again.name != other.name


def test_many_outcomes_are_told_a_portion_at_a_time_and_each_once() -> None:
    one = pair("1", "0", BINARY)
    assert list(Told(one.take(np.empty(0, np.int64)), "t")) == []
    many = one.take(np.zeros(PORTION + 1, np.int64))
    assert [told.effects.rows[0].n for told in Told(many, "t")] == [PORTION, 1]


def test_the_errors_of_a_step_are_told_by_version_in_the_order_of_the_labels() -> None:
    known = [
        pair(prediction, label, BINARY, timestamp_ms=at_ms, prediction_id=str(at_ms), score=score)
        for prediction, label, at_ms, score in [
            ("true", "false", 30, 0.99),
            ("true", "true", 10, 0.99),
            ("false", "true", 20, 0.2),
            ("false", "true", 40, 0.01),
        ]
    ]
    other = pair("true", "false", BINARY, timestamp_ms=30, score=0.99, version="2")
    assert errors(joined(*known, other), "n") == [
        Errors(model="m", version="1", name="n", start_ms=10, end_ms=40, wrong="0111", confident=2),
        Errors(model="m", version="2", name="n", start_ms=30, end_ms=30, wrong="1", confident=1),
    ]
    (told,) = Told(joined(*known), "t")
    (message,) = [message for message in told.effects.messages if message.topic == "t.partials"]
    assert message.key == b"m"
    assert msgspec.json.decode(message.value or b"", type=Errors).name == told.name


def test_models_that_predict_numbers_have_no_errors_and_classes_are_compared_by_name() -> None:
    assert errors(pair("1.5", "2.5", PRICE), "n") == []
    (told,) = errors(pair("cat", "dog", CLASSES), "n")
    assert told.wrong == "1"
