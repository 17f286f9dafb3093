"""The cells are the sums of the outcomes that hold, whatever came how often, in which order, and whoever was killed."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from driftline_schemas.spec import FairnessRules, ModelSpec
from driftline_streams.errors import Overloaded, Unavailable, UsageError
from driftline_streams.kernel import cohort
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Rows
from driftline_streams.kernel.limits import MAX_CATEGORIES, MAX_SEGMENT_VALUES, OTHER_CATEGORY, OTHER_SEGMENT
from driftline_streams.kernel.pace import BURST_S, Pace
from driftline_streams.performance.aside import FIRST_WAIT, Aside, Came
from driftline_streams.performance.cohorts import CLOCK, Cohorts
from driftline_streams.sinks.clickhouse import ClickHouse

from . import oracle
from .conftest import DAY_MS, HOUR_MS, START_MS, compute, outcomes, served

SPEC = ModelSpec(model="m", segments=["country"], fairness=FairnessRules(attributes=["sex"]))
_names = itertools.count()


async def put(database: ClickHouse, *rows: Rows) -> None:
    await database.insert(rows, f"test cohorts {next(_names)}")


def mixed(n: int, seed: int, **given: Any) -> list[Rows]:
    """`n` outcomes of each kind over three days, with weights, segments, missing numbers and late labels.

    Another seed gives other truths of the same predictions.
    """
    rng = np.random.default_rng(0)
    found = []
    for kind in ("binary", "multiclass", "regression", "ranking"):
        time_ms = START_MS + rng.integers(0, 3 * DAY_MS, n)
        common: dict[str, Any] = {
            "kind": kind,
            "prediction_id": [f"{kind}{i}" for i in range(n)],
            "timestamp": time_ms,
            "label_timestamp": time_ms + (rng.lognormal(9, 3, n) * 1000).astype(np.int64),
            "version": [str(i) for i in rng.integers(1, 3, n)],
            "role": list(rng.choice(["champion", "shadow"], n)),
            "weight": rng.choice([0.0, 0.5, 1.0, 3.0], n),
            "segment": [{"country": str(rng.choice(["", "de", "fr"])), "sex": "f", "x": "y"} for _ in range(n)],
        }
        truths = np.random.default_rng(seed)
        score = np.round(rng.random(n), 2)
        score[rng.random(n) < 0.1] = np.nan
        match kind:
            case "binary":
                common |= {
                    "positive": truths.random(n) < 0.3,
                    "predicted_positive": rng.random(n) < 0.4,
                    "score": score,
                }
            case "multiclass":
                common |= {
                    "prediction": list(rng.choice(["a", "b", "c"], n)),
                    "label": list(truths.choice(["a", "d"], n)),
                }
                common |= {"confidence": score, "label_probability": np.round(rng.random(n), 2)}
            case "regression":
                common |= {
                    "prediction_value": np.round(rng.normal(0, 9, n)),
                    "label_value": np.round(truths.normal(0, 9, n)),
                }
                common["prediction_value"][:3] = np.nan
            case "ranking":
                lists = np.arange(n) // 15  # deeper than NDCG looks
                common |= {"request_id": [f"r{i}" for i in lists], "position": 1.0 + np.arange(n) % 15}
                common |= {"timestamp": START_MS + lists * HOUR_MS, "label_value": truths.choice([0, 0, 0, 1, 2], n)}
                common["position"][::40] = np.nan
        found.append(outcomes(n, **common | given))
    return found


async def cells(database: ClickHouse) -> dict[oracle.Key, cohort.Cohort]:
    rows = map(cohort.of, await database.query(f"{cohort.SELECT} WHERE stage = 'latest' AND n > 0"))
    return {(row.version, row.role, row.day, row.dim, row.segment): row for row in rows}


async def agree(database: ClickHouse) -> None:
    """The cells are those of the raw rows."""
    raw = await database.query("SELECT * FROM outcomes FINAL")
    expected = oracle.cohorts(raw, ["country", "sex"])
    found = await cells(database)
    assert found.keys() == expected.keys()
    for key, sums in expected.items():
        for name in cohort.Cohort.__dataclass_fields__:
            value = getattr(found[key], name)
            if isinstance(value, Mapping):
                assert value == pytest.approx(sums.get(name, {}), rel=1e-9, abs=1e-9), (key, name)
            elif isinstance(value, int | float):
                assert value == pytest.approx(sums.get(name, 0), rel=1e-9, abs=1e-9), (key, name)


async def test_cells_are_the_sums_of_the_raw_outcomes_of_every_kind(database: ClickHouse) -> None:
    await put(database, *mixed(200, 1))
    await compute(database, SPEC)
    await agree(database)


async def test_corrections_repeats_and_another_order_give_the_same_cells(database: ClickHouse) -> None:
    await put(database, *mixed(120, 2))
    cohorts = worker(database)
    await cohorts()
    for rows in reversed(mixed(120, 2)):
        await put(database, rows)  # all of it again
        await cohorts()
    truer = {"label_timestamp": START_MS + 900 * DAY_MS}
    await put(database, mixed(120, 3, **truer)[0])  # other truths, known later
    await put(database, mixed(120, 2)[0])  # and what was wrong once more
    await cohorts()
    await agree(database)


async def test_only_days_that_labels_came_for_are_computed_and_the_oldest_first(database: ClickHouse) -> None:
    cohorts = worker(database, slack_s=0.0)
    await put(database, *mixed(50, 4))
    assert (await cohorts()).computed == 3
    while (await cohorts()).computed:  # once more, when what was joined is surely visible
        pass
    await put(database, outcomes(1, positive=1, predicted_positive=1, timestamp=START_MS + DAY_MS))
    before = await cells(database)
    assert (await cohorts()).computed == 1
    after = await cells(database)
    assert {key[2].day for key in after if before.get(key) != after[key]} == {2}
    await agree(database)


async def test_a_backlog_is_worked_off_in_bounded_rounds(database: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftline_streams.performance.cohorts.MOST_OUTCOMES", 10)
    await put(database, *mixed(60, 5))
    cohorts, left = worker(database), []
    for _ in range(3):
        done = await cohorts()
        assert done.computed == 1
        left.append(done.left)
        assert {key[2].day for key in await cells(database)} == set(range(1, len(left) + 1))
    assert left == [2, 1, 0]
    await agree(database)


@pytest.mark.parametrize("statement", range(3))
async def test_what_a_crash_left_undone_is_done_by_the_next_worker(database: ClickHouse, statement: int) -> None:
    await put(database, *mixed(60, 6))
    await compute(database, SPEC)
    await put(database, *mixed(60, 7, label_timestamp=START_MS + 900 * DAY_MS))
    calls = itertools.count()

    async def dies(sql: str, parameters: Mapping[str, Any]) -> None:
        if next(calls) == statement:
            raise Unavailable("killed")
        await database.execute(sql, parameters)

    unsliced = catalog(ModelSpec(model="m"))  # its rows of segments have yet to be cleared
    dying = Cohorts(unsliced, database.query, dies, ("INSERT INTO performance SELECT * FROM performance WHERE 0",))
    with pytest.raises(Unavailable):
        await dying()
    await compute(database, SPEC)
    await agree(database)


WORKER = """
import asyncio, sys
from driftline_schemas.spec import FairnessRules, ModelSpec
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.performance.cohorts import Cohorts
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse

async def work():
    database, catalog = ClickHouse(Settings.load()), Catalog()
    catalog.update(ModelSpec(model="m", segments=["country"], fairness=FairnessRules(attributes=["sex"])))
    async def execute(sql, parameters):
        print("begins", flush=True)
        await database.execute(sql, parameters)
    cohorts = Cohorts(catalog, database.query, execute, slack_s=0.5)
    while True:
        await cohorts()
        await asyncio.sleep(0.01)

asyncio.run(work())
"""


async def test_a_worker_that_is_killed_anywhere_leaves_no_trace_in_the_cells(
    database: ClickHouse, eventually: Callable[..., Any]
) -> None:
    moments = random.Random(8)  # noqa: S311 - a seeded schedule
    environment = {**os.environ, **database.settings.environment()}

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", WORKER], env=environment, stdout=subprocess.PIPE)

    running = start()
    try:
        for part in range(3):
            rows = mixed(
                60, 10 + part, label_timestamp=START_MS + (900 + part) * DAY_MS
            )  # each corrects the one before
            await put(database, *rows)
            assert running.stdout is not None
            assert await asyncio.to_thread(running.stdout.readline)
            await asyncio.sleep(moments.random() * 0.1)
            running.send_signal(signal.SIGKILL)
            running.wait(10)
            running = start()

        def settled() -> bool:
            asyncio.run(agree(ClickHouse(database.settings)))
            return True

        await asyncio.to_thread(eventually, settled, within_s=20, every_s=0.2)
    finally:
        running.kill()


THROWS = """
INSERT INTO performance
SELECT * FROM performance
WHERE (SELECT throwIf(has({days:Array(Date)}, toDate('2025-01-02'))) FROM numbers(1)) = 1
"""
# Nearly a gigabyte for one day, where less is allowed.
TOO_LARGE = """
INSERT INTO performance
SELECT * FROM performance
WHERE 0 = (
    SELECT length(groupArray(number)) FROM numbers(if(has({days:Array(Date)}, toDate('2025-01-02')), 100000000, 1))
)
SETTINGS max_memory_usage = 20000000
"""


@pytest.mark.parametrize(("statement", "error"), [(THROWS, UsageError), (TOO_LARGE, Overloaded)])
async def test_a_day_that_cannot_be_summed_up_is_set_aside_and_the_others_are_not(
    database: ClickHouse, monkeypatch: pytest.MonkeyPatch, statement: str, error: type[Exception]
) -> None:
    monkeypatch.setattr("driftline_streams.sinks.clickhouse.PATIENCE_S", 0.1)
    await put(database, *mixed(30, 6))
    cohorts = worker(database, statements=[statement])
    with pytest.raises(error), capture_logs() as logs:
        await cohorts()
    assert set_aside(logs) == [("m", ["2025-01-01", "2025-01-02", "2025-01-03"], 0)]
    assert await cells(database) == {}
    with pytest.raises(error), capture_logs() as logs:
        await cohorts()  # each alone
    assert set_aside(logs) == [("m", ["2025-01-02"], 60)]
    assert (await cohorts()).left == 0
    assert {key[2].day for key in await cells(database)} == {1, 3}


async def test_a_day_of_which_the_answer_gets_lost_is_set_aside_but_in_an_outage_none_is(database: ClickHouse) -> None:
    await put(database, *mixed(30, 6))
    away = False

    async def query(sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        if away:
            raise Unavailable("away")
        return await database.query(sql, parameters)

    async def execute(sql: str, parameters: Mapping[str, Any]) -> None:
        nonlocal away
        if sql == THROWS and "2025-01-02" in parameters["days"]:
            away = outage
            raise Unavailable("the connection was closed")
        if sql != THROWS:
            await database.execute(sql, parameters)

    cohorts = Cohorts(catalog(SPEC), query, execute, [THROWS])
    outage = True
    with pytest.raises(Unavailable) as raised, capture_logs() as logs:
        await cohorts()
    assert (type(raised.value), set_aside(logs)) == (Unavailable, [])
    away = outage = False
    for alone in (False, True):
        with pytest.raises(Overloaded), capture_logs() as logs:
            await cohorts()
        assert set_aside(logs) == (
            [("m", ["2025-01-02"], 60)] if alone else [("m", ["2025-01-01", "2025-01-02", "2025-01-03"], 0)]
        )
    assert (await cohorts()).left == 0
    assert {key[2].day for key in await cells(database)} == {1, 3}


def set_aside(logs: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[str], float]]:
    return [(each["model"], each["days"], each["wait_s"]) for each in logs if "wait_s" in each]


async def test_a_day_that_was_set_aside_is_summed_up_when_it_can_be_with_all_that_came(database: ClickHouse) -> None:
    await put(database, *mixed(30, 6))
    fails, ahead = True, dt.timedelta()

    async def query(sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        rows = await database.query(sql, parameters)
        return [{"now": row["now"] + ahead} for row in rows] if sql == CLOCK else rows

    async def execute(sql: str, parameters: Mapping[str, Any]) -> None:
        if fails or sql != THROWS:
            await database.execute(sql, parameters)

    cohorts = Cohorts(catalog(SPEC), query, execute, [THROWS], slack_s=0.0)
    for _ in range(2):
        with pytest.raises(UsageError):
            await cohorts()
    while (await cohorts()).computed:
        pass  # only what was set aside is left
    await put(database, *mixed(30, 7, label_timestamp=START_MS + 900 * DAY_MS))
    while (await cohorts()).computed:
        pass
    fails = False
    assert (await cohorts()).computed == 0  # it waits
    ahead = FIRST_WAIT
    assert (await cohorts()).computed == 1
    await agree(database)
    assert (await cohorts()).computed == 0


async def test_a_day_that_was_set_aside_is_not_reported_and_keeps_no_other_from_it(database: ClickHouse) -> None:
    times = START_MS + DAY_MS * np.arange(2)
    await put(database, outcomes(2, positive=1, predicted_positive=1, timestamp=times))
    await compute(database)
    await put(database, served((START_MS + 40 * DAY_MS, 1, 0)))
    more = {"prediction_id": ["a", "b"], "timestamp": times}
    await put(database, outcomes(2, positive=1, predicted_positive=1, **more))
    cohorts = worker(database, statements=[THROWS])
    for _ in range(2):
        with pytest.raises(UsageError):
            await cohorts()
    await cohorts.report()
    reported = await database.query("SELECT toDayOfMonth(day) AS day, n FROM performance WHERE stage = 'reported'")
    assert [(row["day"], row["n"]) for row in reported] == [(1, 2)]


def test_a_day_that_fails_alone_waits_for_twice_as_long_each_time_up_to_an_hour() -> None:
    aside, key, now = Aside(), ("m", dt.date(2025, 1, 1)), dt.datetime(2025, 2, 1, tzinfo=dt.UTC)
    came = {key: Came(now, now, 1)}
    aside.fail(came | {("m", dt.date(2025, 1, 2)): came[key]}, now)
    assert not aside.waits(key, now)  # it may have been the other one
    minutes = []
    for _ in range(8):
        minutes.append(aside.fail(came, now) / dt.timedelta(minutes=1))
        assert aside.waits(key, now)
        now += dt.timedelta(minutes=minutes[-1])
        assert not aside.waits(key, now)
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_segments_that_are_no_longer_asked_for_are_empty(database: ClickHouse) -> None:
    await put(database, *mixed(60, 20))
    await compute(database, SPEC)
    await put(database, *mixed(60, 20))
    await compute(database, ModelSpec(model="m", segments=["country"]))
    assert {key[3] for key in await cells(database)} == {"", "country"}


async def test_too_many_values_of_a_segment_are_summed_as_others_the_lightest_first(database: ClickHouse) -> None:
    n = MAX_SEGMENT_VALUES + 40
    values = [{"country": f"v{i:03}"} for i in range(n)]
    rows = outcomes(n, positive=1, predicted_positive=1, weight=1.0 + np.arange(n), segment=values)
    await put(database, rows)
    await compute(database, SPEC)
    found = {key[4]: row.n for key, row in (await cells(database)).items() if key[3] == "country"}
    assert found == {f"v{i:03}": 1 for i in range(40, n)} | {OTHER_SEGMENT: 40}


async def test_too_many_classes_are_summed_as_others_and_are_right_when_they_are_equal(database: ClickHouse) -> None:
    n = MAX_CATEGORIES + 40
    names = [f"c{i:03}" for i in range(n - 1)] + ["x" * 500]
    common = {"prediction": names, "label": names, "weight": 1.0 + np.arange(n)}
    await put(database, outcomes(n, **common, segment=[{"country": "de"}] * n))
    await compute(database, SPEC)
    for row in (await cells(database)).values():
        assert len(row.confusion) == MAX_CATEGORIES + 1
        assert row.confusion[f"{OTHER_CATEGORY}\x1f{OTHER_CATEGORY}"] == sum(range(1, 40)) + n
        assert row.correct == row.weight


async def test_a_day_is_reported_when_it_is_first_final_and_never_again(database: ClickHouse) -> None:
    cohorts = worker(database)
    await put(database, outcomes(4, positive=1, predicted_positive=1), served((START_MS, 10, 0)))
    await cohorts()
    await cohorts.report()

    async def stages() -> Counter[str]:
        rows = await database.query("SELECT stage, sum(n) AS n FROM performance FINAL WHERE dim = '' GROUP BY stage")
        return Counter({row["stage"]: row["n"] for row in rows})

    assert await stages() == {"latest": 4}
    await put(database, served((START_MS + 40 * DAY_MS, 1, 0)))
    await cohorts.report()
    assert await stages() == {"latest": 4, "reported": 4}
    assert await database.query("SELECT * FROM performance_restated") == []
    await put(database, outcomes(6, positive=1, predicted_positive=1))
    await cohorts()
    await cohorts.report()
    assert await stages() == {"latest": 6, "reported": 4}
    assert len(await database.query("SELECT * FROM performance_restated")) == 1


async def test_a_worker_that_has_not_computed_all_days_reports_none(database: ClickHouse) -> None:
    await put(database, outcomes(4, positive=1, predicted_positive=1), served((START_MS + 40 * DAY_MS, 1, 0)))
    await compute(database)
    await worker(database).report()
    assert await database.query("SELECT * FROM performance WHERE stage = 'reported'") == []


async def test_numbers_beyond_all_measure_do_not_spoil_the_sums(database: ClickHouse) -> None:
    values = {"prediction_value": [1e308, -np.inf, 1.0], "label_value": [-1e308, 1.0, 0.0]}
    await put(database, outcomes(3, **values, weight=[1e300, 1, 1]))
    await compute(database)
    (found,) = (await cells(database)).values()
    assert found.measured == 2
    assert all(np.isfinite(value) for value in vars_of(found) if isinstance(value, float))


async def test_grades_beyond_all_measure_are_still_grades(database: ClickHouse) -> None:
    await put(database, outcomes(2, position=[1, 2], label_value=[-1e300, 1e300], request_id="list"))
    await compute(database)
    (found,) = (await cells(database)).values()
    assert (found.clicked, found.reciprocal_ranks) == ({2: 1}, 0.5)
    assert found.ndcg == pytest.approx(1 / np.log2(3))


async def test_a_weight_of_0_is_a_label_that_weighs_nothing(database: ClickHouse) -> None:
    await put(database, outcomes(3, positive=1, predicted_positive=[1, 0, 0], weight=[1, 0, 0]))
    await put(database, outcomes(1, positive=1, predicted_positive=1, weight=0, timestamp=START_MS + DAY_MS))
    await compute(database)
    rows = await database.query("SELECT labelled, accuracy FROM performance_daily ORDER BY day")
    assert rows == [{"labelled": 3, "accuracy": 1}, {"labelled": 1, "accuracy": None}]


def vars_of(row: cohort.Cohort) -> list[Any]:
    return [getattr(row, name) for name in cohort.Cohort.__dataclass_fields__]


def worker(database: ClickHouse, **given: Any) -> Cohorts:
    return Cohorts(catalog(SPEC), database.query, database.execute, **given)


def catalog(spec: ModelSpec) -> Catalog:
    made = Catalog()
    made.update(spec)
    return made


def test_work_takes_a_twentieth_of_the_time_once_a_burst_is_spent() -> None:
    now_s, worked_s = 0.0, 0.0
    pace = Pace(now_s)
    while now_s < 10_000:
        if pace.due(now_s):
            pace.spent(now_s, now_s + 3)
            now_s, worked_s = now_s + 3, worked_s + 3
        now_s += 1
    assert 10_000 / 20 <= worked_s <= 10_000 / 20 + BURST_S + 6


def test_a_backlog_after_a_rest_is_worked_off_at_once() -> None:
    pace = Pace(0.0)
    rounds = 0
    for now_s in range(40):
        if pace.due(now_s):
            pace.spent(now_s, now_s + 1)
            rounds += 1
    assert rounds >= 15
