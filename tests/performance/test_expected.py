"""What is expected of open days stands in ClickHouse, from the labels that have come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Rows
from driftline_streams.performance.expected import Expectations
from driftline_streams.sinks.clickhouse import ClickHouse

from .conftest import DAY_MS, HOUR_MS, START_MS, compute, outcomes, served

DAYS, A_DAY = 24, 200
CLOCK_MS = START_MS + DAYS * DAY_MS + 6 * HOUR_MS  # six hours after the end of the last day


def history(**given: Any) -> tuple[list[Rows], np.ndarray]:
    """Labels of a model whose wrong answers are told after two days and the right ones after half a day, until now.

    Also the accuracy of each day in the end.
    """
    rng, n = np.random.default_rng(5), DAYS * A_DAY
    day = np.repeat(np.arange(DAYS), A_DAY)
    time_ms = START_MS + day * DAY_MS + rng.integers(0, DAY_MS, n)
    right, positive = rng.random(n) < 0.8, rng.random(n) < 0.5
    delay_ms = (np.where(right, 12, 48) * HOUR_MS * rng.lognormal(0, 0.3, n)).astype(np.int64)
    came = time_ms + delay_ms <= CLOCK_MS
    rows = outcomes(
        int(came.sum()),
        kind="binary",
        prediction_id=[f"p{i}" for i in np.flatnonzero(came)],
        timestamp=time_ms[came],
        label_timestamp=(time_ms + delay_ms)[came],
        positive=positive[came],
        predicted_positive=(positive == right)[came],
        **given,
    )
    loads = served(
        *((START_MS + d * DAY_MS + h * HOUR_MS, A_DAY // 8, 0) for d in range(DAYS) for h in range(0, 24, 3))
    )
    return [rows, loads], right.reshape(DAYS, A_DAY).mean(axis=1)


async def expect(database: ClickHouse, watch: Expectations, now_ms: int = CLOCK_MS) -> int:
    """One round, carried out; gives how many models were looked at."""
    done = 0
    async for named in watch(now_ms):
        await database.insert(named.effects.rows, named.name)
        done += 1
    return done


@pytest.fixture
def catalog() -> Catalog:
    known = Catalog()
    known.update(ModelSpec(model="m", label_horizon_s=7 * 86_400))
    return known


async def test_the_final_value_of_each_open_day_is_expected_once(database: ClickHouse, catalog: Catalog) -> None:
    rows, accuracy = history()
    for each in rows:
        await database.insert([each], each.table)
    await compute(database)
    watch = Expectations(catalog, database.query)
    assert await expect(database, watch) == 1
    assert await expect(database, watch) == 0  # until labels come
    found = await database.query("SELECT * FROM performance_expected WHERE metric = 'accuracy' ORDER BY day")
    assert [row["day"].day for row in found] == list(range(DAYS - len(found) + 1, DAYS + 1))
    assert len(found) >= 3
    naive = await database.query("SELECT accuracy FROM performance_daily ORDER BY day")
    assert naive[-1]["accuracy"] > accuracy[-1] + 0.1  # the wrong answers are still to be told
    for row, truth in zip(found, accuracy[-len(found) :], strict=True):
        assert row["method"] == "weighted"
        assert row["low"] - 1e-9 <= truth <= row["high"] + 1e-9
        assert (row["n"], row["coverage_expected"]) == (A_DAY, pytest.approx(1, abs=0.02))
    last = found[-1]
    assert last["coverage"] == last["labelled"] / A_DAY < 0.7
    (coverage,) = await database.query(
        "SELECT low, high FROM performance_expected WHERE metric = 'coverage' AND day = '2025-01-24'"
    )
    assert last["coverage"] < coverage["low"] <= coverage["high"] <= 1
