"""A worker that is killed in the midst of its work leaves no trace in the numbers."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from driftline_schemas.topics import LABELS, PREDICTIONS
from driftline_streams.ledger_positions import take_account

N = 30_000
DAY_MS = 86_400_000
START_MS = (time.time_ns() // 1_000_000) // DAY_MS * DAY_MS - DAY_MS // 2  # noon of yesterday: all on one day


def test_the_numbers_after_kills_are_those_of_the_events(pipeline: Any, eventually: Callable[..., Any]) -> None:
    moments = random.Random(7)  # noqa: S311 - a seeded schedule
    latencies = np.round(np.random.default_rng(7).lognormal(2.5, 0.6, N), 3)
    events = [
        json.dumps(
            {
                "prediction_id": f"p{i}",
                "model": "m",
                "version": "1",
                "timestamp": START_MS + i * 100,
                "latency_ms": float(latencies[i]),
                "prediction": i % 3 == 0,
                "score": 0.5,
            }
        ).encode()
        for i in range(N)
    ]
    labels = [
        json.dumps({"prediction_id": f"p{i}", "model": "m", "label": i % 2 == 0, "timestamp": START_MS + i * 100 + 50})
        for i in range(N)
    ]
    for part in range(6):
        chunk = slice(part * N // 6, (part + 1) * N // 6)
        for i, event in enumerate(events[chunk]):
            pipeline._producer.produce(
                PREDICTIONS.full_name(pipeline.settings.topic_prefix), event, b"%d" % (chunk.start + i)
            )
        for i, label in enumerate(labels[chunk]):
            pipeline._producer.produce(
                LABELS.full_name(pipeline.settings.topic_prefix), label, b"%d" % (chunk.start + i)
            )
        assert pipeline._producer.flush(30) == 0
        # once a part of it has been stored, and at a moment that nobody chose
        stored = part * N // 6
        eventually(lambda s=stored: pipeline.one("SELECT count() FROM predictions") >= s)
        time.sleep(moments.random() * 0.5)
        pipeline.stop(signal.SIGKILL)
        pipeline.start()

    eventually(lambda: pipeline.one("SELECT count() FROM outcomes FINAL") == N)
    eventually(lambda: pipeline.one("SELECT sum(n) FROM windows WHERE dim = ''") == N)
    assert pipeline.one("SELECT uniqExact(prediction_id) FROM predictions") == N
    assert pipeline.one("SELECT count() FROM predictions") == N

    [row] = pipeline.clickhouse.query_rows("SELECT p50_ms, p99_ms, max_ms FROM latency_daily WHERE dim = ''")
    assert np.isclose(row["p50_ms"], np.quantile(latencies, 0.5, method="inverted_cdf"), rtol=0.0101)
    assert np.isclose(row["p99_ms"], np.quantile(latencies, 0.99, method="inverted_cdf"), rtol=0.0101)
    assert row["max_ms"] == latencies.max()

    right = sum((i % 3 == 0) == (i % 2 == 0) for i in range(N))
    eventually(lambda: pipeline.one("SELECT sum(tp + tn) FROM performance_daily") == right, within_s=20)

    def holds() -> bool:
        ledger = take_account(pipeline.settings, pipeline.clickhouse)
        assert ledger.holds, ledger.discrepancy
        return sum(line.unread for line in ledger.lines) == 0

    eventually(holds)
