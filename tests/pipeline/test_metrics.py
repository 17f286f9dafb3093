"""What operators are told: the ledger's account, refused messages of every topic, hits of the join."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from driftline_schemas.topics import LABELS, PARTIALS, PREDICTIONS


def test_a_worker_tells_what_does_not_add_up(settings: Any, make_pipeline: Any, eventually: Callable[..., Any]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pipeline = make_pipeline(settings(batch_age_s=0.2, partitions=1, ledger_every_s=0.5, metrics_port=port))

    def metric(name: str, *labels: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        found = [line for line in lines if line.startswith(name) and all(label in line for label in labels)]
        assert len(found) == 1, (name, found)
        return float(re.split(r"[ ]", found[0])[-1])

    pipeline.start()
    try:
        event = {"model": "m", "version": "1", "timestamp": time.time_ns() // 1_000_000}
        for i in range(20):
            pipeline.publish(PREDICTIONS, json.dumps({**event, "prediction": 1, "prediction_id": f"p{i}"}).encode())
        eventually(lambda: pipeline.one("SELECT count() FROM predictions") == 20)
        pipeline.publish(LABELS, json.dumps({**event, "label": 1, "prediction_id": "p3"}).encode())
        pipeline.publish(PARTIALS, b"no partial")
        eventually(lambda: metric("driftline_stage_count", 'stage="join"', 'what="hits"') == 1)
        eventually(lambda: metric("driftline_rejected_total", ".partials", "malformed_json") == 1)
        eventually(lambda: metric("driftline_ledger_age_seconds") < 5)
        for check in ("offsets", "windows"):
            assert metric("driftline_ledger_discrepancies", ".predictions", check) == 0
        pipeline.clickhouse.command(
            "ALTER TABLE predictions DELETE WHERE prediction_id = 'p7' SETTINGS mutations_sync = 2"
        )
        eventually(lambda: metric("driftline_ledger_discrepancies", ".predictions", "offsets") == 1)
        assert "the first at offset 7" in pipeline.log.read_text()
    finally:
        assert pipeline.stop() == 0
