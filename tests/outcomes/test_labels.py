"""What becomes of label messages that are wrong: a reason and a place each, and nothing else is lost."""

from __future__ import annotations

import math

import msgspec
import pytest

from driftline_schemas.records import MAX_EVENT_BYTES, MAX_LABEL, Reason
from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.limits import EARLIEST_MS
from driftline_streams.outcomes.labels import read

from .conftest import DAY_MS, NOW_MS, label

BAD = {
    "no body": (b"", Reason.EMPTY),
    "a tombstone": (None, Reason.EMPTY),
    "broken JSON": (b'{"prediction_id": ', Reason.MALFORMED_JSON),
    "not UTF-8": (b'{"prediction_id":"\xff","model":"m","label":1,"timestamp":1}', Reason.MALFORMED_JSON),
    "NaN": (b'{"prediction_id":"a","model":"m","label":NaN,"timestamp":1}', Reason.MALFORMED_JSON),
    "nested without end": (b'{"x":' + b"[" * 100_000, Reason.MALFORMED_JSON),
    "no model": (b'{"prediction_id":"a","label":1,"timestamp":1}', Reason.MISSING_FIELD),
    "an array": (b"[]", Reason.WRONG_TYPE),
    "a null label": (b'{"prediction_id":"a","model":"m","label":null,"timestamp":1}', Reason.WRONG_TYPE),
    "no zone": (label("a", 1).replace(str(NOW_MS).encode(), b'"2025-01-01T00:00:00"'), Reason.WRONG_TYPE),
    "infinity": (b'{"prediction_id":"a","model":"m","label":1e999,"timestamp":1}', Reason.OUT_OF_RANGE),
    "an empty id": (label("", 1), Reason.OUT_OF_RANGE),
    "a negative weight": (label("a", 1, weight=-1), Reason.OUT_OF_RANGE),
    "a weight that is NaN": (
        b'{"prediction_id":"a","model":"m","label":1,"weight":NaN,"timestamp":1}',
        Reason.MALFORMED_JSON,
    ),
    "an infinite label": (b'{"prediction_id":"a","model":"m","label":-Infinity,"timestamp":1}', Reason.MALFORMED_JSON),
    "an infinite weight": (
        b'{"prediction_id":"a","model":"m","label":1,"weight":1e999,"timestamp":1}',
        Reason.OUT_OF_RANGE,
    ),
    "a weight that is text": (label("a", 1, weight="NaN"), Reason.WRONG_TYPE),
    "a weight beyond reason": (label("a", 1, weight=1e300), Reason.OUT_OF_RANGE),
    "an empty model": (label("a", 1, model=""), Reason.OUT_OF_RANGE),
    "an id without end": (label("a" * 257, 1), Reason.OUT_OF_RANGE),
    "an empty label": (label("a", ""), Reason.OUT_OF_RANGE),
    "a label without end": (label("a", "x" * (MAX_LABEL + 1)), Reason.OUT_OF_RANGE),
    "a source without end": (label("a", 1, source="x" * 129), Reason.OUT_OF_RANGE),
    "NaN as text": (label("a", "NaN"), Reason.OUT_OF_RANGE),
    "position 0": (label("a", 1, model="list", position=0), Reason.OUT_OF_RANGE),
    "half a position": (label("a", 1, model="list", position=1.5), Reason.WRONG_TYPE),
    "a position that no list has": (label("a", 1, model="list", position=2**40), Reason.OUT_OF_RANGE),
    "a list of labels": (b'{"prediction_id":"a","model":"m","label":[1],"timestamp":1}', Reason.WRONG_TYPE),
    "a NUL in the id": (label("a\0", 1), Reason.OUT_OF_RANGE),
    "seconds for milliseconds": (label("a", 1, NOW_MS // 1000), Reason.TIMESTAMP_OUT_OF_RANGE),
    "before all models": (label("a", 1, EARLIEST_MS - 1), Reason.TIMESTAMP_OUT_OF_RANGE),
    "the far future": (label("a", 1, NOW_MS + DAY_MS + 1), Reason.TIMESTAMP_OUT_OF_RANGE),
    "the unthinkable future": (label("a", 1, 10**30), Reason.TIMESTAMP_OUT_OF_RANGE),
    "too large": (label("a", "x" * MAX_EVENT_BYTES), Reason.TOO_LARGE),
    "text for a regression": (label("a", "12", model="price"), Reason.WRONG_KIND),
    "a boolean for a regression": (label("a", True, model="price"), Reason.WRONG_KIND),
    "NaN as text for a regression": (label("a", "NaN", model="price"), Reason.WRONG_KIND),
    "a class for a ranking": (label("a", "cat", model="list"), Reason.WRONG_KIND),
    "a position for no ranking": (label("a", 1.0, model="price", position=1), Reason.WRONG_KIND),
    "a fraction for two classes": (label("a", 0.5, model="churn"), Reason.WRONG_KIND),
    "a NUL in the model": (label("a", 1, model="m\0"), Reason.OUT_OF_RANGE),
}


def catalog() -> Catalog:
    known = Catalog()
    known.update(ModelSpec(model="price", kind="regression"))
    known.update(ModelSpec(model="list", kind="ranking"))
    known.update(ModelSpec(model="churn", label_sources=["tower", "crm"]))
    return known


@pytest.mark.parametrize("what", BAD)
def test_a_bad_label_is_set_aside_with_its_reason(what: str) -> None:
    body, reason = BAD[what]
    values = [label("before", 1), body, label("after", 1)]
    truths, rejects = read(values, [5, 6, 8], topic="t", partition=3, catalog=catalog(), now_ms=NOW_MS)
    assert list(zip(truths.prediction_id, truths.offset, strict=True)) == [("before", 5), ("after", 8)]
    assert [(reject.index, reject.reason) for reject in rejects] == [(1, reason)]
    assert rejects[0].detail


def test_rejects_of_every_sort_come_in_order() -> None:
    values = [body for body, _ in BAD.values()]
    _, rejects = read(values, range(len(values)), topic="t", partition=0, catalog=catalog(), now_ms=NOW_MS)
    assert [(reject.index, reject.reason) for reject in rejects] == list(
        enumerate(reason for _, reason in BAD.values())
    )


def test_the_regression_detail_names_the_spec() -> None:
    _, (reject,) = read([label("a", "x", model="price")], [0], topic="t", partition=0, catalog=catalog(), now_ms=NOW_MS)
    assert "spec of price says regression" in reject.detail


def test_a_class_is_the_same_however_it_is_written() -> None:
    values = [label("a", value) for value in (True, 1, 1.0, "1", 0.5, "late", 1e300)]
    truths, _ = read(values, range(7), topic="t", partition=0, catalog=catalog(), now_ms=NOW_MS)
    assert truths.label.tolist() == ["true", "1", "1", "1", "0.5", "late", "1e+300"]
    assert truths.value.tolist() == pytest.approx([math.nan, 1, 1, math.nan, 0.5, math.nan, 1e300], nan_ok=True)


def test_times_with_a_zone_and_in_milliseconds_are_the_same() -> None:
    text = {"prediction_id": "a", "model": "m", "label": 1, "timestamp": "2025-06-15T17:06:40+02:00"}
    truths, _ = read(
        [msgspec.json.encode(text), label("a", 1, 1_750_000_000_000)],
        [0, 1],
        topic="t",
        partition=0,
        catalog=catalog(),
        now_ms=NOW_MS,
    )
    assert truths.timestamp_ms[0] == truths.timestamp_ms[1]


def test_an_empty_batch_gives_nothing() -> None:
    truths, rejects = read([], [], topic="t", partition=0, catalog=catalog(), now_ms=NOW_MS)
    assert (truths.n, rejects) == (0, [])


def test_a_source_that_the_spec_does_not_name_is_taken_and_trusted_least() -> None:
    values = [label("a", 1, model="churn", source=source) for source in ("tower", "crm", "a guess", "", None)]
    truths, rejects = read(values, range(5), topic="t", partition=0, catalog=catalog(), now_ms=NOW_MS)
    tower, crm, *unnamed = truths.trust.tolist()
    assert rejects == []
    assert tower > crm > 0
    assert unnamed == [0, 0, 0]
