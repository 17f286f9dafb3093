"""The watch judges settled days, keeps what it found, and tells of a verdict once, until it changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from itertools import count
from typing import Any

import msgspec
import pytest

from driftline_schemas.records import Detection
from driftline_schemas.spec import ComparisonRules, ModelSpec
from driftline_streams.comparison.watch import Watch
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.sinks.clickhouse import ClickHouse

from .conftest import DAY_MS, START, START_MS, cell, insert, windows

SIDES = (("1", "champion"), ("2", "challenger"), ("2", "shadow"))
_NOW_MS = count(START_MS + 400 * DAY_MS)


def pairs(day: int, champion: int, challenger: int, /, at: int = 0, **given: Any) -> dict[str, Any]:
    """A day of 200 pairs, computed `at` a second."""
    names = {"model": "m", "champion": "1", "challenger": "2", "role": "challenger"}
    days = dict.fromkeys(("day", "newest"), str(START + dt.timedelta(days=day)))
    sums = {"n": 200, "compared": 200, "both_right": 100, "only_champion": champion, "only_challenger": challenger}
    return names | days | sums | {"computed_at": f"2025-06-01 00:00:{at:02}"} | given


def settle(database: ClickHouse, days: int) -> None:
    """Labels of all answers of both versions, so that as many days are final, and one after them is not."""
    final = [cell(day, 200, version=v, role=role) for day in range(days) for v, role in SIDES]
    insert(database, "performance", *final, *(cell(days, 10, version=v, role=role) for v, role in SIDES))
    insert(database, "windows", *(windows(day, 200 * int(v), v) for day in range(days + 1) for v in "12"))


class Worker:
    def __init__(self, database: ClickHouse, **rules: Any) -> None:
        catalog = Catalog()
        catalog.update(ModelSpec(model="m", comparison=ComparisonRules(**rules)))
        self.database = database
        self.watch = Watch(catalog, "t", database.query)

    async def round(self, *, keep: bool = True) -> list[Detection]:
        """What one round tells; its rows are kept unless the worker dies before."""
        told = []
        async for found in self.watch(next(_NOW_MS)):
            told += [msgspec.json.decode(message.value or b"", type=Detection) for message in found.effects.messages]
            if keep:
                await self.database.insert(found.effects.rows, found.name)
        return told


async def verdicts(database: ClickHouse) -> list[str]:
    rows = await database.query("SELECT verdict FROM verdicts FINAL ORDER BY champion, role, through")
    return [row["verdict"] for row in rows]


async def test_a_better_challenger_is_told_once(database: ClickHouse) -> None:
    insert(database, "comparisons", *(pairs(day, 5, 25) for day in range(4)))
    settle(database, 3)
    (found,) = await Worker(database).round()
    assert (found.kind, found.signal, found.method, found.version, found.reference) == (
        *("comparison", "accuracy", "better", "2", "1"),
    )
    assert (found.role, found.direction, found.start_ms) == ("challenger", "up", START_MS)
    assert found.low is not None
    assert 0 < found.low < found.effect == pytest.approx(0.1)
    assert await verdicts(database) == ["better"] * 3  # the fourth day is not settled
    assert await Worker(database).round() == []  # another worker, or this one after a restart
    (row,) = await database.query("SELECT * FROM detections FINAL")
    assert (row["id"], row["role"], row["detail"]) == (found.id, "challenger", found.detail)
    (view,) = await database.query("SELECT * FROM champion_challenger WHERE running_n = 600")
    assert (view["running_low"], view["verdict"]) != (None, None)


async def test_without_settled_days_there_is_no_verdict(database: ClickHouse) -> None:
    insert(database, "comparisons", *(pairs(day, 0, 100) for day in range(4)))
    settle(database, 0)
    assert await Worker(database).round() == []
    assert await verdicts(database) == []


async def test_what_could_not_be_kept_is_told_again_with_the_same_id(database: ClickHouse) -> None:
    insert(database, "comparisons", pairs(0, 0, 100))
    settle(database, 1)
    worker = Worker(database)
    (first,) = await worker.round(keep=False)
    (again,) = await worker.round()
    assert again == first
    assert await worker.round() == []


async def test_a_verdict_that_corrected_labels_take_back_is_told(database: ClickHouse) -> None:
    insert(database, "comparisons", pairs(0, 5, 40), pairs(1, 5, 40))
    settle(database, 2)
    worker = Worker(database)
    assert [found.method for found in await worker.round()] == ["better"]
    insert(database, "comparisons", pairs(0, 20, 22, at=1), pairs(1, 20, 22, at=1))
    assert [(found.method, found.end_ms) for found in await worker.round()] == [("not yet", START_MS + 2 * DAY_MS)]
    assert await verdicts(database) == ["not yet", "not yet"]
    insert(database, "comparisons", pairs(0, 5, 40, at=2), pairs(1, 5, 40, at=2))  # the correction was wrong
    assert [found.method for found in await worker.round()] == ["better"]
    assert await worker.round() == []


async def test_corrections_that_leave_the_verdict_restate_its_days_silently(database: ClickHouse) -> None:
    insert(database, "comparisons", pairs(0, 5, 40), pairs(1, 5, 40))
    settle(database, 2)
    worker = Worker(database)
    await worker.round()
    insert(database, "comparisons", pairs(0, 6, 40, at=1))
    assert await worker.round() == []
    numbers = await database.query("SELECT difference FROM verdicts FINAL ORDER BY through")
    assert [row["difference"] for row in numbers] == pytest.approx([34 / 200, 69 / 400])


async def test_versions_and_roles_are_judged_by_themselves(database: ClickHouse) -> None:
    insert(
        database,
        "comparisons",
        pairs(0, 0, 60),
        pairs(0, 60, 0, role="shadow"),
        pairs(0, 30, 30, challenger="3"),
        pairs(0, 60, 0, champion="0"),
        pairs(0, 60, 0, model="other"),
    )
    settle(database, 1)
    told = [found for found in await Worker(database).round() if found.model == "m"]
    assert [(found.reference, found.version, found.role, found.method) for found in told] == [
        ("0", "2", "challenger", "worse"),
        ("1", "2", "challenger", "better"),
        ("1", "2", "shadow", "worse"),
    ]


async def test_numbers_are_told_by_their_errors(database: ClickHouse) -> None:
    errors = {"champion_errors": 300.0, "challenger_errors": 200.0, "differences": -100.0, "difference_squares": 150.0}
    insert(database, "comparisons", pairs(0, 0, 0) | {"compared": 0, "measured": 200} | errors)
    settle(database, 1)
    (found,) = await Worker(database).round()
    assert (found.signal, found.method, found.direction, found.before, found.after) == (
        "mae",
        "better",
        "down",
        1.5,
        1.0,
    )
    assert "mean absolute error" in found.detail


async def test_new_rules_judge_from_the_beginning(database: ClickHouse) -> None:
    insert(database, "comparisons", pairs(0, 5, 40), pairs(1, 5, 40))
    settle(database, 2)
    await Worker(database).round()
    (found,) = await Worker(database, margin=0.3).round()
    assert found.method == "not yet"
    assert await verdicts(database) == ["not yet", "not yet"]


async def test_a_model_without_anything_new_is_not_asked_about(database: ClickHouse) -> None:
    asked = 0

    async def query(sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        nonlocal asked
        asked += 1
        return await database.query(sql, parameters)

    async def round_() -> int:
        before = asked
        await worker.round()
        return asked - before

    insert(database, "comparisons", pairs(0, 20, 20))
    settle(database, 1)
    worker = Worker(database)
    worker.watch = Watch(Catalog(), "t", query)
    gone_on = {"window": f"{START + dt.timedelta(days=1)} 05:00:00"}
    for more in (windows(1, 1), windows(1, 1) | gone_on):
        insert(database, "windows", more)
        assert await round_() > 1
        assert 1 in [await round_() for _ in range(5)]  # the engine may merge rows once or twice
