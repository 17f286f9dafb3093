"""The watch over labels judges each settled day once, against the reference or the first labels of the version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy import stats

from driftline_schemas.records import Detection
from driftline_schemas.spec import DriftRules, ModelSpec
from driftline_streams.kernel import budget
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Rows
from driftline_streams.performance.labels import DAYS, LabelWatch
from driftline_streams.reference.build import build
from driftline_streams.sinks.clickhouse import ClickHouse

from .conftest import DAY_MS, HOUR_MS, START_MS, outcomes, served

NOW_MS = START_MS + 400 * DAY_MS
DICE = np.random.default_rng(7)
WEEK = (0.2,) * 7


async def fill(database: ClickHouse, day: int, labels: list[str] | None = None, **given: Any) -> None:
    """A day of predictions, all of whose labels have come; `answered` more have none."""
    answered = given.pop("answered", 0)
    n = len(labels) if labels is not None else len(given["label_value"])
    at_ms = START_MS + day * DAY_MS
    ids = [f"{given.get('version', '1')}:{day}:{i}" for i in range(n)]
    joined_ms = given.pop("joined_ms", None)
    rows = outcomes(n, timestamp=at_ms, prediction_id=ids, **({"label": labels} if labels is not None else {}), **given)
    if joined_ms is not None:
        rows = Rows("outcomes", n, {**rows.columns, "joined_at": np.full(n, joined_ms, np.int64)})
    name = given.get("version", "1")
    await database.insert([rows, served((at_ms, n + answered, 0), version=name)], f"{name} day {day}")


async def later(database: ClickHouse, day: int) -> None:
    """Predictions without labels so far: the model's time has come to this day."""
    await database.insert([served((START_MS + day * DAY_MS + HOUR_MS, 1, 0))], f"later {day}")


async def found(database: ClickHouse, catalog: Catalog, watch: LabelWatch | None = None) -> list[Detection]:
    """What one round finds, carried out; without a watch, of one that starts."""
    out: list[Detection] = []
    async for result in (watch or LabelWatch(catalog, "t", database.query))(NOW_MS):
        out += [msgspec.json.decode(message.value or b"", type=Detection) for message in result.effects.messages]
        await database.insert(result.effects.rows, result.name)
    return out


def late(share: float, n: int = 500) -> list[str]:
    return ["late" if value < share * n else "on time" for value in range(n)]


async def test_a_day_with_other_labels_is_found_once(database: ClickHouse) -> None:
    for day, share in enumerate((*WEEK, 0.2, 0.45, 0.2)):
        await fill(database, day, late(share))
    await later(database, 10)
    (finding,) = await found(database, Catalog())
    assert (finding.signal, finding.kind, finding.method) == ("label", "drift", "psi")
    assert (finding.start_ms, finding.end_ms, finding.n) == (START_MS + 8 * DAY_MS, START_MS + 9 * DAY_MS, 500)
    assert finding.observed["late"] == 225
    assert finding.expected["late"] == pytest.approx(100)
    table = [[225, 275], [700, 2_800]]
    assert finding.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert await found(database, Catalog()) == []  # a restart, or another worker
    rows = await database.query("SELECT state, n_reference FROM drift FINAL WHERE signal = 'label' ORDER BY window")
    assert [(row["state"], row["n_reference"]) for row in rows] == [("ok", 3500), ("drift", 3500), ("ok", 3500)]


async def test_a_day_is_judged_when_its_labels_have_come(database: ClickHouse) -> None:
    for day, share in enumerate(WEEK):
        await fill(database, day, late(share))
    await fill(database, 7, late(0.9), answered=400)  # bad news comes early
    await later(database, 8)
    assert await found(database, Catalog()) == []
    await later(database, 40)  # beyond the horizon: what has not come will not
    (finding,) = await found(database, Catalog())
    assert finding.start_ms == START_MS + 7 * DAY_MS


async def test_a_day_of_which_no_label_has_come_holds_up_those_after_it(database: ClickHouse) -> None:
    for day, share in enumerate((*WEEK, 0.2, 0.9)):
        if day != 7:
            await fill(database, day, late(share))
    await database.insert([served((START_MS + 7 * DAY_MS, 500, 0))], "day 7")
    await later(database, 9)
    assert await found(database, Catalog()) == []
    await later(database, 40)  # beyond the horizon
    (finding,) = await found(database, Catalog())
    assert finding.start_ms == START_MS + 8 * DAY_MS


async def test_days_with_few_labels_are_judged_together(database: ClickHouse) -> None:
    for day in range(10):
        await fill(database, day, late(0.2, 100))
    for day in range(10, 14):
        await fill(database, day, late(0.7, 60))
    await later(database, 14)
    (finding,) = await found(database, Catalog())
    assert (finding.n, finding.end_ms - finding.start_ms) == (240, 4 * DAY_MS)


async def test_a_watch_that_goes_on_finds_what_one_that_starts_would(database: ClickHouse) -> None:
    watch = LabelWatch(Catalog(), "t", database.query)
    for day in range(14):
        await fill(database, day, late(0.2, 100) if day < 10 else late(0.7, 60))
        assert await found(database, Catalog(), watch) == []
    await later(database, 14)
    (finding,) = await found(database, Catalog(), watch)
    assert (finding.n, finding.end_ms - finding.start_ms) == (240, 4 * DAY_MS)
    assert await found(database, Catalog(), watch) == []


async def test_only_days_are_read_again_that_are_open_or_that_labels_have_come_for(database: ClickHouse) -> None:
    read_from: list[int] = []

    async def query(sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        if sql == DAYS:
            read_from.append((parameters["from_s"] * 1000 - START_MS) // DAY_MS)
        return await database.query(sql, parameters)

    watch = LabelWatch(Catalog(), "t", query)
    for day in range(9):
        await fill(database, day, late(0.2), answered=400 * (day == 8), joined_ms=START_MS)
    await later(database, 9)
    for _ in range(2):
        await found(database, Catalog(), watch)
    assert read_from == [-START_MS // DAY_MS, 8]
    await database.insert([outcomes(1, label="late", timestamp=START_MS + 2 * DAY_MS)], "a late label")
    await found(database, Catalog(), watch)
    assert read_from[2:] == [2]


async def test_when_the_reference_comes_or_goes_what_is_usual_changes(database: ClickHouse) -> None:
    catalog = Catalog()
    watch = LabelWatch(catalog, "t", database.query)
    await fill(database, 0, late(0.2), joined_ms=START_MS)
    await later(database, 1)
    assert await found(database, catalog, watch) == []  # nothing is usual yet
    labels = np.array(late(0.6, 2_000))
    catalog.update(build("m", "1", {"label": labels}, n=2_000, start_ms=0, end_ms=START_MS - 1))
    (finding,) = await found(database, catalog, watch)
    assert finding.reference == catalog.references()[0].id
    catalog.remove("m@1")
    for day in range(1, 8):
        await fill(database, day, late(0.2), joined_ms=START_MS)
    await later(database, 9)
    await found(database, catalog, watch)
    (row,) = await database.query("SELECT n_reference FROM drift FINAL WHERE reference = ''")
    assert row["n_reference"] == 7 * 500  # the first one as well, which was judged before


async def test_the_labels_of_the_reference_are_the_usual_ones(database: ClickHouse) -> None:
    catalog = Catalog()
    labels = np.array(late(0.6, 2_000))
    catalog.update(build("m", "1", {"label": labels}, n=2_000, start_ms=0, end_ms=START_MS - 1))
    await fill(database, 0, late(0.2))
    await later(database, 1)
    (finding,) = await found(database, catalog)
    assert "those of the reference" in finding.detail
    assert finding.reference == catalog.references()[0].id


async def test_numbers_are_compared_by_their_mean(database: ClickHouse) -> None:
    catalog = Catalog()
    catalog.update(ModelSpec(model="m", kind="regression"))
    usual = DICE.normal(10, 2, 1_000)
    moved = DICE.normal(11.5, 2, 400)
    for day, values in enumerate((*np.split(usual, 8), DICE.normal(10, 2, 400), moved)):
        await fill(database, day, label_value=values, prediction_value=values)
    await later(database, 10)
    (finding,) = await found(database, catalog)
    assert (finding.method, finding.direction, finding.start_ms) == ("mean", "up", START_MS + 9 * DAY_MS)
    assert finding.before == pytest.approx(usual.mean())
    assert finding.after == pytest.approx(moved.mean())
    assert finding.effect == pytest.approx((moved.mean() - usual.mean()) / usual.std(ddof=1))
    assert finding.low is not None
    assert finding.high is not None
    assert finding.low < finding.effect < finding.high


async def test_versions_have_their_own_usual_labels(database: ClickHouse) -> None:
    for version, share in (("1", 0.2), ("2", 0.6)):
        for day in range(9):
            await fill(database, day, late(share), version=version)
    await later(database, 10)
    assert await found(database, Catalog()) == []
    rows = await database.query("SELECT version, count() AS n FROM drift FINAL GROUP BY version ORDER BY version")
    assert [(row["version"], row["n"]) for row in rows] == [("1", 2), ("2", 2)]


async def test_a_million_classes_do_not_stop_the_watch(database: ClickHouse) -> None:
    for day in range(8):
        await fill(database, day, [f"{day}:{i}" for i in range(1_000)])
    await later(database, 9)
    assert await found(database, Catalog()) == []  # they are no classes: each is as rare as ever
    (row,) = await database.query("SELECT state, length(mapKeys(bins)) AS bars, n FROM drift FINAL")
    assert (row["state"], row["bars"], row["n"]) == ("ok", 10, 1_000)


async def test_a_quiet_year_raises_nothing(database: ClickHouse) -> None:
    for day in range(40):
        await fill(database, day, ["late" if hit else "on time" for hit in DICE.random(300) < 0.2])
    await later(database, 41)
    catalog = Catalog()
    catalog.update(ModelSpec(model="m", drift=DriftRules(psi=0.0)))  # significance alone
    assert len(await found(database, catalog)) <= 1


def test_the_shares_of_the_budget_add_up() -> None:
    assert sum((budget.DETECTORS, budget.WINDOWS, budget.JOINT, budget.LABELS, budget.CONCEPT)) == pytest.approx(1)
    assert budget.alpha(DriftRules(alpha=0.02), budget.JOINT, 1) == 0.02
    assert budget.alpha(DriftRules(false_alarm_days=10), budget.JOINT, 1) * 10 == pytest.approx(budget.JOINT)
    assert budget.alpha(DriftRules(false_alarm_days=0.1), budget.WINDOWS, 7) == 0.05
