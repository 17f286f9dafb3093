"""The views on late truth: how long it takes, by month and as a curve, and what numbers will be."""

from __future__ import annotations

import datetime as dt

import msgspec
import numpy as np
import pytest

from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.effects import Coded, Column, MapColumn, Rows
from driftline_streams.performance import delay
from driftline_streams.performance.maturity import History, mature
from driftline_streams.sinks.clickhouse import ClickHouse

from .conftest import DAY_MS, START_MS, served

FIRST = dt.date(2025, 1, 1)


def cell(day: int, delays: dict[str, int], newest_ms: int, version: str = "1") -> Rows:
    """The sums of a day of model m."""
    full: dict[str, Column] = {
        "model": Coded.constant("m", 1),
        "version": Coded.constant(version, 1),
        "role": Coded.constant("champion", 1),
        "stage": Coded.constant("latest", 1),
        "day": np.array([(FIRST - dt.date(1970, 1, 1)).days + day], np.uint16),
        "n": np.array([sum(delays.values())], np.uint64),
        "newest_label": np.array([newest_ms], np.int64),
        "delays": MapColumn.of([delays], np.uint64),
        "computed_at": np.array([newest_ms], np.int64),
    }
    return Rows("performance", 1, full)


async def test_delays_agree_with_numpy(database: ClickHouse) -> None:
    delay_h = np.random.default_rng(3).exponential(30, 4_000)
    bucket = np.ceil(4 * np.log2(delay_h * 60)).clip(0).astype(int)
    for day, mine in enumerate(np.split(bucket, 8)):
        delays = {f"{'tp' if day % 2 else 'fp'}\x1f{b}": int(n) for b, n in enumerate(np.bincount(mine)) if n}
        await database.insert([cell(day, delays, START_MS)], f"day {day}")
    (found,) = await database.query("SELECT * FROM label_delay")
    assert (found["model"], found["month"], found["n"]) == ("m", FIRST, 4_000)
    quantiles = np.quantile(delay_h, [0.5, 0.9, 0.99])
    assert [found["p50_h"], found["p90_h"], found["p99_h"]] == pytest.approx(quantiles, rel=0.05)
    for hours, name in ((1, "share_1h"), (6, "share_6h"), (24, "share_1d"), (168, "share_7d")):
        assert found[name] == pytest.approx((delay_h <= hours).mean(), abs=0.01)


@pytest.mark.parametrize("horizon_days", [5, 30])
async def test_the_curve_is_the_one_that_days_are_weighed_with(database: ClickHouse, horizon_days: int) -> None:
    rng, days = np.random.default_rng(4), 20
    spec = ModelSpec(model="m", label_horizon_s=horizon_days * 86_400)
    record: dict[str, Column] = {"model": ["m"], "version": [""], "record": [msgspec.json.encode(spec).decode()]}
    kinds: dict[str, Column] = {
        "kind": Coded.constant("spec", 1),
        "offset": np.array([0], np.uint64),
        "applied_at": np.array([0], np.int64),
    }
    await database.insert([Rows("models", 1, {**record, **kinds})], "spec")
    clock_ms = START_MS + days * DAY_MS - DAY_MS // 3
    counts, answered = np.zeros((days, 2, delay.BUCKETS)), np.full(days, 60.0)
    for day in range(days):
        mine = rng.integers(20, 46, (2, 30))
        seen = [row[delay.UPPER_MIN[row] <= (clock_ms - START_MS) / 60_000 - day * delay.DAY_MIN] for row in mine]
        for of, row in enumerate(seen):
            counts[day, of] = np.bincount(row, minlength=delay.BUCKETS)
        answered[day] += day % 7 == 6  # one that never gets its label
        delays = {
            f"{name}\x1f{b}": int(n)
            for of, name in enumerate(("right", "wrong"))
            for b, n in enumerate(counts[day, of])
            if n
        }
        newest_ms = clock_ms if day == days - 1 else START_MS
        await database.insert([served((START_MS + day * DAY_MS, int(answered[day]), 0))], f"windows {day}")
        if delays:
            await database.insert([cell(day, delays, newest_ms)], f"cell {day}")
    history = History(
        classes=("right", "wrong"),
        counts=counts,
        answered=answered,
        horizon_min=horizon_days * delay.DAY_MIN,
        age_min=-delay.DAY_MIN / 3,
    )
    last = delay.last_bucket(history.horizon_min)
    lag = delay.lags(history.age_min, last, history.horizon_min)
    (expected,) = delay.curves(counts[:, :, : last + 1], lag, mature(history)[1], [days - 1])
    rows = await database.query("SELECT class, bucket, share FROM label_delay_curve ORDER BY class, bucket")
    assert [(row["class"], row["bucket"]) for row in rows] == [
        (c, b) for c in ("right", "wrong") for b in range(last + 1)
    ]
    found = np.array([np.nan if row["share"] is None else row["share"] for row in rows]).reshape(2, last + 1)
    assert found == pytest.approx(expected, nan_ok=True)
    assert np.isfinite(found).all()
