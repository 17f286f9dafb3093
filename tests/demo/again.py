"""The year, then all of its labels again: in another order, repeated, and corrected. `make year-again`.

Nothing that is true has changed, so every figure of every month must be what it was, and scikit-learn's.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from driftline.replay.publisher import Publisher
from driftline_schemas.records import Label
from driftline_streams.demo.worker import Worker
from driftline_streams.embedded import services
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse

from . import test_year

WITHIN_S = 900.0
HOUR_MS = 3_600_000
CORRECTED = 0.05  # of the labels

LABELS = """
SELECT prediction_id, model, label = 'true' AS label, toUnixTimestamp64Milli(timestamp) AS timestamp, source
FROM labels
"""
# What is final is kept as it stands, so that it is known what is restated.
REPORTED = """
SELECT count() = 0 AS yes
FROM performance_states(grain = 'day')
WHERE is_final AND labelled > 0
    AND (model, version, cohort) NOT IN (SELECT model, version, day FROM performance WHERE stage = 'reported')
"""
SETTLED = """
WITH (SELECT max(joined_at) FROM outcomes) AS joined
SELECT
    (SELECT count() FROM labels) = {labels} AND joined < now64(3) - toIntervalSecond(20)
    AND (SELECT min(computed_at) FROM performance FINAL WHERE stage = 'latest' AND n > 0) > joined AS yes
"""


def again(rows: list[dict[str, Any]], rng: np.random.Generator) -> list[Label]:
    """Every label twice, and of some a wrong one before and the right one after it, in any order."""
    out = [Label(**row | {"label": bool(row["label"])}) for row in rows for _ in range(2)]
    for i in rng.choice(len(rows), int(CORRECTED * len(rows)), replace=False).tolist():
        row = rows[i]
        for value, later_ms in (
            (not row["label"], -HOUR_MS),
            (not row["label"], HOUR_MS),
            (bool(row["label"]), 2 * HOUR_MS),
        ):
            out.append(Label(**row | {"label": value, "timestamp": row["timestamp"] + later_ms}))
    return [out[i] for i in rng.permutation(len(out)).tolist()]


def figures(database: ClickHouse) -> pd.DataFrame:
    """Every month of every version, without the time at which it was computed."""
    return pd.DataFrame(
        database.query_rows("SELECT * EXCEPT computed_at FROM performance_monthly ORDER BY version, month")
    )


def wait(database: ClickHouse, question: str) -> None:
    """Until a question is answered by yes."""
    deadline = time.monotonic() + WITHIN_S
    while not database.query_rows(question)[0]["yes"]:
        if time.monotonic() > deadline:
            raise TimeoutError(question)
        time.sleep(1)


def main() -> None:
    """Run it; raises where a figure differs."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "driftline_streams.cli", "demo", "--exit", "--json", "--data-dir", directory]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        home = Path(directory) / "demo"
        with services.up(home, detach=False) as running:
            settings = Settings.load(data_dir=home).model_copy(update={"partitions": 1, "worker_id": "demo"})
            database = ClickHouse(settings)
            worker = Worker(settings, running)
            wait(database, REPORTED)
            before = figures(database)
            labels = again(database.query_rows(LABELS), np.random.default_rng(1))
            with Publisher(settings.kafka_bootstrap, settings.topic_prefix) as publisher:
                publisher.publish(iter(labels))
                publisher.finish()
            wait(database, SETTLED.format(labels=len(labels) + int(before.labelled.sum())))
            worker.stop()
            after = figures(database)
            pd.testing.assert_frame_equal(before, after, check_exact=False, rtol=1e-9)
            joined = pd.DataFrame(database.query_rows(test_year.JOINED))
            test_year.test_performance_is_scikit_learns_on_the_raw_rows(database, joined)
    print(f"{len(before)} months of versions after {len(labels):,} labels again: the same, and scikit-learn's")


if __name__ == "__main__":
    main()
