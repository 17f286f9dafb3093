"""The watch publishes each broken limit once, from the rows that stand in ClickHouse."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, PerformanceRules
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Named
from driftline_streams.performance.watch import Watch
from driftline_streams.sinks.clickhouse import ClickHouse

from .conftest import DAY_MS, HOUR_MS, START_MS, compute, outcomes, served

NOW_MS = START_MS + 400 * DAY_MS


@pytest.fixture
def catalog() -> Catalog:
    known = Catalog()
    known.update(ModelSpec(model="m", performance=PerformanceRules(accuracy=0.8)))
    known.update(ModelSpec(model="unlimited"))
    return known


async def fill(database: ClickHouse, day: int, right: float, n: int = 100) -> None:
    at_ms = START_MS + day * DAY_MS
    correct = np.arange(n) < right * n
    rows = outcomes(
        n, timestamp=at_ms, positive=1, predicted_positive=correct, prediction_id=[f"{day}:{i}" for i in range(n)]
    )
    await database.insert([rows, served((at_ms, n, 0))], f"day {day}")
    await compute(database)


async def told(watch: Watch, now_ms: int = NOW_MS) -> Named:
    """What one round has to say of the one model with limits."""
    found = [named async for named in watch(now_ms)]
    assert len(found) <= 1
    return found[0] if found else Named()


async def done(database: ClickHouse, result: Named) -> list[Detection]:
    await database.insert(result.effects.rows, result.name)
    return [msgspec.json.decode(message.value or b"", type=Detection) for message in result.effects.messages]


async def test_a_bad_day_is_found_once(database: ClickHouse, catalog: Catalog) -> None:
    for day, right in enumerate((0.95, 0.5, 0.9, 0.78)):
        await fill(database, day, right)
    one, other = Watch(catalog, "t", database.query), Watch(catalog, "t", database.query)
    (found,) = await done(database, await told(one))
    assert (found.signal, found.start_ms, found.statistic) == ("accuracy", START_MS + DAY_MS, 0.5)
    assert await done(database, await told(one)) == []
    assert await done(database, await told(other)) == []  # another worker, or this one after a restart
    (row,) = await database.query("SELECT * FROM detections FINAL")
    assert (row["id"], row["kind"], row["p_value"], row["detail"]) == (found.id, "performance", None, found.detail)


async def test_what_could_not_be_kept_is_found_again(database: ClickHouse, catalog: Catalog) -> None:
    await fill(database, 0, 0.5)
    await fill(database, 1, 0.9)
    round_ = Watch(catalog, "t", database.query)
    first = await told(round_)
    again = await told(round_)
    assert again.name == first.name != ""
    assert len(await done(database, again)) == 1
    assert (await told(round_)).name == ""


async def test_two_workers_at_the_same_time_publish_the_same(database: ClickHouse, catalog: Catalog) -> None:
    await fill(database, 0, 0.5)
    await fill(database, 1, 1)  # the day before is over
    one = await told(Watch(catalog, "t", database.query))
    other = await told(Watch(catalog, "t", database.query))
    assert one.name == other.name
    assert await done(database, one) == await done(database, other)
    assert len(await database.query("SELECT id FROM detections")) == 1


async def test_days_are_judged_as_they_come_and_new_limits_from_the_beginning(
    database: ClickHouse, catalog: Catalog
) -> None:
    round_ = Watch(catalog, "t", database.query)
    await fill(database, 0, 0.9)
    assert await done(database, await told(round_)) == []
    await fill(database, 1, 0.5)
    await fill(database, 2, 1)
    assert [found.start_ms for found in await done(database, await told(round_))] == [START_MS + DAY_MS]
    catalog.update(ModelSpec(model="m", performance=PerformanceRules(accuracy=0.99)))
    assert [found.start_ms for found in await done(database, await told(round_))] == [START_MS]


async def test_without_outcomes_nothing_happens(database: ClickHouse, catalog: Catalog) -> None:
    result = await told(Watch(catalog, "t", database.query))
    assert (result.name, result.effects.rows, result.effects.messages) == ("", (), ())


async def young(database: ClickHouse, labelled: int, right: float) -> None:
    """Day 0 of 200 answers, `labelled` of which have their truth; day 1 has begun."""
    rows = outcomes(
        labelled,
        timestamp=START_MS,
        positive=1,
        predicted_positive=np.arange(labelled) < right * labelled,
        prediction_id=[f"y{i}" for i in range(labelled)],
    )
    await database.insert([rows, served((START_MS, 200, 0), (START_MS + DAY_MS, 5, 0))], "young")
    await compute(database)


async def expected(database: ClickHouse, **given: Any) -> None:
    """What is expected of the accuracy of day 0."""
    row: dict[str, Any] = {"estimate": 0.5, "low": 0.45, "high": 0.55, "labelled": 150, "coverage": 1.0} | given
    await database.execute(
        """
        INSERT INTO estimates
            (model, version, role, day, metric, basis, estimate, low, high, n, labelled, coverage, method)
        VALUES ('m', '1', 'champion', '2025-01-01', 'accuracy', 'labels', {estimate:Float64}, {low:Float64},
            {high:Float64}, 200, {labelled:UInt64}, {coverage:Float64}, 'weighted')
        """,
        row,
    )


async def test_a_young_day_waits_for_what_is_expected_of_it(database: ClickHouse, catalog: Catalog) -> None:
    await young(database, 150, 0.5)
    watch = Watch(catalog, "t", database.query)
    assert await done(database, await told(watch)) == []
    await expected(database, labelled=100)  # of fewer labels than have come
    assert await done(database, await told(watch)) == []
    await expected(database)
    (found,) = await done(database, await told(watch))
    assert (found.method, found.statistic, found.start_ms) == ("expected", 0.5, START_MS)
    assert await done(database, await told(watch)) == []


async def test_a_day_that_is_better_in_the_end_is_taken_back(database: ClickHouse, catalog: Catalog) -> None:
    await young(database, 150, 0.5)
    await expected(database)
    watch = Watch(catalog, "t", database.query)
    (first,) = await done(database, await told(watch))
    rest = outcomes(
        200, timestamp=START_MS, label_timestamp=START_MS + 2 * HOUR_MS, positive=1,
        predicted_positive=np.arange(200) < 190, prediction_id=[f"y{i}" for i in range(200)],
    )  # fmt: skip
    await database.insert([rest], "all labels, corrected")
    await compute(database)
    (second,) = await done(database, await told(watch))
    assert (second.method, second.statistic, second.start_ms) == ("withdrawn", 0.95, START_MS)
    assert second.id != first.id
    assert await done(database, await told(watch)) == []


async def test_a_restated_day_is_judged_anew(database: ClickHouse, catalog: Catalog) -> None:
    await fill(database, 0, 0.9)
    await fill(database, 1, 0.9)
    watch = Watch(catalog, "t", database.query)
    assert await done(database, await told(watch)) == []
    worse = outcomes(
        100, timestamp=START_MS, label_timestamp=START_MS + 5 * HOUR_MS, positive=1, predicted_positive=0,
        prediction_id=[f"0:{i}" for i in range(100)],
    )  # fmt: skip
    await database.insert([worse], "corrected")
    await compute(database)
    (found,) = await done(database, await told(watch))
    assert (found.start_ms, found.statistic) == (START_MS, 0.0)
