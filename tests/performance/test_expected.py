"""What is expected of open days stands in ClickHouse, from the labels that have come."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, PerformanceRules
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Rows
from driftline_streams.performance.expected import Expectations, Known, expect
from driftline_streams.performance.watch import Watch
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


async def round_of(database: ClickHouse, watch: Expectations, now_ms: int = CLOCK_MS) -> int:
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
    assert await round_of(database, watch) == 1
    assert await round_of(database, watch) == 0  # until labels come
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


async def test_a_label_source_with_a_fast_clock_makes_no_day_older(database: ClickHouse, catalog: Catalog) -> None:
    rows, _ = history()
    last_ms = START_MS + (DAYS - 1) * DAY_MS
    times = {"timestamp": last_ms, "label_timestamp": CLOCK_MS + 30 * DAY_MS}
    rows.append(outcomes(1, prediction_id=["fast"], positive=1, predicted_positive=1, **times))
    await database.insert(rows, "fast")
    await compute(database)
    await round_of(database, Expectations(catalog, database.query))
    (coverage,) = await database.query(
        "SELECT coverage, estimate FROM performance_expected WHERE metric = 'coverage' AND day = '2025-01-24'"
    )
    assert coverage["coverage"] < 0.7  # six hours after its end
    assert coverage["estimate"] == pytest.approx(1, abs=0.02)


def known(rows: list[dict[str, Any]], loads: list[dict[str, Any]], clock_s: int, horizon_days: int = 7) -> Known:
    spec = ModelSpec(model="m", label_horizon_s=horizon_days * 86_400)
    opened = [{name: row[name] for name in ("version", "day_s")} for row in rows]
    return Known(spec, clock_s, rows, loads, opened)


def cohort(day: int, delays: dict[str, int], version: str = "1", role: str = "champion") -> dict[str, Any]:
    right = sum(n for key, n in delays.items() if key[:2] in {"tp", "tn", "ri"})
    n = sum(delays.values())
    names = {"version": version, "role": role, "day_s": START_MS // 1000 + day * 86_400}
    return names | {"n": n, "delays": delays, "confusion": {}, "correct": float(right), "classified_weight": float(n)}


def load(day: int, n: int, version: str = "1") -> dict[str, Any]:
    return {"version": version, "hour_s": START_MS // 1000 + day * 86_400 + 43_200, "answered": n}


def test_what_was_answered_in_another_role_is_not_waited_for() -> None:
    rows = [cohort(0, {"right\x1f3": 60}), cohort(0, {"wrong\x1f3": 30}, role="shadow")]
    found = expect(known(rows, [load(0, 100)], START_MS // 1000 + 86_400))
    assert {(line.role, line.seen.answered, line.seen.labelled) for line in found} == {
        ("champion", 70, 60),
        ("shadow", 40, 30),
    }


def test_numbers_and_lists_have_a_coverage_to_expect_and_no_rates() -> None:
    rows = [cohort(day, {"\x1f20": 50}) for day in range(12)] + [cohort(12, {"\x1f20": 40})]
    loads = [load(day, 50) for day in range(13)]
    found = expect(known(rows, loads, START_MS // 1000 + 12 * 86_400 + 43_200 + 3_600))
    assert {line.expected.metric for line in found} == {"coverage"}


def test_more_labels_than_answers_and_none_of_either_are_no_trouble() -> None:
    (coverage, accuracy) = expect(known([cohort(0, {"right\x1f0": 60})], [load(0, 10)], START_MS // 1000 + 86_400))
    assert (coverage.expected.high, accuracy.expected.low, accuracy.expected.high) == (1, 1, 1)
    assert expect(known([], [load(0, 10)], START_MS // 1000)) == []
    weightless = cohort(0, {"tp\x1f0": 1})  # its confusion is empty
    assert [line.expected.metric for line in expect(known([weightless], [], 0))] == ["coverage"]


def test_a_clock_before_the_day_and_one_long_after_it_are_no_trouble() -> None:
    rows = [cohort(day, {"right\x1f30": 80, "wrong\x1f44": 20}) for day in range(20)]
    loads = [load(day, 100) for day in range(20)]
    for clock_s in (0, START_MS // 1000, START_MS // 1000 + 3_650 * 86_400):
        for line in expect(known(rows, loads, clock_s)):
            assert 0 <= line.expected.low <= line.expected.high <= 1


async def test_a_bad_day_that_goes_on_is_found_by_its_worst_cases_without_history(
    database: ClickHouse,
) -> None:
    known = Catalog()
    known.update(ModelSpec(model="m", performance=PerformanceRules(accuracy=0.8)))
    rows = outcomes(
        180,
        timestamp=START_MS + np.arange(180) * 60_000,
        label_timestamp=START_MS + np.arange(180) * 60_000 + HOUR_MS,
        positive=1,
        predicted_positive=np.arange(180) % 2,
    )
    await database.insert([rows, served((START_MS, 200, 0))], "half a day")
    await compute(database)
    watch = Watch(known, "t", database.query)
    assert [named async for named in watch(CLOCK_MS)] == []
    assert await round_of(database, Expectations(known, database.query)) == 1
    (named,) = [named async for named in watch(CLOCK_MS)]
    (message,) = named.effects.messages
    found = msgspec.json.decode(message.value or b"", type=Detection)
    assert (found.method, found.statistic) == ("bounds", 0.5)
    assert found.high == pytest.approx(0.8 - 90 / 200)
