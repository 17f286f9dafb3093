"""A replay waits where the SDK would drop, and knows what became of each event."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from driftline.replay import Publisher
from driftline.replay import publisher as module
from driftline_schemas.records import Label, Prediction

START_MS = 1_700_000_000_000


def prediction(number: int, at_ms: int = START_MS) -> Prediction:
    return Prediction(prediction_id=f"p{number}", model="m", version="v1", timestamp=at_ms, prediction=True)


@pytest.fixture
def topics(kafka: Any, settings: Any) -> Any:
    s = settings()
    for name in ("predictions", "labels"):
        kafka.topic(4, name=f"{s.topic_prefix}.{name}")
    return s


def test_everything_arrives_also_through_a_queue_that_is_too_small(
    topics: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED", 50)
    seen = []
    with Publisher(topics.kafka_bootstrap, topics.topic_prefix) as publisher:
        publisher.publish((prediction(i) for i in range(5_000)), lambda done, at_ms: seen.append((done, at_ms)))
        publisher.publish([Label(prediction_id="p1", model="m", label=True, timestamp=START_MS)])
        done = publisher.finish()
    assert (done.predictions, done.labels, done.delivered, done.failed, done.unknown) == (5_000, 1, 5_001, 0, 0)
    assert seen == [(n, START_MS) for n in range(1_000, 5_001, 1_000)]


def test_predictions_travel_in_frames_when_asked_to(topics: Any) -> None:
    with Publisher(topics.kafka_bootstrap, topics.topic_prefix, frame_events=100) as publisher:
        publisher.publish(prediction(i) for i in range(5_000))
        publisher.publish([Label(prediction_id="p1", model="m", label=True, timestamp=START_MS)])
        done = publisher.finish()
    assert (done.predictions, done.labels, done.delivered, done.failed, done.unknown) == (5_000, 1, 5_001, 0, 0)
    consumer = Consumer({"bootstrap.servers": topics.kafka_bootstrap, "group.id": "frames"})
    parts = [TopicPartition(f"{topics.topic_prefix}.predictions", number, 0) for number in range(4)]
    messages = sum(consumer.get_watermark_offsets(part, timeout=10)[1] for part in parts)
    consumer.close()
    assert 50 <= messages < 100


def test_what_kafka_refuses_is_counted_with_the_reason(kafka: Any, settings: Any) -> None:
    s = settings()
    kafka.topic(1, name=f"{s.topic_prefix}.predictions", **{"max.message.bytes": "200"})
    big = Prediction(prediction_id="big", model="m" * 100, version="v" * 120, timestamp=START_MS, prediction=True)
    with Publisher(s.kafka_bootstrap, s.topic_prefix, config={"compression.type": "none"}) as publisher:
        publisher.publish([big])
        done = publisher.finish()
    assert (done.delivered, done.failed) == (0, 1)
    assert "too large" in done.first_failure


def test_the_pace_is_kept(topics: Any) -> None:
    took_s = math.inf
    for _ in range(5):  # what else the machine does only adds to one
        with Publisher(topics.kafka_bootstrap, topics.topic_prefix, speed=3_600) as publisher:
            began = time.monotonic()
            publisher.publish([prediction(1), prediction(2, START_MS + 1_800_000), prediction(3, START_MS)])
            took_s = min(took_s, time.monotonic() - began)
        if took_s < 2.0:
            break
    assert 0.5 <= took_s < 2.0


def test_leaving_early_does_not_wait_for_a_kafka_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAVE_S", 0.2)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Publisher("127.0.0.1:1", "nobody") as publisher:  # noqa: PT012
        publisher.publish([prediction(1)])
        assert publisher.finish(0).unknown == 1
        raise KeyboardInterrupt
    assert time.monotonic() - began < 20  # minutes, if it waited for Kafka to take what is queued
