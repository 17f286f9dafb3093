"""The view of champion and challenger agrees with numpy, is sure as often as it says, and lets days decide in order."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from driftline_streams.kernel.rates import wilson
from driftline_streams.sinks.clickhouse import ClickHouse

from .conftest import START, cell, insert, windows


def pairs(day: int = 0, /, **given: Any) -> dict[str, Any]:
    at = str(START + dt.timedelta(days=day))
    names = {"model": "m", "champion": "1", "challenger": "2", "role": "challenger", "day": at, "newest": at}
    return names | {"n": given.get("compared", given.get("measured", 0))} | given


async def the_only(database: ClickHouse) -> dict[str, Any]:
    (row,) = await database.query("SELECT * FROM champion_challenger")
    return row


async def test_a_day_of_pairs_agrees_with_numpy(database: ClickHouse) -> None:
    r = np.random.default_rng(4)
    one, other = r.random((2, 350)) < [[0.5], [0.7]]
    other = np.where(r.random(350) < 0.7, one, other)  # they share their difficulty
    sums = {"both_right": one & other, "only_champion": one & ~other, "only_challenger": ~one & other}
    insert(database, "comparisons", pairs(compared=350, **{name: int(cell.sum()) for name, cell in sums.items()}))
    found = await the_only(database)
    assert found["champion_accuracy"] == pytest.approx(one.mean())
    assert found["challenger_accuracy"] == pytest.approx(other.mean())
    assert found["difference"] == pytest.approx(other.mean() - one.mean())
    cells = ("both_right", "only_champion_right", "only_challenger_right", "both_wrong")
    assert [found[name] for name in cells] == [*(x.sum() for x in sums.values()), (~one & ~other).sum()]
    assert found["difference_low"] < found["difference"] < found["difference_high"]
    first, second = (high - low for low, high in (wilson(int(x.sum()), len(x)) for x in (one, other)))
    assert found["difference_high"] - found["difference_low"] < 0.7 * np.hypot(first, second)
    assert found["champion_mae"] is found["mae_difference"] is found["verdict"] is found["running_low"] is None


async def test_the_interval_of_a_day_holds_the_truth_19_times_in_20(database: ClickHouse) -> None:
    r = np.random.default_rng(6)
    drawn = r.multinomial(60, [0.72, 0.08, 0.18, 0.02], size=1_000)
    names = ("both_right", "only_champion", "only_challenger")
    rows = [pairs(i, compared=60, **dict(zip(names, map(int, counts), strict=False))) for i, counts in enumerate(drawn)]
    insert(database, "comparisons", *rows)
    found = await database.query("SELECT difference_low AS low, difference_high AS high FROM champion_challenger")
    assert 0.93 <= np.mean([row["low"] <= 0.1 <= row["high"] for row in found]) <= 0.98


async def test_a_day_of_numbers_agrees_with_numpy(database: ClickHouse) -> None:
    errors = np.abs(np.random.default_rng(5).normal(0, [[2], [1]], (2, 400)))
    apart = errors[1] - errors[0]
    names = {"champion_errors": errors[0].sum(), "challenger_errors": errors[1].sum()}
    squares = {"differences": apart.sum(), "difference_squares": np.square(apart).sum()}
    insert(database, "comparisons", pairs(0, measured=400, **{k: float(v) for k, v in (names | squares).items()}))
    found = await the_only(database)
    assert (found["champion_mae"], found["challenger_mae"]) == pytest.approx(errors.mean(axis=1))
    half = 1.96 * apart.std(ddof=1) / 20
    expected = (apart.mean() - half, apart.mean() + half)
    assert (found["mae_difference_low"], found["mae_difference_high"]) == pytest.approx(expected, rel=1e-4)
    assert found["difference"] is found["both_right"] is None


@pytest.mark.parametrize("labels", [{"champion": 1}, {"shadow": 1}, {}], ids=["few", "of another role", "none"])
@pytest.mark.parametrize(
    ("open_days", "settled"),
    [
        ({}, [1, 1, 1, 1]),
        ({"1": [2]}, [1, 1, 0, 0]),
        ({"2": [1]}, [1, 0, 0, 0]),
        ({"2": [4]}, [1, 1, 1, 0]),  # on which the challenger answered requests of the fourth day
        ({"1": [-3], "2": [-1], "3": [0]}, [1, 1, 1, 1]),
    ],
    ids=["all final", "champion", "challenger", "later answers", "other days and versions"],
)
async def test_days_decide_in_their_order_when_both_sides_are_final(
    database: ClickHouse, open_days: dict[str, list[int]], settled: list[int], labels: dict[str, int]
) -> None:
    later = {"newest": str(START + dt.timedelta(days=4))}
    insert(database, "comparisons", *(pairs(day, compared=10) for day in range(3)), pairs(3, compared=10, **later))
    answered = [(day, version) for day in range(-3, 6) for version in "123"]
    roles = [
        (day, version, role, n)
        for day, version in answered
        for role, n in (labels if day in open_days.get(version, []) else {"champion": 100}).items()
    ]
    insert(database, "performance", *(cell(day, n, version=version, role=role) for day, version, role, n in roles))
    insert(database, "windows", *(windows(day, 100, version) for day, version in answered), windows(6))
    found = await database.query("SELECT settled FROM champion_challenger ORDER BY day")
    assert [row["settled"] for row in found] == settled


@pytest.mark.parametrize(
    ("answers", "failed", "newest_day", "settled"),
    [(9, 0, 31, 0), (9, 0, 32, 1), (9, 9, 31, 1)],
    ids=["awaited", "after the horizon", "failures"],
)
async def test_a_day_without_labels_holds_up_the_next_ones_until_its_horizon_is_over(
    database: ClickHouse, answers: int, failed: int, newest_day: int, settled: int
) -> None:
    insert(database, "comparisons", pairs(0, compared=10), pairs(2, compared=10))
    insert(database, "performance", *(cell(day, 10, version=v) for day in (0, 2) for v in "12"))
    insert(database, "windows", *(windows(day, 10, v) for day in (0, 2) for v in "12"))
    insert(database, "windows", windows(1, answers) | {"errors": failed}, windows(newest_day))
    found = await database.query("SELECT settled FROM champion_challenger ORDER BY day")
    assert [row["settled"] for row in found] == [1, settled]


async def test_the_running_columns_are_those_of_the_verdict_of_the_day(database: ClickHouse) -> None:
    insert(database, "comparisons", pairs(0, compared=10), pairs(1, compared=10))
    key = {"model": "m", "champion": "1", "challenger": "2", "role": "challenger", "through": str(START)}
    numbers = {"n": 10, "difference": 0.1, "low": -0.2, "high": 0.3}
    insert(database, "verdicts", key | numbers | {"metric": "accuracy", "verdict": "not yet"})
    first, second = await database.query("SELECT * FROM champion_challenger ORDER BY day")
    assert [first[f"running_{name}"] for name in ("metric", *numbers)] == ["accuracy", *numbers.values()]
    assert (first["verdict"], second["verdict"], second["running_n"]) == ("not yet", None, None)
