"""What `PredictionLogger.log` costs its caller: `python -m tests.bench.sdk [BOOTSTRAP]`, from the checkout.

Each line is one situation: 50,000 calls with ten features, a pause after every twentieth as in a server, one process.
Without BOOTSTRAP a broker is started for the duration. "down" is an address where nothing listens.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from driftline import PredictionLogger
from driftline_streams.embedded.kafka import start_kafka

CALLS = 50_000
FEATURES: dict[str, Any] = {f"number_{i}": 1.2345 * i for i in range(7)} | {"a": "alpha", "b": "beta", "c": "gamma"}
NUMPY = {name: np.float64(value) if isinstance(value, float) else value for name, value in FEATURES.items()}


def measure(name: str, bootstrap: str, features: dict[str, Any], **options: Any) -> None:
    """Print the percentiles of one situation."""
    took_ns = np.empty(CALLS)
    segment = {"country": "US"}
    with PredictionLogger("fraud", "v1", bootstrap=bootstrap, topic_prefix="bench", **options) as logger:
        for call in range(CALLS):
            start = time.perf_counter_ns()
            logger.log(features=features, prediction="pos", score=0.7, confidence=0.7, latency_ms=12.3, segment=segment)
            took_ns[call] = time.perf_counter_ns() - start
            if call % 20 == 0:
                time.sleep(0.0005)
        logger.flush(0.5)
        stats = logger.stats
        logger.close(0)
    p50, p99, p999, most = np.percentile(took_ns, [50, 99, 99.9, 100]) / 1e3
    print(f"{name:<28} p50 {p50:5.2f}  p99 {p99:5.1f}  p99.9 {p999:6.1f}  max {most:7.0f} µs   {stats}", flush=True)


def main() -> None:
    """Run every situation."""
    logging.disable()
    if len(sys.argv) > 1:
        run(sys.argv[1])
        return
    with tempfile.TemporaryDirectory(prefix="driftline-bench-") as directory:
        broker = start_kafka(Path(directory))
        try:
            run(f"127.0.0.1:{broker.port}")
        finally:
            broker.process.stop()


def run(bootstrap: str) -> None:
    """Run every situation against this broker."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    created = admin.create_topics([NewTopic(f"bench.{name}", 4, 1) for name in ("predictions", "labels")])
    for future in created.values():
        future.exception(timeout=30)  # they may exist from an earlier run
    measure("broker up", bootstrap, FEATURES)
    measure("broker up, numpy features", bootstrap, NUMPY)
    measure("broker up, frames of 1,000", bootstrap, FEATURES, frame_events=1_000)
    measure("broker down", "127.0.0.1:1", FEATURES)
    measure("broker down, frames of 1,000", "127.0.0.1:1", FEATURES, frame_events=1_000)
    measure("broker down, queue full", "127.0.0.1:1", FEATURES, max_queued=100)


if __name__ == "__main__":
    main()
