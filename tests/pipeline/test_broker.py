"""A broker that crashes, and crashes again, only delays: workers find it without being restarted themselves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from driftline_schemas.topics import PREDICTIONS
from driftline_streams.embedded import services
from driftline_streams.settings import Settings

N = 2_000


@pytest.mark.timeout(180)
def test_crashes_of_the_broker_only_delay(make_pipeline: Any, tmp_path: Path, eventually: Callable[..., Any]) -> None:
    with services.up(tmp_path / "own", detach=False) as own:
        settings = Settings.load(data_dir=tmp_path / "own", worker_id="first", partitions=2)
        pipeline = make_pipeline(settings)
        pipeline.start()
        for crash in range(2):
            now_ms = time.time_ns() // 1_000_000
            event = {"model": "m", "version": "1", "timestamp": now_ms, "prediction": 1}
            events = [json.dumps({**event, "prediction_id": f"p{crash}-{i}"}).encode() for i in range(N)]
            pipeline.publish(PREDICTIONS, *events[: N // 2], partition=0)
            pipeline.publish(PREDICTIONS, *events[N // 2 :], partition=1)
            read = (crash + 1) * N
            eventually(lambda n=read: pipeline.one("SELECT count() FROM predictions") == n)
            own.kafka.kill()
            own.kafka.restart()
        assert pipeline.stop() == 0
        lines = pipeline.log.read_text().splitlines()
        assert len([line for line in lines if "[warning" in line or "[error" in line]) <= 8, "an outage is a few lines"
