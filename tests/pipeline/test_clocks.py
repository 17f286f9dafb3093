"""`detect` hears of every source partition before it may close a window, and of those that are silent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import msgspec

from driftline_schemas.records import Clock, Errors, Partial
from driftline_schemas.topics import PARTIALS, PREDICTIONS

decode = msgspec.json.Decoder(Partial | Clock | Errors).decode


def test_partitions_are_announced_and_pass_the_time_when_they_are_silent(
    pipeline: Any, eventually: Callable[..., Any]
) -> None:
    now_ms = time.time_ns() // 1_000_000
    event = {"prediction_id": "p", "model": "m", "version": "1", "timestamp": now_ms, "prediction": 1}
    pipeline.publish(PREDICTIONS, json.dumps(event).encode(), partition=1)

    told: set[tuple[int, str]] = set()

    def listen() -> set[tuple[int, str]]:
        for record in map(decode, pipeline.read(PARTIALS)):  # what was not read before
            if isinstance(record, Clock):
                told.add((record.partition, "is silent" if record.time_ms else "is there"))
        return told

    expected = {(partition, what) for partition in (0, 1) for what in ("is there", "is silent")}
    eventually(lambda: listen() == expected)
