"""What callers pass: what is meant is sent, what cannot be is dropped here, and nothing sent is refused later."""

from __future__ import annotations

import datetime as dt
import enum
import math
import types
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline import DropReason, EventDropped, encoding
from driftline_schemas.records import MAX_EVENT_BYTES, Label, Prediction
from driftline_streams.ingest.decode import admit, decode
from driftline_streams.kernel import limits

NOW_MS = 1_790_000_000_000


class Carrier(enum.Enum):
    UNITED = "UA"


def sent(**fields: Any) -> tuple[Prediction, int]:
    """The event as the pipeline would read it, and the number of nulled values."""
    given = {"prediction_id": "p", "model": "m", "version": "v", "timestamp": NOW_MS, "prediction": 1, **fields}
    payload, nulled = encoding.encode_prediction(Prediction(**given), NOW_MS)
    return msgspec.json.decode(payload, type=Prediction), nulled


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.longdouble(2), 2.0),
        (np.int64(-3), -3.0),
        (np.uint8(3), 3.0),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array([7]), 7.0),
        (np.array(7.5), 7.5),
        (np.datetime64("2026-01-01T00:00:00"), "2026-01-01T00:00:00"),
        (Decimal("1.50"), 1.5),
        (Carrier.UNITED, "UA"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), "2026-01-02T03:00:00Z"),
        (pd.Timestamp("2026-01-02"), "2026-01-02T00:00:00"),
        (2**70, float(2**70)),
        ("ä\x00\n", "ä\x00\n"),
        (True, True),
        (None, None),
    ],
)
def test_a_feature_of_a_related_type_becomes_what_was_meant(value: Any, arrives: Any) -> None:
    event, nulled = sent(features={"f": value})
    assert event.features == {"f": arrives}
    assert type(event.features["f"]) is type(arrives)
    assert nulled == 0


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        np.float64("nan"),
        np.float32("inf"),
        np.longdouble("nan"),
        Decimal("NaN"),
        Decimal("-Infinity"),
        pd.NA,
        pd.NaT,
    ],
)
def test_what_is_no_number_becomes_null_and_is_counted(value: Any) -> None:
    event, nulled = sent(features={"gone": value, "none": None, "x": 1.0}, confidence=math.nan)
    assert event.features == {"gone": None, "none": None, "x": 1.0}
    assert event.confidence is None
    assert nulled == 2


@pytest.mark.parametrize(
    "features",
    [types.MappingProxyType({"a": 1.0}), pd.Series({"a": 1.0}), pd.Series({"a": Decimal(1)}), {np.str_("a"): 1}],
)
def test_features_may_be_any_mapping_or_a_row_of_a_data_frame(features: Any) -> None:
    assert sent(features=features)[0].features == {"a": 1.0}
    assert sent(features=pd.Series({"a": 1.0, "b": 2.0}))[0].features == {"a": 1.0, "b": 2.0}


def test_ids_and_segments_of_other_types_become_text() -> None:
    event, _ = sent(
        user_id=42, request_id=np.int64(7), segment={"store": 3, "web": True, "none": None, "nan": math.nan}
    )
    assert (event.user_id, event.request_id) == ("42", "7")
    assert event.segment == {"store": "3", "web": "true", "none": None, "nan": None}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"score": 1.0001}, DropReason.INVALID),
        ({"score": -0.1}, DropReason.INVALID),
        ({"latency_ms": -1}, DropReason.INVALID),
        ({"probabilities": {"a": 2}}, DropReason.INVALID),
        ({"prediction_id": ""}, DropReason.INVALID),
        ({"prediction_id": "x" * 257}, DropReason.INVALID),
        ({"prediction_id": "x\0"}, DropReason.INVALID),
        ({"features": {"f": [1]}}, DropReason.INVALID),
        ({"features": {"f": {}}}, DropReason.INVALID),
        ({"features": {"f": 10**400}}, DropReason.INVALID),
        ({"features": 5}, DropReason.INVALID),
        ({"segment": 5}, DropReason.INVALID),
        ({"timestamp": dt.datetime(2026, 1, 1)}, DropReason.INVALID),  # noqa: DTZ001
        ({"timestamp": NOW_MS // 1000}, DropReason.INVALID),
        ({"timestamp": NOW_MS + 86_400_001}, DropReason.INVALID),
        ({"timestamp": 2**80}, DropReason.INVALID),
        ({"timestamp": 1.5}, DropReason.INVALID),
        ({"timestamp": math.nan}, DropReason.INVALID),
        ({"prediction": None}, DropReason.NO_PREDICTION),
        ({"prediction": math.nan}, DropReason.NO_PREDICTION),
        ({"features": {str(n): n for n in range(2_001)}}, DropReason.TOO_MANY_FEATURES),
        ({"context": {"x": "y" * MAX_EVENT_BYTES}}, DropReason.TOO_LARGE),
    ],
)
def test_an_event_that_the_pipeline_would_refuse_is_dropped_with_its_reason(
    fields: dict[str, Any], reason: DropReason
) -> None:
    with pytest.raises(EventDropped) as caught:
        sent(**fields)
    assert caught.value.reason is reason


class Hostile:
    """An object that fails wherever it is touched."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


NESTED: list[Any] = []
NESTED.append(NESTED)


@pytest.mark.parametrize(
    "make",
    [object, Hostile, lambda: 1 + 2j, lambda: "\ud800", lambda: np.array([1, 2]), lambda: pd.Series([1, 2])],
    ids=["object", "hostile", "complex", "surrogate", "array", "column"],
)
@pytest.mark.parametrize("field", ["features", "context", "prediction"])
def test_log_drops_and_counts_what_has_no_form_in_json(nobody: str, field: str, make: Callable[[], Any]) -> None:
    from driftline import PredictionLogger

    value = make()
    logger = PredictionLogger("m", "v", bootstrap=nobody)
    given: dict[str, Any] = {"prediction": 1, field: value if field == "prediction" else {"f": value}}
    logger.log(**given)
    dropped = logger.stats.dropped
    # A pandas column is JSON as context (an object), but no feature.
    assert sum(dropped.values()) == (0 if field == "context" and isinstance(value, pd.Series) else 1)
    logger.close(0)


def test_log_drops_and_counts_what_contains_itself(nobody: str) -> None:
    from driftline import PredictionLogger

    logger = PredictionLogger("m", "v", bootstrap=nobody)
    logger.log(prediction=1, context={"x": NESTED})
    assert logger.stats.dropped == {"not_serializable": 1}
    logger.close(0)


@pytest.mark.parametrize("label", [True, 1, 0.5, "late", np.float64(2), np.bool_(False), Decimal("1.5")])
def test_a_label_is_a_number_a_text_or_a_boolean(label: Any) -> None:
    record = Label(prediction_id="p", model="m", label=label, timestamp=NOW_MS)
    read = msgspec.json.decode(encoding.encode_label(record, NOW_MS), type=Label)
    assert read.label == label


@pytest.mark.parametrize(
    "fields", [{"label": None}, {"label": math.nan}, {"label": []}, {"weight": -1}, {"timestamp": 0}]
)
def test_other_labels_are_dropped(fields: dict[str, Any]) -> None:
    given = {"prediction_id": "p", "model": "m", "label": 1, "timestamp": NOW_MS, **fields}
    with pytest.raises(EventDropped):
        encoding.encode_label(Label(**given), NOW_MS)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.decimals(),
    st.datetimes(),
    st.lists(st.integers(), max_size=2),
    st.floats().map(np.float64),
    st.floats(width=32).map(np.float32),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
)
EVENTS = st.fixed_dictionaries(
    {"prediction_id": st.text(max_size=300), "timestamp": st.one_of(st.integers(0, 2 * NOW_MS), VALUES)},
    optional={
        "prediction": VALUES,
        "score": VALUES,
        "confidence": st.floats(0, 1),
        "latency_ms": VALUES,
        "probabilities": st.dictionaries(st.text(), st.one_of(st.floats(0, 1), VALUES), max_size=2),
        "features": st.dictionaries(st.text(max_size=5), VALUES, max_size=4),
        "segment": st.dictionaries(st.text(max_size=5), VALUES, max_size=3),
        "request_id": VALUES,
        "context": st.dictionaries(st.text(max_size=5), VALUES, max_size=3),
    },
)


@settings(deadline=None)
@given(EVENTS)
def test_whatever_leaves_the_sdk_is_accepted_by_ingest(fields: dict[str, Any]) -> None:
    record = Prediction(**{"prediction": 1, **fields}, model="m", version="v")
    try:
        payload, _ = encoding.encode_prediction(record, NOW_MS)
    except (EventDropped, TypeError, ValueError, OverflowError):
        return
    admitted = admit(decode([payload]), NOW_MS)
    assert admitted.refused == []
    assert len(admitted.events) == 1


def test_the_limits_are_those_of_the_pipeline() -> None:
    assert (encoding.EARLIEST_MS, encoding.FUTURE_MS) == (limits.EARLIEST_MS, limits.FUTURE_MS)
