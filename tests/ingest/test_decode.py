"""What reading promises: a reason for everything refused, and nothing else is touched by it."""

from __future__ import annotations

from typing import Any, get_type_hints

import msgspec
import pytest

from driftline_schemas.records import MAX_EVENT_BYTES, Prediction, Reason
from driftline_streams.ingest import Ingest
from driftline_streams.ingest.event import Event
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.limits import EARLIEST_MS

from .batches import NOW_MS, batch_of, event, rejects_of, rows_of

VALID = msgspec.json.encode(event())
DAY_MS = 86_400_000


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in event().items() if name != field}


def with_text(field: str, text: bytes) -> bytes:
    """A valid event with a field whose JSON is `text`."""
    return VALID[:-1] + b',"' + field.encode() + b'":' + text + b"}"


MALFORMED = Reason.MALFORMED_JSON
REFUSED: list[tuple[str, Any, Reason]] = [
    ("a tombstone", None, Reason.EMPTY),
    ("zero bytes", b"", Reason.EMPTY),
    ("only a space", b" ", MALFORMED),
    ("truncated JSON", VALID[:-1], MALFORMED),
    ("something after the event", VALID + b"x", MALFORMED),
    ("two events in one message", VALID + b"\n" + VALID, MALFORMED),
    ("the literal NaN", with_text("score", b"NaN"), MALFORMED),
    ("the literal Infinity", with_text("latency_ms", b"Infinity"), MALFORMED),
    ("bytes that are not UTF-8", VALID.replace(b"late", b"\xff\xfe"), MALFORMED),
    ("a byte order mark", b"\xef\xbb\xbf" + VALID, MALFORMED),
    ("half a surrogate pair", VALID.replace(b"late", b"\\ud800"), MALFORMED),
    ("a raw newline in a string", VALID.replace(b"late", b"la\nte"), MALFORMED),
    ("deep nesting in the context", with_text("context", b'{"a":' * 30_000 + b"1" + b"}" * 30_000), MALFORMED),
    ("deep nesting in an unknown field", with_text("odd", b"[" * 60_000 + b"]" * 60_000), MALFORMED),
    ("a context that is not UTF-8", with_text("context", b'{"a":"\xff"}'), MALFORMED),
    ("an unknown field that is not UTF-8", with_text("odd", b'"\xff"'), MALFORMED),
    ("a list", b"[]", Reason.WRONG_TYPE),
    ("null", b"null", Reason.WRONG_TYPE),
    ("a number as model", event(model=5), Reason.WRONG_TYPE),
    ("a null id", event(prediction_id=None), Reason.WRONG_TYPE),
    ("a text as score", event(score="0.5"), Reason.WRONG_TYPE),
    ("a list as prediction", event(prediction=[1]), Reason.WRONG_TYPE),
    ("nested features", event(features={"a": {"b": 1}}), Reason.WRONG_TYPE),
    ("features as a list", event(features=[1]), Reason.WRONG_TYPE),
    ("a number as segment", event(segment={"country": 1}), Reason.WRONG_TYPE),
    ("a list as context", event(context=[1]), Reason.WRONG_TYPE),
    ("a null context", event(context=None), Reason.WRONG_TYPE),
    ("a list as context beside an unknown field", event(context=[1], odd=1), Reason.WRONG_TYPE),
    ("a date without time", event(timestamp="2024-01-01"), Reason.WRONG_TYPE),
    ("a time without zone", event(timestamp="2024-01-01T00:00:00"), Reason.WRONG_TYPE),
    ("a time as a fraction", event(timestamp=NOW_MS + 0.5), Reason.WRONG_TYPE),
    ("no id", without("prediction_id"), Reason.MISSING_FIELD),
    ("no model", without("model"), Reason.MISSING_FIELD),
    ("no version", without("version"), Reason.MISSING_FIELD),
    ("no timestamp", without("timestamp"), Reason.MISSING_FIELD),
    ("an empty id", event(prediction_id=""), Reason.OUT_OF_RANGE),
    ("a model's name of a page", event(model="x" * 129), Reason.OUT_OF_RANGE),
    ("a negative latency", event(latency_ms=-1), Reason.OUT_OF_RANGE),
    ("a score above one", event(score=1.5), Reason.OUT_OF_RANGE),
    ("a probability below zero", event(probabilities={"a": -0.1}), Reason.OUT_OF_RANGE),
    ("a number beyond doubles", with_text("latency_ms", b"1e400"), Reason.OUT_OF_RANGE),
    ("a feature beyond doubles", with_text("features", b'{"a":-1e400}'), Reason.OUT_OF_RANGE),
    ("an integer of 5,000 digits", with_text("features", b'{"a":' + b"9" * 5_000 + b"}"), Reason.OUT_OF_RANGE),
    ("an unknown status", event(status="meh"), Reason.OUT_OF_RANGE),
    ("an unknown role", event(role="king"), Reason.OUT_OF_RANGE),
    ("seconds for milliseconds", event(timestamp=NOW_MS // 1000), Reason.TIMESTAMP_OUT_OF_RANGE),
    ("nanoseconds for milliseconds", event(timestamp=NOW_MS * 1_000_000), Reason.TIMESTAMP_OUT_OF_RANGE),
    ("a time beyond 64 bits", event(timestamp=2**64 - 1), Reason.TIMESTAMP_OUT_OF_RANGE),
    ("a time of 30 digits", with_text("timestamp", b"9" * 30), Reason.TIMESTAMP_OUT_OF_RANGE),
    ("a time of 5,000 digits", with_text("timestamp", b"9" * 5_000), Reason.TIMESTAMP_OUT_OF_RANGE),
    ("the year 1", event(timestamp="0001-01-01T00:00:00+01:00"), Reason.TIMESTAMP_OUT_OF_RANGE),
    ("the year 9999", event(timestamp="9999-12-31T23:59:59-01:00"), Reason.TIMESTAMP_OUT_OF_RANGE),
    ("just before 2000", event(timestamp=EARLIEST_MS - 1), Reason.TIMESTAMP_OUT_OF_RANGE),
    ("more than a day ahead", event(timestamp=NOW_MS + DAY_MS + 1), Reason.TIMESTAMP_OUT_OF_RANGE),
    ("more than 256 KiB", event(context={"a": "x" * MAX_EVENT_BYTES}), Reason.TOO_LARGE),
    ("2,001 features", event(features={f"f{i}": i for i in range(2_001)}), Reason.TOO_MANY_FEATURES),
    ("ok without a prediction", without("prediction"), Reason.NO_PREDICTION),
    ("ok with a null prediction", event(prediction=None), Reason.NO_PREDICTION),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "reason"), [pytest.param(bad, reason, id=name) for name, bad, reason in REFUSED])
def test_a_bad_event_is_rejected_with_its_reason_and_its_neighbours_are_stored(bad: Any, reason: Reason) -> None:
    batch = batch_of(VALID, bad, VALID, bad, bad, VALID)
    result = Ingest(Catalog(), "driftline")(batch, NOW_MS)
    assert [row["offset"] for row in rows_of(result, "predictions")] == [100, 102, 105]
    assert result.rejected == {reason: 3}
    rejects = rejects_of(result)
    assert [(reject.offset, reject.reason) for reject in rejects] == [(101, reason), (103, reason), (104, reason)]
    assert all(reject.detail for reject in rejects)
    rows = rows_of(result, "rejected")
    assert [(row["offset"], row["reason"]) for row in rows] == [(offset, reason.value) for offset in (101, 103, 104)]
    keys = [message.key for message in result.effects.messages if message.topic == "driftline.rejected"]
    assert keys == [b"driftline.predictions:3:%d:0" % offset for offset in (101, 103, 104)]


ACCEPTED: list[tuple[str, Any]] = [
    ("an RFC 3339 time with a zone", event(timestamp="2026-01-02T03:04:05.678+05:30")),
    ("exactly 2000", event(timestamp=EARLIEST_MS)),
    ("exactly a day ahead", event(timestamp=NOW_MS + DAY_MS)),
    ("no latency", without("latency_ms")),
    ("a null latency", event(latency_ms=None)),
    ("a huge latency", event(latency_ms=1e308)),
    ("a negative zero", with_text("latency_ms", b"-0.0")),
    ("a number too small for doubles", with_text("score", b"1e-400")),
    ("a failure without details", event(status="error", prediction=None)),
    ("a huge integer feature", event(features={"a": 2**64 - 1, "b": 1e308, "c": -1e308})),
    ("features of every type", event(features={"a": 1, "b": "x", "c": True, "d": None})),
    ("2,000 features", event(features={f"f{i}": i for i in range(2_000)})),
    ("names with separators and NUL", event(features={"a\x1fb": 1, "": 2, "\x00": "\x1e"}, segment={"": ""})),
    ("emoji", event(prediction="😀", model="模型")),
    ("an escaped field name", VALID.replace(b'"model"', b'"mod\\u0065l"')),
]


@pytest.mark.parametrize("good", [pytest.param(good, id=name) for name, good in ACCEPTED])
def test_an_unusual_event_is_stored(good: Any) -> None:
    result = Ingest(Catalog(), "driftline")(batch_of(good), NOW_MS)
    assert (result.stored, result.rejected) == (1, {})


def test_of_a_repeated_key_the_last_one_holds() -> None:
    batch = batch_of(with_text("model", b'"other"'), with_text("features", b'{"a":1,"a":2}'))
    rows = rows_of(Ingest(Catalog(), "driftline")(batch, NOW_MS), "predictions")
    assert [row["model"] for row in rows] == ["other", "delays"]
    assert rows[1]["nums"] == {"a": 2.0}


def test_unknown_fields_are_kept_in_the_context_and_counted() -> None:
    batch = batch_of(
        event(odd=1, context={"a": [1, {"b": None}]}),
        event(),
        event(strange={"x": "y"}, odd=2),
        event(context={"odd": 3}, odd=4),
        event(error={"type": "x", "code": 5}),  # what an error says of itself beyond the contract is not kept
    )
    result = Ingest(Catalog(), "driftline")(batch, NOW_MS)
    contexts = [msgspec.json.decode(row["context"]) for row in rows_of(result, "predictions")]
    assert contexts == [{"a": [1, {"b": None}], "odd": 1}, {}, {"strange": {"x": "y"}, "odd": 2}, {"odd": 4}, {}]
    assert result.unknown_fields == 4
    assert result.stored == 5


def test_an_event_with_an_unknown_field_is_refused_for_its_other_faults() -> None:
    result = Ingest(Catalog(), "driftline")(batch_of(event(odd=1, score=3), event(odd=1, prediction=None)), NOW_MS)
    assert result.rejected == {Reason.OUT_OF_RANGE: 1, Reason.NO_PREDICTION: 1}


def test_evidence_is_the_first_4_kib_even_when_that_cuts_a_character() -> None:
    (reject,) = rejects_of(Ingest(Catalog(), "driftline")(batch_of(b"x" + "é".encode() * 5_000), NOW_MS))
    assert reject.payload == "x" + "é" * 2047 + "\ufffd"


def test_the_fast_event_has_exactly_the_fields_of_the_contract() -> None:
    assert Event.__struct_fields__ == Prediction.__struct_fields__
    differing = {
        name for name, hint in get_type_hints(Event, include_extras=True).items()
        if hint != get_type_hints(Prediction, include_extras=True)[name]
    }  # fmt: skip
    assert differing == {"timestamp", "context"}
