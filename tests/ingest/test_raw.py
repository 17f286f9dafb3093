"""What raw rows promise: every field of the event, each value where its own type says."""

from __future__ import annotations

import math

from driftline_streams.ingest import Ingest, IngestResult
from driftline_streams.kernel.catalog import Catalog

from ..memory_batch import MemoryBatch
from .batches import NOW_MS, batch_of, event, rows_of


def ingest(batch: MemoryBatch) -> IngestResult:
    return Ingest(Catalog(), "driftline")(batch, NOW_MS)


def test_a_row_holds_every_field() -> None:
    full = event(
        timestamp="2026-09-21T14:13:20.123456+00:00",
        prediction=True,
        score=0.75,
        confidence=0.5,
        probabilities={"late": 0.75, "early": 0.25},
        features={"distance": 1400, "carrier": "UA", "night": False, "age": None},
        segment={"origin": "JFK", "dest": None},
        role="challenger",
        request_id="r1",
        user_id="u1",
        trace_id="t1",
        span_id="s1",
        context={"note": "x"},
    )
    (row,) = rows_of(ingest(batch_of(full)), "predictions")
    age = row["nums"].pop("age")
    assert math.isnan(age)
    assert row == {
        "prediction_id": "p1",
        "model": "delays",
        "version": "1",
        "timestamp": NOW_MS + 123,
        "latency_ms": 12.5,
        "status": "ok",
        "error_type": "",
        "error_message": "",
        "prediction": "true",
        "prediction_value": None,
        "score": 0.75,
        "confidence": 0.5,
        "probabilities": {"late": 0.75, "early": 0.25},
        "nums": {"distance": 1400.0},
        "cats": {"carrier": "UA", "night": "false"},
        "segment": {"origin": "JFK"},
        "role": "challenger",
        "request_id": "r1",
        "user_id": "u1",
        "trace_id": "t1",
        "span_id": "s1",
        "context": '{"note":"x"}',
        "topic": "driftline.predictions",
        "partition": 3,
        "offset": 100,
        "position": 0,
        "frame_size": 1,
        "ingested_at": NOW_MS,
    }


def test_a_row_without_optional_fields_is_empty_there() -> None:
    failed = event(status="error", error={"type": "Timeout", "message": "upstream"}, prediction=None, latency_ms=None)
    (row,) = rows_of(ingest(batch_of(failed)), "predictions")
    assert (row["status"], row["error_type"], row["error_message"]) == ("error", "Timeout", "upstream")
    assert (row["prediction"], row["prediction_value"], row["latency_ms"], row["score"]) == ("", None, None, None)
    assert (row["nums"], row["cats"], row["segment"], row["probabilities"], row["context"]) == ({}, {}, {}, {}, "{}")
    assert (row["request_id"], row["role"]) == ("", "champion")


def test_classes_are_written_one_way_and_numbers_keep_their_value() -> None:
    rows = rows_of(
        ingest(batch_of(*(event(prediction=p) for p in (1, 1.0, "1", True, "true", -0.0, 2.5)))), "predictions"
    )
    assert [row["prediction"] for row in rows] == ["1", "1", "1", "true", "true", "0", "2.5"]
    assert [row["prediction_value"] for row in rows] == [1.0, 1.0, None, None, None, 0.0, 2.5]


def test_a_feature_whose_type_varies_goes_where_each_value_says() -> None:
    rows = rows_of(
        ingest(batch_of(*(event(features={"zip": zip_}) for zip_ in (8001, "8001", None, True)))), "predictions"
    )
    assert [row["cats"] for row in rows] == [{}, {"zip": "8001"}, {}, {"zip": "true"}]
    assert [list(row["nums"]) for row in rows] == [["zip"], [], ["zip"], []]


def test_a_null_category_is_absent() -> None:
    rows = rows_of(
        ingest(batch_of(event(features={"carrier": "UA"}), event(features={"carrier": None}))), "predictions"
    )
    assert [(row["nums"], row["cats"]) for row in rows] == [({}, {"carrier": "UA"}), ({}, {})]


def test_events_with_different_features_do_not_disturb_each_other() -> None:
    shapes = [{"a": 1.0}, {}, {"b": "x", "a": 2.0}, {"c": 3.0, "b": "y"}]
    rows = rows_of(ingest(batch_of(*(event(features=features) for features in shapes))), "predictions")
    assert [row["nums"] | row["cats"] for row in rows] == shapes
