"""A disk that is full only delays: rows wait in Kafka until there is room."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from driftline_schemas.topics import PREDICTIONS
from driftline_streams.embedded.clickhouse import start_clickhouse
from driftline_streams.ledger_positions import take_account

N = 2_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB."""
    place = tmp_path / "clickhouse" / "data"
    place.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], check=False)
    if mounted.returncode:
        pytest.skip("only root can mount a small file system")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(file: Path) -> None:
    """Write until the disk is full, and raise what it says then."""
    with file.open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(1 << 16))


def test_a_full_disk_of_clickhouse_delays_and_loses_nothing(
    small_disk: Path, settings: Any, make_pipeline: Any, eventually: Callable[..., Any]
) -> None:
    own = start_clickhouse(small_disk.parent)
    try:
        pipeline = make_pipeline(
            settings(clickhouse_port=own.port, clickhouse_database="own", batch_age_s=0.2, partitions=1)
        )
        pipeline.start()
        now_ms = time.time_ns() // 1_000_000
        event = {"model": "m", "version": "1", "timestamp": now_ms, "prediction": 1}
        # Each event brings what nothing compresses, so that a batch is more than merges free meanwhile.
        events = [
            json.dumps({**event, "prediction_id": f"p{i}", "context": {"bulk": os.urandom(5_000).hex()}}).encode()
            for i in range(N)
        ]
        pipeline.publish(PREDICTIONS, *events[: N // 2])
        eventually(lambda: pipeline.one("SELECT count() FROM predictions") == N // 2)
        with pytest.raises(OSError, match="No space"):
            fill(small_disk / "ballast")
        pipeline.publish(PREDICTIONS, *events[N // 2 :])
        eventually(lambda: "ClickHouse is unavailable" in pipeline.log.read_text())
        (small_disk / "ballast").unlink()
        eventually(lambda: pipeline.one("SELECT count() FROM predictions") == N)

        def holds() -> bool:
            found = take_account(pipeline.settings, pipeline.clickhouse)
            return found.holds and not sum(line.unread for line in found.lines)

        eventually(holds)
        assert pipeline.stop() == 0
    finally:
        own.process.stop()
