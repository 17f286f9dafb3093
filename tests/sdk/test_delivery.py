"""What is logged arrives on Kafka: once, under the contract, beside its label; and the counts say so."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from typing import Any

import msgspec
import pytest

from driftline import PredictionLogger
from driftline_schemas.records import PredictionError


def test_a_prediction_arrives_as_it_was_logged(wire: Any) -> None:
    when = dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.UTC)
    with wire.logger(role="challenger") as logger:
        prediction_id = logger.log(
            features={"hour": 17, "carrier": "UA", "rain": None, "weekend": False},
            prediction="late",
            score=0.83,
            confidence=0.7,
            probabilities={"late": 0.83, "on time": 0.17},
            latency_ms=3.5,
            timestamp=when,
            segment={"origin": "JFK"},
            request_id="r-1",
            user_id="u-1",
            trace_id="t",
            span_id="s",
            context={"pod": {"name": "a"}},
        )
    (arrived,) = wire.predictions()
    assert uuid.UUID(prediction_id).version == 7
    assert arrived.prediction_id == prediction_id
    assert (arrived.model, arrived.version, arrived.role, arrived.status) == ("m", "v1", "challenger", "ok")
    assert arrived.timestamp == when
    assert arrived.features == {"hour": 17, "carrier": "UA", "rain": None, "weekend": False}
    assert (arrived.prediction, arrived.score, arrived.confidence, arrived.latency_ms) == ("late", 0.83, 0.7, 3.5)
    assert arrived.probabilities == {"late": 0.83, "on time": 0.17}
    assert (arrived.segment, arrived.context) == ({"origin": "JFK"}, {"pod": {"name": "a"}})
    assert (arrived.request_id, arrived.user_id, arrived.trace_id, arrived.span_id) == ("r-1", "u-1", "t", "s")


def test_a_label_lands_beside_its_prediction_where_any_murmur2_client_would_put_it(wire: Any) -> None:
    ids = [f"flight-{number}" for number in range(50)]
    with wire.logger() as logger:
        for prediction_id in ids:
            logger.log(prediction=True, prediction_id=prediction_id)
            logger.label(prediction_id, False, weight=2, source="tower", position=3)
    assert {label.prediction_id for label in wire.labels()} == set(ids)
    for label in wire.labels():
        assert (label.label, label.weight, label.source, label.position) == (False, 2.0, "tower", 3)
    for topic in ("predictions", "labels"):
        for message in wire.messages(topic):
            assert message.partition() == (_murmur2(message.key() or b"") & 0x7FFFFFFF) % 4


def _murmur2(data: bytes) -> int:
    """`org.apache.kafka.common.utils.Utils.murmur2`, written down once more."""
    mask, multiplier = 0xFFFFFFFF, 0x5BD1E995
    hashed = 0x9747B28C ^ len(data)
    whole = len(data) - len(data) % 4
    for start in range(0, whole, 4):
        part = int.from_bytes(data[start : start + 4], "little") * multiplier & mask
        part = (part ^ part >> 24) * multiplier & mask
        hashed = (hashed * multiplier & mask) ^ part
    if rest := data[whole:]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * multiplier & mask
    hashed = (hashed ^ hashed >> 13) * multiplier & mask
    return hashed ^ hashed >> 15


def test_what_was_passed_may_change_after_log_has_returned(wire: Any) -> None:
    features = {"x": 1.0}
    with wire.logger() as logger:
        logger.log(features=features, prediction=0)
        features["x"] = 2.0
    assert wire.predictions()[0].features == {"x": 1.0}


def test_many_threads_share_a_logger_and_every_event_arrives_once(wire: Any) -> None:
    ids: list[str] = []

    def serve(logger: PredictionLogger) -> None:
        ids.extend(logger.log(features={"x": 1.0}, prediction=0) for _ in range(2_000))

    with wire.logger() as logger:
        threads = [threading.Thread(target=serve, args=(logger,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert logger.flush(10) == 0
        assert (logger.stats.queued, logger.stats.delivered, logger.stats.dropped) == (0, 16_000, {})
    assert sorted(event.prediction_id for event in wire.predictions()) == sorted(ids)
    assert len(set(ids)) == 16_000


def test_an_error_event_names_the_exception(wire: Any) -> None:
    with wire.logger() as logger:
        logger.log(error=TimeoutError("upstream"), features={"x": 1})
        logger.log(error="no model loaded")
    errors = {event.error for event in wire.predictions() if event.status == "error"}
    assert errors == {
        PredictionError(type="TimeoutError", message="upstream"),
        PredictionError(message="no model loaded"),
    }


def test_a_measured_call_carries_its_latency_and_what_was_known_before(wire: Any) -> None:
    with wire.logger() as logger:
        with logger.measure(features={"x": 1}, request_id="r") as call:
            call.log(prediction=1, score=0.9)
        with logger.measure(latency_ms=42):
            pass
    (event,) = wire.predictions()
    assert (event.features, event.request_id, event.prediction, event.score) == ({"x": 1}, "r", 1, 0.9)
    assert 0 < event.latency_ms < 10_000


def test_a_model_that_fails_while_measured_is_logged_and_its_exception_goes_on(wire: Any) -> None:
    with wire.logger() as logger:
        with pytest.raises(ZeroDivisionError), logger.measure(features={"x": 0}):
            1 / 0  # noqa: B018
        with pytest.raises(KeyboardInterrupt), logger.measure():
            raise KeyboardInterrupt
    (event,) = wire.predictions()
    assert (event.status, event.error.type, event.features) == ("error", "ZeroDivisionError", {"x": 0})
    assert event.latency_ms is not None


def test_measure_refuses_what_log_does_not_take(nobody: str) -> None:
    with PredictionLogger("m", "v", bootstrap=nobody) as logger, pytest.raises(TypeError, match="fetures"):
        logger.measure(fetures={})


def test_events_are_compact(wire: Any) -> None:
    with wire.logger() as logger:
        logger.log(prediction=1, timestamp=1_760_000_000_000, prediction_id="a")
    (message,) = wire.messages()
    assert message.value() == msgspec.json.encode(
        {"prediction_id": "a", "model": "m", "version": "v1", "timestamp": 1_760_000_000_000, "prediction": 1}
    )
