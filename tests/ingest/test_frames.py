"""What a frame promises: it means what its events mean one by one, and what is wrong with one costs only that one."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.frame import columns, encode_frame
from driftline_schemas.frame import MAX_FRAME_BYTES, MAX_FRAME_EVENTS, Column, Frame
from driftline_schemas.records import MAX_EVENT_BYTES, MAX_FEATURES, Prediction, Reason
from driftline_streams.ingest import Ingest, IngestResult
from driftline_streams.ingest.frame_events import Framed, FrameEvents
from driftline_streams.kernel.catalog import Catalog

from ..memory_batch import MemoryBatch
from .batches import NOW_MS, batch_of, event, rejects_of, rows_of
from .strategies import TEXTS, catalogs, events
from .test_learned import plain

OBJECTS = ("features", "segment", "probabilities")


def frame_of(given: Sequence[Mapping[str, Any]]) -> bytes:
    """A frame of events as they are, right or wrong; the SDK's own takes only right ones."""
    fields: dict[str, Any] = {"frame": 1, "n": len(given)}
    flat = [
        {
            **{name: value for name, value in one.items() if name not in (*OBJECTS, "error", "context", "timestamp")},
            **{f"error_{name}": value for name, value in (one.get("error") or {}).items()},
            **({"context": msgspec.json.encode(one["context"]).decode()} if "context" in one else {}),
        }
        for one in given
    ]
    fields |= columns(flat)
    fields["timestamp"] = Column(i64=struct.pack(f"<{len(given)}q", *(one["timestamp"] for one in given)))
    fields |= {name: columns([one.get(name) or {} for one in given]) for name in OBJECTS}
    return msgspec.msgpack.encode(fields)


@st.composite
def full_events(draw: st.DrawFn) -> dict[str, Any]:
    """A valid event with some of the fields that most have not."""
    extras: dict[str, st.SearchStrategy[Any]] = {
        "role": st.sampled_from(["champion", "challenger"]),
        "error": st.fixed_dictionaries({"type": st.just("Timeout")}, optional={"message": TEXTS}),
        "probabilities": st.dictionaries(st.sampled_from(["a", "b"]), st.floats(0, 1)),
        "request_id": TEXTS,
        "user_id": TEXTS,
        "context": st.just({}) | st.just({"a": [1, "ü"]}),
        "prediction_id": st.text(min_size=1, max_size=5),
        "odd": st.floats(-1, 1),
        "strange": TEXTS,
    }
    names = draw(st.sets(st.sampled_from(sorted(extras)), max_size=3))
    return draw(events()) | {name: draw(extras[name]) for name in sorted(names)}


def by_ordinal(result: IngestResult, batch: MemoryBatch, begins: Sequence[int]) -> list[Any]:
    """Everything that a result holds, with events named by their ordinal instead of by offset and position."""
    for rows in result.effects.rows:
        if rows.table == "outliers":  # which have their offset only
            rows.columns.update(offset=np.zeros(rows.n))  # type: ignore[attr-defined]  # a dict, to change in place
        if rows.table in ("predictions", "rejected"):
            own: dict[str, Any] = rows.columns  # type: ignore[assignment]  # a dict, to change in place
            at = [begins[offset - batch.first] for offset in own["offset"].tolist()]
            ordinal = np.array(at) + own["position"]
            if "context" in own:  # whose unknown fields have no order
                contexts = [msgspec.json.decode(row["context"]) for row in rows_of(result, "predictions")]
                own["context"] = [str(sorted(context.items())) for context in contexts]
            own.update(offset=ordinal, position=ordinal * 0, frame_size=ordinal * 0)
    everything = plain(result)
    everything[2] = [(begins[offset - batch.first] + reject.position, reason) for (offset, reason, _), reject in
                     zip(everything[2], rejects_of(result), strict=True)]  # fmt: skip
    return everything


@settings(max_examples=50, deadline=None)
@given(st.data(), st.lists(full_events(), min_size=1, max_size=25), catalogs())
def test_frames_and_single_events_mean_the_same(
    data: st.DataObject, drawn: list[dict[str, Any]], known: Catalog
) -> None:
    messages: list[bytes] = []
    begins: list[int] = []
    rest = drawn
    while rest:
        n = data.draw(st.integers(1, len(rest)))
        begins.append(len(drawn) - len(rest))
        messages.append(msgspec.json.encode(rest[0]) if n == 1 else frame_of(rest[:n]))
        rest = rest[n:]
    framed, single = batch_of(*messages), batch_of(*drawn)
    found = by_ordinal(Ingest(known, "driftline")(framed, NOW_MS), framed, begins)
    assert found == by_ordinal(Ingest(known, "driftline")(single, NOW_MS), single, range(len(drawn)))


@settings(max_examples=40, deadline=None)
@given(st.lists(events(), min_size=1, max_size=25), catalogs())
def test_what_the_sdk_frames_means_what_it_framed(drawn: list[dict[str, Any]], known: Catalog) -> None:
    records = [msgspec.json.decode(msgspec.json.encode(one), type=Prediction) for one in drawn]
    framed, single = batch_of(encode_frame(records)), batch_of(*drawn)
    found = by_ordinal(Ingest(known, "driftline")(framed, NOW_MS), framed, [0])
    assert found == by_ordinal(Ingest(known, "driftline")(single, NOW_MS), single, range(len(drawn)))


WRONG: list[dict[str, Any]] = [
    {"prediction_id": None},
    {"prediction_id": 5.0},
    {"prediction_id": ""},
    {"prediction_id": "x" * 257},
    {"model": None},
    {"model": True},
    {"model": ""},
    {"version": "x" * 129},
    {"timestamp": NOW_MS // 1000},
    {"timestamp": NOW_MS * 1_000_000},
    {"latency_ms": -1.0},
    {"latency_ms": "12"},
    {"status": "meh"},
    {"status": 5.0},
    {"role": "king"},
    {"error": {"type": ""}},
    {"prediction": None},
    {"score": 1.5},
    {"score": -0.1},
    {"confidence": "0.5"},
    {"confidence": True},
    {"probabilities": {"a": -0.1}},
    {"probabilities": {"a": "x"}},
    {"features": {f"f{i}": float(i) for i in range(MAX_FEATURES + 1)}},
    {"segment": {"country": 1.0}},
    {"segment": {"country": True}},
    {"request_id": 5.0},
    {"context": [1]},
    {"context": {"a": "x" * MAX_EVENT_BYTES}},
]


@pytest.mark.parametrize(
    "fault", WRONG, ids=lambda fault: f"{next(iter(fault))} {str(next(iter(fault.values())))[:10]}"
)
def test_a_bad_event_is_refused_with_the_reason_that_it_has_by_itself(fault: dict[str, Any]) -> None:
    bad = event(**fault)
    (alone,) = rejects_of(Ingest(Catalog(), "driftline")(batch_of(bad), NOW_MS))
    good = event(score=0.5, features={"a": 1.0})
    batch = batch_of(good, frame_of([good, bad, good, bad]), frame_of([good] * 3))
    result = Ingest(Catalog(), "driftline")(batch, NOW_MS)
    places = [(reject.offset, reject.position, reject.reason) for reject in rejects_of(result)]
    assert places == [(101, 1, alone.reason), (101, 3, alone.reason)]
    stored = [(row["offset"], row["position"], row["frame_size"]) for row in rows_of(result, "predictions")]
    assert sorted(stored) == [(100, 0, 1), (101, 0, 4), (101, 2, 4), (102, 0, 3), (102, 1, 3), (102, 2, 3)]
    rejected = [(row["offset"], row["position"], row["frame_size"]) for row in rows_of(result, "rejected")]
    assert rejected == [(101, 1, 4), (101, 3, 4)]
    keys = [message.key for message in result.effects.messages if message.topic == "driftline.rejected"]
    assert keys == [b"driftline.predictions:3:101:1", b"driftline.predictions:3:101:3"]
    if alone.reason is not Reason.TOO_LARGE and alone.reason is not Reason.TOO_MANY_FEATURES:
        evidence = msgspec.json.decode(rejects_of(result)[0].payload)
        assert evidence == {name: value for name, value in bad.items() if value is not None}


def test_infinities_which_json_does_not_have_are_out_of_range() -> None:
    bad = [event(features={"a": np.inf}), event(latency_ms=np.inf), event(prediction=np.inf), event(score=np.inf)]
    numbers = {"latency_ms": 0.0, "prediction": 1.0, "score": 0.5, "features": {"a": 1.0}}
    frame = msgspec.msgpack.decode(frame_of([event(**numbers)] * 4))
    frame["features"]["a"]["f64"] = struct.pack("<4d", np.inf, 0, 0, 0)
    for position, name in enumerate(("latency_ms", "prediction", "score"), 1):
        frame[name]["f64"] = struct.pack("<4d", *(np.inf if i == position else 0.5 for i in range(4)))
    result = Ingest(Catalog(), "driftline")(batch_of(msgspec.msgpack.encode(frame)), NOW_MS)
    assert [(reject.position, reject.reason) for reject in rejects_of(result)] == [
        (position, Reason.OUT_OF_RANGE) for position in range(len(bad))
    ]


GOOD = msgspec.msgpack.decode(frame_of([event(features={"a": 1.0, "b": "x"})] * 300))


def changed(*path: str, to: Any) -> bytes:
    """A good frame of 300 events with another value at a path."""
    copy = msgspec.msgpack.decode(msgspec.msgpack.encode(GOOD))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return msgspec.msgpack.encode(copy)


def without(name: str) -> bytes:
    return msgspec.msgpack.encode({key: value for key, value in GOOD.items() if key != name})


MALFORMED = Reason.MALFORMED_FRAME
UNREADABLE: list[tuple[str, bytes, Reason]] = [
    ("cut off", changed("n", to=300)[:-1], MALFORMED),
    ("something after it", changed("n", to=300) + b"\0", MALFORMED),
    ("an empty map", b"\x80", Reason.MISSING_FIELD),
    ("no model", without("model"), Reason.MISSING_FIELD),
    ("another layout", changed("frame", to=2), Reason.OUT_OF_RANGE),
    ("no events", changed("n", to=0), Reason.OUT_OF_RANGE),
    ("too many events", changed("n", to=MAX_FRAME_EVENTS + 1), Reason.OUT_OF_RANGE),
    ("more bytes than are taken", changed("context", to={"values": ["x" * MAX_FRAME_BYTES]}), Reason.TOO_LARGE),
    ("a list as column", changed("score", to=[0.5]), Reason.WRONG_TYPE),
    ("half as many values as events", changed("request_id", to={"values": ["a"] * 150}), MALFORMED),
    ("one value for all, without codes", changed("request_id", to={"values": ["a"]}), MALFORMED),
    ("values at no whole positions", changed("score", to={"values": [0.5], "at": bytes(5)}), MALFORMED),
    ("numbers at no whole positions", changed("score", to={"f64": bytes(8), "at": bytes(5)}), MALFORMED),
    ("two columns in one", changed("score", to={"values": [*[0.5] * 299, 5.0], "i64": b""}), MALFORMED),
    ("times twice", changed("timestamp", to={"i64": bytes(2400), "f64": b""}), MALFORMED),
    ("a column without values", changed("score", to={}), MALFORMED),
    ("fewer numbers than events", changed("latency_ms", "f64", to=bytes(8)), MALFORMED),
    ("half a number", changed("latency_ms", "f64", to=bytes(300 * 8 - 1)), MALFORMED),
    ("fewer texts than events", changed("model", to={"values": ["a", "b"]}), MALFORMED),
    ("fewer codes than events", changed("model", "codes", to=bytes(299)), MALFORMED),
    ("codes of three bytes", changed("model", "codes", to=bytes(900)), MALFORMED),
    ("a code beyond the values", changed("model", "codes", to=b"\7" * 300), MALFORMED),
    ("too many positions", changed("features", "a", to={"f64": bytes(301 * 8), "at": bytes(301 * 4)}), MALFORMED),
    ("a position twice", changed("features", "a", to={"f64": bytes(16), "at": bytes(8)}), MALFORMED),
    ("a position beyond the events", changed("features", "a", to={"f64": bytes(8), "at": b"\0\0\0\7"}), MALFORMED),
    ("times as numbers", changed("timestamp", to={"f64": bytes(300 * 8)}), MALFORMED),
    ("times of some", changed("timestamp", to={"i64": bytes(8), "at": bytes(4)}), MALFORMED),
    ("an unknown column that is none", changed("odd", to=5), Reason.WRONG_TYPE),
    ("a text that unfolds to gigabytes", changed("user_id", to={"values": ["x" * 500_000], "codes": bytes(300)}),
     Reason.TOO_LARGE),
    ("a feature that unfolds so", changed("features", "b", to={"values": ["x" * 500_000], "codes": bytes(300)}),
     Reason.TOO_LARGE),
    ("an unknown column that unfolds so", changed("odd", to={"values": ["x" * 500_000], "codes": bytes(300)}),
     Reason.TOO_LARGE),
    ("a name that is written out for each event", changed("x" * 500_000, to={"f64": bytes(2400)}), Reason.TOO_LARGE),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "reason"), [pytest.param(bad, reason, id=name) for name, bad, reason in UNREADABLE])
def test_a_frame_that_cannot_be_read_is_refused_as_a_whole_and_its_neighbours_are_stored(
    bad: bytes, reason: Reason
) -> None:
    good = changed("n", to=300)
    result = Ingest(Catalog(), "driftline")(batch_of(good, bad, event(), bad, good), NOW_MS)
    found = [(reject.offset, reject.position, reject.reason) for reject in rejects_of(result)]
    assert found == [(101, 0, reason), (103, 0, reason)]
    assert all(reject.detail for reject in rejects_of(result))
    assert [row["frame_size"] for row in rows_of(result, "rejected")] == [1, 1]
    assert result.stored == 601


def test_codes_of_two_and_four_bytes_are_read() -> None:
    names = [f"c{i}" for i in range(1_000)]
    given = [event(features={"a": name}) for name in names * 2]
    two = msgspec.msgpack.decode(frame_of(given))
    four = msgspec.msgpack.decode(frame_of(given))
    codes = np.frombuffer(two["features"]["a"]["codes"], "<u2")
    four["features"]["a"]["codes"] = codes.astype("<u4").tobytes()
    for frame in (two, four):
        result = Ingest(Catalog(), "driftline")(batch_of(msgspec.msgpack.encode(frame)), NOW_MS)
        assert [row["cats"] for row in rows_of(result, "predictions")] == [{"a": name} for name in names * 2]


def test_columns_that_are_no_field_are_kept_in_the_context_and_counted() -> None:
    frame = msgspec.msgpack.decode(frame_of([event(context={"a": 1}), event(), event()]))
    frame["odd"] = {"f64": struct.pack("<2d", 1.5, np.nan), "at": struct.pack("<2I", 0, 2)}
    result = Ingest(Catalog(), "driftline")(batch_of(msgspec.msgpack.encode(frame)), NOW_MS)
    contexts = [msgspec.json.decode(row["context"]) for row in rows_of(result, "predictions")]
    assert contexts == [{"a": 1, "odd": 1.5}, {}, {"odd": None}]
    assert result.unknown_fields == 2


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_frame_however_damaged_stops_the_stage_and_every_event_is_accounted_for(data: st.DataObject) -> None:
    encoded = bytearray(changed("n", to=300))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    result = Ingest(Catalog(), "driftline")(batch_of(bytes(encoded), event()), NOW_MS)
    rows = rows_of(result, "predictions") + rows_of(result, "rejected")
    places = sorted((row["offset"], row["position"]) for row in rows)
    size = rows_of(result, "rejected")[0]["frame_size"] if len(rows) == 2 else 300
    assert places == [*((100, position) for position in range(size)), (101, 0)]


def test_the_fast_reading_of_a_column_equals_the_plain_one() -> None:
    from driftline_streams.ingest.unfold import unfold

    given = [event(features={"a": 1.5, "b": None}, score=0.5), event(features={"c": "x"}, request_id="r"), event()]
    frame = msgspec.msgpack.decode(frame_of(given), type=Frame)
    assert unfold(frame) == given
    found = FrameEvents([Framed(0, frame, 100)], NOW_MS).columns(Catalog())
    assert found is not None
    assert (found.n, found.position.tolist()) == (3, [0, 1, 2])
