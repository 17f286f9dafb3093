"""Whatever Kafka does, the caller goes on: it never waits, never sees an exception, and the drops are counted."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from driftline import ConfigurationError, DropReason, EventDropped, PredictionLogger
from driftline_streams.embedded.kafka import start_kafka


def test_without_a_broker_log_returns_at_once_and_the_queue_keeps_the_oldest(nobody: str, usual_s: Any) -> None:
    logger = PredictionLogger("m", "v", bootstrap=nobody, max_queued=50)
    assert usual_s(lambda: logger.log(prediction=1), 200) < 0.005
    assert logger.stats.queued == 50
    assert logger.stats.dropped == {"queue_full": 150}
    assert logger.flush(0.01) == 50
    assert logger.close(0.01) == 50
    assert (logger.stats.queued, logger.stats.delivered) == (0, 0)
    assert logger.stats.dropped == {"queue_full": 150, "delivery_failed": 50}


def test_leaving_the_block_is_bounded_and_keeps_the_callers_exception(nobody: str) -> None:
    start = time.perf_counter()
    logger = PredictionLogger("m", "v", bootstrap=nobody)
    logger.log(prediction=1)
    with pytest.raises(LookupError), logger:
        raise LookupError
    assert time.perf_counter() - start < 20  # 5 s, and what else the machine does; Kafka has minutes
    assert logger.stats.dropped == {"delivery_failed": 1}


def test_an_event_that_nobody_took_in_time_is_counted(nobody: str, eventually: Any) -> None:
    logger = PredictionLogger("m", "v", bootstrap=nobody, config={"delivery.timeout.ms": 100})
    logger.log(prediction=1)
    assert eventually(lambda: logger.stats.dropped) == {"delivery_failed": 1}
    logger.close(0)


def test_a_topic_that_does_not_exist_is_not_created_by_the_sdk(kafka: Any, eventually: Any) -> None:
    options = {"topic.metadata.propagation.max.ms": 200, "topic.metadata.refresh.fast.interval.ms": 50}
    logger = PredictionLogger("m", "v", bootstrap=kafka.bootstrap, topic_prefix="sdk-missing", config=options)
    logger.log(prediction=1)
    assert eventually(lambda: logger.stats.dropped) == {"delivery_failed": 1}
    logger.close(0)
    assert "sdk-missing.predictions" not in kafka.admin.list_topics(timeout=10).topics


def test_what_is_logged_after_close_is_dropped_and_counted(wire: Any) -> None:
    logger = wire.logger()
    logger.log(prediction=1)
    assert logger.close() == 0
    assert logger.close() == 0
    logger.log(prediction=1)
    logger.label("a", 1)
    assert (logger.stats.delivered, logger.stats.dropped) == (1, {"closed": 2})


def test_drops_are_told_to_the_log_with_the_last_cause(
    nobody: str, eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "driftline"), PredictionLogger("m", "v", bootstrap=nobody) as logger:
        for _ in range(100):
            logger.log(prediction=1, score=7)
    lines = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert len(lines) == 1
    assert "100 events" in lines[0]
    assert "$.score" in lines[0]


def test_whoever_wants_to_know_gets_the_exception(nobody: str) -> None:
    logger = PredictionLogger("m", "v", bootstrap=nobody, on_error="raise", max_queued=1)
    with pytest.raises(EventDropped, match=r"invalid.*score") as caught:
        logger.log(prediction=1, score=2)
    assert caught.value.reason is DropReason.INVALID
    with pytest.raises(EventDropped, match="invalid"):
        logger.label("a", None)
    logger.log(prediction=1)
    with pytest.raises(EventDropped, match="queue_full"):
        logger.log(prediction=1)
    logger.close(0)
    with pytest.raises(EventDropped, match="closed"):
        logger.log(prediction=1)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"model": ""}, r"\$\.model"),
        ({"version": "v" * 129}, r"\$\.version"),
        ({"version": 3}, r"\$\.version"),
        ({"role": "boss"}, r"\$\.role"),
        ({"on_error": "explode"}, "on_error"),
        ({"topic_prefix": "with blank"}, "topic_prefix"),
        ({"max_queued": 0}, "max_queued"),
        ({"config": {"no.such.option": 1}}, "no.such.option"),
        ({"config": {"acks": "1"}}, "acks"),
    ],
)
def test_a_logger_that_could_never_work_is_refused_when_it_is_made(given: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        PredictionLogger(**{"model": "m", "version": "v", **given})


def test_the_environment_says_where_kafka_is(wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_KAFKA_BOOTSTRAP", wire.bootstrap)
    monkeypatch.setenv("DRIFTLINE_TOPIC_PREFIX", wire.prefix)
    with PredictionLogger("m", "v") as logger:
        logger.log(prediction=1)
    assert len(wire.predictions()) == 1


def test_a_password_in_the_environment_never_travels_in_clear_by_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_KAFKA_USERNAME", "ada")
    monkeypatch.setenv("DRIFTLINE_KAFKA_PASSWORD", "secret")
    with pytest.raises(ConfigurationError, match="DRIFTLINE_KAFKA_SECURITY_PROTOCOL") as caught:
        PredictionLogger("m", "v")
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("DRIFTLINE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    assert "secret" not in repr(PredictionLogger("m", "v"))


def test_a_broker_that_crashes_and_returns_gets_every_event_once(tmp_path: Path, eventually: Any) -> None:
    broker = start_kafka(tmp_path)
    try:
        bootstrap = f"127.0.0.1:{broker.port}"
        logger = PredictionLogger("m", "v", bootstrap=bootstrap)
        _create_topics(bootstrap)
        ids = [logger.log(prediction=1) for _ in range(500)]
        assert logger.flush(20) == 0
        ids += [logger.log(prediction=1) for _ in range(500)]  # some are on their way while the broker dies
        broker.process.kill()
        ids += [logger.log(prediction=1) for _ in range(500)]
        port = broker.port
        broker = start_kafka(tmp_path)
        assert broker.port == port
        assert logger.flush(30) == 0
        assert (logger.stats.delivered, logger.stats.dropped) == (1500, {})
        logger.close()
        found = _keys(bootstrap, len(ids))
        assert sorted(found) == sorted(ids)
    finally:
        broker.process.stop()


def _create_topics(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic("driftline.predictions", 1, 1)])["driftline.predictions"].result(timeout=30)


def _keys(bootstrap: str, n: int) -> list[str]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "check"})
    part = TopicPartition("driftline.predictions", 0, 0)
    assert consumer.get_watermark_offsets(part, timeout=10) == (0, n)
    consumer.assign([part])
    found: list[str] = []
    deadline = time.monotonic() + 90
    while len(found) < n and time.monotonic() < deadline:
        found += [(message.key() or b"").decode() for message in consumer.consume(n, 0.2)]
    consumer.close()
    return found


def test_a_producer_that_failed_for_good_is_replaced(
    wire: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kafka declares such failures when it lost acknowledged data, which a test broker cannot be made to do at will.
    monkeypatch.setattr("driftline.sender.REPLACE_S", 0.0)
    with wire.logger() as logger:
        logger.log(prediction=1)
        assert logger.flush(10) == 0
        before = logger._sender._producer
        logger._sender._fatal = True
        eventually(lambda: logger._sender._producer is not before)
        logger.log(prediction=1)
    assert logger.stats.delivered == 2
    assert len(wire.predictions()) == 2
