"""Column frames through the whole pipeline: mixed with single events, refused by event, exact after a kill."""

from __future__ import annotations

import signal
import struct
from collections.abc import Callable
from typing import Any

import msgspec

from driftline import PredictionLogger
from driftline_schemas.topics import PREDICTIONS
from driftline_streams.ledger_positions import take_account


def frame(n: int, bad: int) -> bytes:
    """`n` events, as any client may write them; the score of one of them is wrong."""
    scores = [7.0 if position == bad else 0.5 for position in range(n)]
    columns = {
        "prediction_id": {"values": [f"by-hand-{position}" for position in range(n)]},
        "model": {"values": ["m"], "codes": bytes(n)},
        "version": {"values": ["2"], "codes": bytes(n)},
        "timestamp": {"i64": struct.pack(f"<{n}q", *[1_780_000_000_000] * n)},
        "prediction": {"values": ["a", "b"], "codes": bytes(position % 2 for position in range(n))},
        "score": {"f64": struct.pack(f"<{n}d", *scores)},
    }
    return msgspec.msgpack.encode({"frame": 1, "n": n, **columns})


def test_frames_and_single_events_are_accounted_for_once_also_after_a_kill(
    pipeline: Any, eventually: Callable[..., Any]
) -> None:
    settings = pipeline.settings
    address = {"bootstrap": settings.kafka_bootstrap, "topic_prefix": settings.topic_prefix}
    framed = PredictionLogger("m", "1", frame_events=50, frame_wait_s=0.05, **address)
    single = PredictionLogger("m", "1", **address)
    ids = [framed.log(features={"x": float(i)}, prediction=True, latency_ms=i % 7) for i in range(5_000)]
    for i in range(500):
        single.log(features={"x": float(i)}, prediction=False)
    pipeline.publish(PREDICTIONS, frame(30, bad=4), frame(30, bad=4)[:-1], b"{", partition=1)
    eventually(lambda: pipeline.one("SELECT count() FROM predictions") > 0)
    pipeline.stop(signal.SIGKILL)
    ids += [framed.log(features={"x": float(i)}, prediction=True, latency_ms=i % 7) for i in range(5_000)]
    for key in ids[::1_000]:
        single.label(key, label=True)
    assert framed.close() + single.close() == 0
    pipeline.start()
    eventually(lambda: pipeline.one("SELECT count() FROM predictions") == 10_529)
    eventually(lambda: pipeline.one("SELECT count() FROM outcomes FINAL") == 10)

    assert pipeline.one("SELECT uniqExact(prediction_id) FROM predictions WHERE version = '1'") == 10_500
    assert pipeline.one("SELECT max(frame_size) FROM predictions") == 50
    assert pipeline.one("SELECT countIf(frame_size = 1) FROM predictions") >= 500
    found = pipeline.clickhouse.query_rows(
        "SELECT reason, position, frame_size, payload FROM rejected ORDER BY offset, position"
    )
    assert [(row["reason"], row["position"], row["frame_size"]) for row in found] == [
        ("out_of_range", 4, 30),
        ("malformed_frame", 0, 1),
        ("malformed_json", 0, 1),
    ]
    assert msgspec.json.decode(found[0]["payload"])["prediction_id"] == "by-hand-4"

    def holds() -> bool:
        ledger = take_account(settings, pipeline.clickhouse)
        assert ledger.holds, ledger.discrepancy
        assert sum(line.messages for line in ledger.lines) < 1_000
        return sum(line.unread for line in ledger.lines) == 0

    eventually(holds)
