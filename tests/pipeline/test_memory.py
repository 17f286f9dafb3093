"""A worker that is behind, on a ClickHouse that does not answer for a while, stays within its stated memory."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from driftline_schemas.topics import PREDICTIONS
from driftline_streams.ledger_positions import take_account

PARTITIONS = 4
LIMIT_MB = 600  # docs/operators.md states it; k8s/base/worker.yaml leaves room above it
FREEZE_S = 3


def events(n: int) -> list[bytes]:
    """Different events of about 430 bytes, 20 a millisecond."""
    chance = random.Random(1)  # noqa: S311
    start_ms = time.time_ns() // 1_000_000 - n // 20
    out = []
    for i in range(n):
        features: dict[str, float | str] = {f"n{k}": round(chance.gauss(100, 30), 3) for k in range(7)}
        features |= {f"c{k}": chance.choice(["alpha", "beta", "gamma"]) for k in range(3)}
        event = {
            "prediction_id": f"0198f3c2-0000-7000-8000-{i:012}",
            "model": f"model-{i % 3}",
            "version": "1",
            "timestamp": start_ms + i // 20,
            "latency_ms": round(chance.lognormvariate(2.5, 0.6), 3),
            "prediction": i % 2 == 0,
            "score": 0.25,
            "segment": {"country": chance.choice(["US", "DE"]), "carrier": chance.choice(["dhl", "ups"])},
            "features": features,
        }
        out.append(json.dumps(event).encode())
    return out


@pytest.mark.parametrize(
    "seconds", [3, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(600)])], ids=["3 s", "60 s"]
)
def test_a_worker_behind_stays_within_its_memory(
    seconds: int, settings: Any, make_pipeline: Any, embedded: Any, eventually: Callable[..., Any]
) -> None:
    n = seconds * 20_000
    pipeline = make_pipeline(settings(partitions=PARTITIONS))
    for place in range(0, n, 20_000):
        pipeline.publish(PREDICTIONS, *events(20_000), partition=place // 20_000 % PARTITIONS)
    pipeline.start()
    worker, owner = pipeline.worker.pid, embedded.clickhouse.running.process.pid
    eventually(lambda: pipeline.one("SELECT count() FROM predictions") > 0)
    os.kill(owner, signal.SIGSTOP)
    try:
        time.sleep(FREEZE_S)  # no synchronisation: what is tested is that nothing piles up meanwhile
    finally:
        os.kill(owner, signal.SIGCONT)
    eventually(lambda: pipeline.one("SELECT count() FROM predictions") == n, within_s=400, every_s=0.5)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker}/status").read_text())
    assert peak is not None
    print(f"{n} events behind: {int(peak[1]) / 1000:.0f} MB at most")  # `pytest -s` shows it
    assert int(peak[1]) / 1000 < LIMIT_MB
    assert pipeline.stop() == 0
    assert take_account(pipeline.settings, pipeline.clickhouse).holds
