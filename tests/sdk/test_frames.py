"""Events that travel in column frames arrive as they would by themselves: on the same partitions, once, and counted."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from driftline import ConfigurationError, PredictionLogger
from driftline.frame import column, columns, encode_frame
from driftline.partition import partitions
from driftline_schemas.frame import CONTENT_TYPE, MAX_FRAME_BYTES, Column, Frame
from driftline_schemas.records import MAX_FEATURES, Prediction
from driftline_streams.embedded.kafka import start_kafka

from .test_delivery import _murmur2


def frame_of(message: Message) -> Frame | None:
    value = message.value() or b""
    return msgspec.msgpack.decode(value, type=Frame) if value[0] >= 0x80 else None


def ids_of(messages: list[Message]) -> list[str]:
    """The ids of all events, those of frames and those by themselves, in order."""
    found: list[Any] = []
    for message in messages:
        frame = frame_of(message)
        found += [(message.key() or b"").decode()] if frame is None else frame.prediction_id.values or []
    return found


def test_events_of_one_partition_travel_together_where_their_keys_would_go(wire: Any) -> None:
    with wire.logger(frame_events=100, frame_wait_s=30) as logger:
        ids = [logger.log(features={"x": float(i)}, prediction=True) for i in range(2_000)]
        assert logger.flush(10) == 0
        assert (logger.stats.queued, logger.stats.delivered) == (0, 2_000)
        logger.label(ids[0], True)
    messages = wire.messages()
    assert sum(message.headers() == [("content-type", CONTENT_TYPE.encode())] for message in messages) >= 20
    assert max(frame.n for message in messages if (frame := frame_of(message))) == 100
    assert sorted(ids_of(messages)) == sorted(ids)
    for partition in range(4):
        mine = ids_of([message for message in messages if message.partition() == partition])
        assert {(_murmur2(key.encode()) & 0x7FFFFFFF) % 4 for key in mine} == {partition}
        assert mine == [key for key in ids if key in set(mine)]  # in the order in which they were logged
    assert [label.prediction_id for label in wire.labels()] == [ids[0]]


def test_a_frame_leaves_when_it_has_waited_enough(wire: Any, eventually: Any) -> None:
    with wire.logger(frame_events=10_000, frame_wait_s=0.05) as logger:
        for _ in range(100):
            logger.log(prediction=1)
        assert eventually(lambda: logger.stats.delivered == 100)
    assert len(ids_of(wire.messages())) == 100


def test_few_events_travel_by_themselves(wire: Any) -> None:
    with wire.logger(frame_events=100) as logger:
        ids = [logger.log(prediction=1, timestamp=1_760_000_000_000) for _ in range(3)]
    assert {event.prediction_id for event in wire.predictions()} == set(ids)
    assert {(message.key() or b"").decode() for message in wire.messages()} == set(ids)


def test_events_that_would_be_too_long_as_a_frame_travel_by_themselves(
    wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ragged = [{f"{i}.{j}": 1.0 for j in range(MAX_FEATURES)} for i in range(20)]  # a column a value
    events = [
        Prediction(prediction_id="p", model="m", version="v", timestamp=0, prediction=1.0, features=dict(features))
        for features in ragged
    ]
    assert encode_frame(events) is None
    monkeypatch.setattr("driftline.framing.CUT_BYTES", 10 * MAX_FRAME_BYTES)
    with wire.logger(frame_events=1_000, frame_wait_s=30) as logger:
        ids = [logger.log(prediction=1, features=features) for features in ragged * 10]
        assert logger.flush(90) == 0
    messages = wire.messages()
    assert sorted(ids_of(messages)) == sorted(ids)
    assert {frame_of(message) for message in messages} == {None}


def test_without_a_broker_frames_wait_within_the_same_bounds(nobody: str, usual_s: Any) -> None:
    logger = PredictionLogger("m", "v", bootstrap=nobody, max_queued=50, frame_events=10)
    assert usual_s(lambda: logger.log(prediction=1), 200) < 0.005
    assert logger.stats.queued == 50
    assert logger.stats.dropped == {"queue_full": 150}
    assert logger.flush(0.01) == 50
    assert logger.close(0.01) == 50
    assert (logger.stats.queued, logger.stats.delivered) == (0, 0)
    assert logger.stats.dropped == {"queue_full": 150, "delivery_failed": 50}


def test_a_topic_that_does_not_exist_is_not_created(kafka: Any, eventually: Any) -> None:
    options = {"topic.metadata.propagation.max.ms": 200, "topic.metadata.refresh.fast.interval.ms": 50}
    logger = PredictionLogger(
        "m", "v", bootstrap=kafka.bootstrap, topic_prefix="sdk-missing", config=options, frame_events=10
    )
    for _ in range(20):
        logger.log(prediction=1)
    assert eventually(lambda: logger.stats.dropped) == {"delivery_failed": 20}
    logger.close(0)
    assert "sdk-missing.predictions" not in kafka.admin.list_topics(timeout=10).topics


def test_a_forked_worker_frames_what_it_logs_itself(wire: Any, exit_of_child: Any) -> None:
    logger = wire.logger(frame_events=10)
    for _ in range(25):
        logger.log(prediction="parent")

    def child() -> None:
        for _ in range(15):
            logger.log(prediction="child")
        assert logger.close(10) == 0
        assert (logger.stats.delivered, logger.stats.dropped) == (15, {})

    assert exit_of_child(child, 20) == 0
    assert logger.close(10) == 0
    assert logger.stats.delivered == 25
    assert len(set(ids_of(wire.messages()))) == 40


def test_a_broker_that_crashes_and_returns_gets_every_event_once(tmp_path: Path) -> None:
    broker = start_kafka(tmp_path)
    try:
        port, bootstrap = broker.port, f"127.0.0.1:{broker.port}"
        from .test_outages import _create_topics

        _create_topics(bootstrap)
        logger = PredictionLogger("m", "v", bootstrap=bootstrap, frame_events=50)
        ids = [logger.log(prediction=1) for _ in range(500)]
        assert logger.flush(20) == 0
        ids += [logger.log(prediction=1) for _ in range(525)]
        broker.process.kill()
        ids += [logger.log(prediction=1) for _ in range(525)]
        broker = start_kafka(tmp_path)
        assert broker.port == port
        assert logger.flush(30) == 0
        assert (logger.stats.delivered, logger.stats.dropped) == (1_550, {})
        logger.close()
        assert sorted(_ids(bootstrap)) == sorted(ids)
    finally:
        broker.process.stop()


def _ids(bootstrap: str) -> list[str]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "check"})
    part = TopicPartition("driftline.predictions", 0, 0)
    _, end = consumer.get_watermark_offsets(part, timeout=10)
    consumer.assign([part])
    messages: list[Message] = []
    deadline = time.monotonic() + 90
    while len(messages) < end and time.monotonic() < deadline:
        messages += consumer.consume(end, 0.2)
    consumer.close()
    return ids_of(messages)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"frame_events": 0}, "frame_events"),
        ({"frame_events": 10_001}, "10000 events"),
        ({"frame_events": 10, "frame_wait_s": -1}, "frame_wait_s"),
        ({"frame_events": 10, "config": {"partitioner": "consistent"}}, "consistent"),
    ],
)
def test_frames_that_could_never_work_are_refused(given: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        PredictionLogger("m", "v", **given)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=30), st.integers(1, 100))
def test_keys_hashed_together_go_where_each_would_go(keys: list[bytes], count: int) -> None:
    assert partitions(keys, count) == [(_murmur2(key) & 0x7FFFFFFF) % count for key in keys]


def test_columns_take_the_shortest_form_that_says_the_same() -> None:
    assert column([1.5, None]).values is None
    assert column(["a"] * 9) == Column(values=["a"], codes=b"\0" * 9)
    assert column(["a", "b"] * 9) == Column(values=["a", "b"], codes=b"\0\1" * 9)
    assert column([True, "true", None] * 3) == Column(values=[True, "true", None], codes=b"\0\1\2" * 3)
    assert column([True, 1.0]) == Column(values=[True, 1.0])
    assert len(column([str(i % 300) for i in range(700)]).codes or b"") == 1_400
    found = columns([{"a": 1.0}, {}, {"a": None, "b": "x"}])
    assert (found["a"].at, found["b"]) == (b"\0\0\0\0\2\0\0\0", Column(values=["x"], at=b"\2\0\0\0"))


def test_a_time_with_a_zone_is_rounded_as_the_pipeline_rounds() -> None:
    at = dt.datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=dt.UTC)
    encoded = encode_frame([Prediction(prediction_id="a", model="m", version="v", timestamp=at, prediction=1.0)])
    frame = msgspec.msgpack.decode(encoded or b"", type=Frame)
    assert int.from_bytes(frame.timestamp.i64 or b"", "little") == 1_767_323_045_678
