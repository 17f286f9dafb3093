"""In which terms a prediction and its truth are compared."""

from __future__ import annotations

import math

import msgspec
import pytest

from driftline_schemas.records import AnyOutcome, Errors
from driftline_schemas.spec import ModelSpec
from driftline_streams.outcomes.outcome import errors, latest, named_effects, outcome
from driftline_streams.outcomes.truth import Served, Truth

Terms = tuple[bool | None, bool | None, float | None, float | None]


def made(
    prediction: str, label: str, spec: ModelSpec, *, described: bool = True, at_ms: int = 0, offset: int = 0
) -> AnyOutcome:
    def number(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            return math.nan

    truth = Truth(
        model="m",
        prediction_id="a",
        label=label,
        value=number(label),
        timestamp_ms=at_ms,
        weight=1,
        source="",
        trust=0,
        position=None,
        topic="t",
        partition=0,
        offset=offset,
        ingested_ms=0,
    )
    served = Served(
        version="1",
        role="champion",
        timestamp_ms=0,
        answered=True,
        prediction=prediction,
        prediction_value=number(prediction),
        score=math.nan,
        confidence=math.nan,
        request_id="",
        segment={},
        probabilities={},
    )
    return outcome(truth, served, spec, described=described)


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


def test_the_latest_label_stands_and_the_later_message_when_they_tie() -> None:
    first, second, tied = (
        made("1", label, BINARY, at_ms=at, offset=offset)
        for offset, (label, at) in enumerate((("0", 5), ("1", 4), ("2", 5)))
    )
    assert latest([first, second]) == [first]
    assert latest([first, tied]) == latest([tied, first]) == [tied]


def test_the_name_of_effects_is_that_of_their_content() -> None:
    first, second = made("1", "0", BINARY), made("1", "1", BINARY)
    assert named_effects([first], "t")[0] == named_effects([first], "t")[0]
    assert named_effects([first], "t")[0] != named_effects([second], "t")[0]
    assert named_effects([], "t")[0] == ""


def test_the_errors_of_a_step_are_told_by_version_in_the_order_of_the_labels() -> None:
    spec = ModelSpec(model="m")
    known = [
        msgspec.structs.replace(made(prediction, label, spec, at_ms=at_ms), prediction_id=str(at_ms), score=score)
        for prediction, label, at_ms, score in [
            ("true", "false", 30, 0.99),
            ("true", "true", 10, 0.99),
            ("false", "true", 20, 0.2),
            ("false", "true", 40, 0.01),
        ]
    ]
    other = msgspec.structs.replace(known[0], version="2")
    assert errors([*known, other], "n") == [
        Errors(model="m", version="1", name="n", start_ms=10, end_ms=40, wrong="0111", confident=2),
        Errors(model="m", version="2", name="n", start_ms=30, end_ms=30, wrong="1", confident=1),
    ]
    name, effects = named_effects(known, "t")
    (message,) = [message for message in effects.messages if message.topic == "t.partials"]
    assert message.key == b"m"
    assert msgspec.json.decode(message.value or b"", type=Errors).name == name


def test_models_that_predict_numbers_have_no_errors_and_classes_are_compared_by_name() -> None:
    assert errors([made("1.5", "2.5", ModelSpec(model="m", kind="regression"))], "n") == []
    (told,) = errors([made("cat", "dog", ModelSpec(model="m", kind="multiclass"))], "n")
    assert told.wrong == "1"
