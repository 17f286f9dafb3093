"""The performance views agree with scikit-learn and numpy, are NULL where undefined, and say how sure they are."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from sklearn import metrics

from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.effects import Rows
from driftline_streams.sinks.clickhouse import ClickHouse

from .conftest import DAY_MS, HOUR_MS, START_MS, compute, outcomes, served

_names = itertools.count()
Floats = npt.NDArray[np.float64]


async def put(database: ClickHouse, *rows: Rows) -> None:
    await database.insert(rows, f"test views {next(_names)}")
    await compute(database)


async def the_only(database: ClickHouse, sql: str) -> dict[str, Any]:
    (row,) = await database.query(sql)
    return row


def day_of(ms: int) -> dt.date:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).date()


@pytest.mark.parametrize("digits", [1, 16], ids=["many ties", "no ties"])
async def test_a_day_agrees_with_scikit_learn(database: ClickHouse, digits: int) -> None:
    rng = np.random.default_rng(digits)
    n, days = 6000, 3
    truth = (rng.random(n) < 0.3).astype(float)
    score = np.round(np.clip(rng.normal(0.3 + 0.3 * truth, 0.25), 0, 1), digits)  # with exact zeros and ones
    predicted = (score > 0.4).astype(float)
    time_ms = START_MS + rng.integers(0, days * DAY_MS, n)
    rows = outcomes(n, timestamp=time_ms, positive=truth, predicted_positive=predicted, score=score)
    await put(database, rows)
    for found in await database.query("SELECT * FROM performance_daily ORDER BY day"):
        day = (time_ms - START_MS) // DAY_MS == (found["day"] - day_of(START_MS)).days
        y, p, s = truth[day], predicted[day], score[day]
        tn, fp, fn, tp = metrics.confusion_matrix(y, p).ravel()
        assert (found["tn"], found["fp"], found["fn"], found["tp"]) == (tn, fp, fn, tp)
        expected = {
            "accuracy": metrics.accuracy_score(y, p),
            "precision": metrics.precision_score(y, p),
            "recall": metrics.recall_score(y, p),
            "f1": metrics.f1_score(y, p),
            "specificity": metrics.recall_score(1 - y, 1 - p),
            "brier": metrics.brier_score_loss(y, s),
            "log_loss": metrics.log_loss(y, s),
        }
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)
        assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(y, s), abs=1e-4)
        assert found["average_precision"] == pytest.approx(metrics.average_precision_score(y, s), abs=1e-3)
        interval = stats.binomtest(int((y == p).sum()), len(y)).proportion_ci(method="wilson")
        assert (found["accuracy_low"], found["accuracy_high"]) == pytest.approx(
            (interval.low, interval.high), abs=1e-12
        )
        assert found["labelled"] == found["scored"] == day.sum()
        assert found["mae"] is found["rmse"] is None


async def test_a_month_is_no_average_of_its_days(database: ClickHouse) -> None:
    rng = np.random.default_rng(5)
    n = 3000
    truth = (rng.random(n) < 0.3).astype(float)
    score = np.round(np.clip(rng.normal(0.3 + 0.3 * truth, 0.25), 0, 1), 2)
    time_ms = START_MS + rng.integers(0, 59 * DAY_MS, n)
    await put(database, outcomes(n, timestamp=time_ms, positive=truth, predicted_positive=score > 0.5, score=score))
    january, february = await database.query("SELECT * FROM performance_monthly ORDER BY month")
    first = time_ms < START_MS + 31 * DAY_MS
    assert (january["month"], february["month"]) == (dt.date(2025, 1, 1), dt.date(2025, 2, 1))
    assert january["roc_auc"] == pytest.approx(
        metrics.roc_auc_score(truth[first], score[first]), abs=1e-9
    )  # no bucket holds two scores
    assert february["f1"] == pytest.approx(metrics.f1_score(truth[~first], score[~first] > 0.5), abs=1e-9)


async def test_a_day_of_one_class_has_no_area_under_the_curve(database: ClickHouse) -> None:
    await put(database, outcomes(3, positive=0, predicted_positive=[0, 0, 1], score=[0.1, 0.2, 0.7]))
    found = await the_only(database, "SELECT * FROM performance_daily")
    assert (found["roc_auc"], found["recall"], found["precision"], found["f1"]) == (None, None, 0, 0)
    assert found["specificity"] == pytest.approx(2 / 3)
    assert found["brier"] == pytest.approx((0.01 + 0.04 + 0.49) / 3)


async def test_without_scores_only_what_needs_them_is_missing(database: ClickHouse) -> None:
    await put(database, outcomes(4, positive=[0, 0, 1, 1], predicted_positive=[0, 1, 1, 1]))
    found = await the_only(database, "SELECT * FROM performance_daily")
    assert [found[name] for name in ("roc_auc", "brier", "log_loss")] == [None] * 3
    assert (found["accuracy"], found["f1"], found["scored"]) == (0.75, pytest.approx(0.8), 0)


async def test_certain_and_wrong_is_costly_and_finite(database: ClickHouse) -> None:
    await put(database, outcomes(1, positive=1, predicted_positive=0, score=0.0))
    found = await the_only(database, "SELECT log_loss FROM performance_daily")
    assert found["log_loss"] == pytest.approx(metrics.log_loss([1], [0.0], labels=[0, 1]), abs=1e-9)


async def test_classes_are_right_when_they_are_equal(database: ClickHouse) -> None:
    await put(database, outcomes(4, prediction=["cat", "dog", "cow", "cat"], label=["cat", "cat", "cow", "cat"]))
    found = await the_only(database, "SELECT * FROM performance_daily")
    assert found["accuracy"] == 0.75
    assert [found[name] for name in ("tp", "precision", "recall", "f1", "specificity", "mae")] == [None] * 6


async def test_a_regression_agrees_with_numpy(database: ClickHouse) -> None:
    rng = np.random.default_rng(2)
    truth, predicted = rng.normal(100, 20, (2, 500))
    predicted[:3] = np.nan  # answers that were no numbers
    await put(database, outcomes(500, label_value=truth, prediction_value=predicted))
    found = await the_only(database, "SELECT * FROM performance_daily")
    residual = (predicted - truth)[3:]
    assert found["mae"] == pytest.approx(np.abs(residual).mean(), abs=1e-9)
    assert found["rmse"] == pytest.approx(np.sqrt((residual**2).mean()), abs=1e-9)
    assert (found["accuracy"], found["labelled"], found["measured"]) == (None, 500, 497)


async def test_corrections_and_repeats_count_once_with_the_latest_label(database: ClickHouse) -> None:
    def labelled(positive: float, after_h: int) -> Rows:
        at_ms = START_MS + after_h * HOUR_MS
        return outcomes(1, positive=positive, predicted_positive=1, label_timestamp=at_ms, prediction_id=["a"])

    await put(database, labelled(1, 5))
    await put(database, labelled(0, 3))  # an older truth that came late
    await put(database, labelled(1, 5))  # a repeat
    found = await the_only(database, "SELECT * FROM performance_daily")
    assert (found["labelled"], found["tp"], found["fp"]) == (1, 1, 0)
    await put(database, labelled(0, 9))
    found = await the_only(database, "SELECT * FROM performance_daily")
    assert (found["labelled"], found["tp"], found["fp"]) == (1, 0, 1)


async def test_coverage_is_labels_over_answers_on_every_day(database: ClickHouse) -> None:
    await put(database, served((START_MS, 30, 10), (START_MS + 5 * HOUR_MS, 20, 0), (START_MS + DAY_MS, 7, 0)))
    await put(database, served((START_MS, 30, 10), dim="carrier"), served((START_MS, 99, 0), version="2"))
    await put(database, outcomes(10, positive=1, predicted_positive=1))
    rows = await database.query("SELECT * FROM label_coverage ORDER BY version, day")
    assert [(row["version"], row["predictions"], row["labelled"], row["coverage"]) for row in rows] == [
        ("1", 40, 10, 0.25),
        ("1", 7, 0, 0),
        ("2", 99, 0, 0),
    ]
    found = await the_only(database, "SELECT n, expected, labelled, coverage FROM performance_daily")
    assert found == {"n": 50, "expected": 40, "labelled": 10, "coverage": 0.25}


async def test_a_day_has_a_state_before_its_first_label_when_something_was_answered(database: ClickHouse) -> None:
    failures = (START_MS + DAY_MS, 5, 5)
    await put(database, served((START_MS, 10, 0), failures, (START_MS + 29 * DAY_MS, 4, 0)))
    await put(database, outcomes(4, positive=1, predicted_positive=1, timestamp=START_MS + 29 * DAY_MS))
    columns = "cohort, expected, labelled, coverage, is_final"

    async def states(grain: str) -> list[tuple[Any, ...]]:
        rows = await database.query(f"SELECT {columns} FROM performance_states(grain = '{grain}') ORDER BY cohort")
        return [tuple(row.values()) for row in rows]

    first, last = dt.date(2025, 1, 1), dt.date(2025, 1, 30)
    assert await states("day") == [(first, 10, 0, 0, 0), (last, 4, 4, 1, 0)]
    await put(database, served((START_MS + 31 * DAY_MS, 0, 0)))  # after the horizon of the first day
    assert await states("day") == [(first, 10, 0, 0, 1), (last, 4, 4, 1, 1)]
    assert await states("month") == [(first, 14, 4, pytest.approx(4 / 14), 0)]
    assert [row["day"] for row in await database.query("SELECT day FROM performance_daily")] == [last]


async def test_coverage_of_two_roles_of_one_version_is_that_of_the_version(database: ClickHouse) -> None:
    await put(database, served((START_MS, 10, 0)))
    await put(database, outcomes(4, positive=1, predicted_positive=1, role=["champion"] * 3 + ["shadow"]))
    rows = await database.query("SELECT role, labelled, coverage FROM performance_daily ORDER BY role")
    assert [tuple(row.values()) for row in rows] == [("champion", 3, 0.4), ("shadow", 1, 0.4)]


async def described(database: ClickHouse, spec: ModelSpec, offset: int = 0) -> None:
    record = msgspec.json.encode(spec).decode()
    columns = {"model": [spec.model], "version": [""], "kind": ["spec"], "record": [record]}
    await put(database, Rows("models", 1, columns | {"offset": np.array([offset], np.uint64)}))


@pytest.mark.parametrize(
    ("horizon_days", "newest_day", "state"),
    [(None, 30, "provisional"), (None, 31, "final"), (3, 3, "provisional"), (3, 4, "final")],
)
async def test_a_day_is_final_when_the_horizon_has_passed_in_the_models_own_time(
    database: ClickHouse, horizon_days: int | None, newest_day: int, state: str
) -> None:
    if horizon_days is not None:
        await described(database, ModelSpec(model="m", label_horizon_s=86_400), 0)
        await described(database, ModelSpec(model="m", label_horizon_s=horizon_days * 86_400), 1)
    await put(database, served((START_MS, 10, 0), (START_MS + newest_day * DAY_MS, 1, 0)))
    await put(database, outcomes(4, positive=1, predicted_positive=1))
    assert await the_only(database, "SELECT state FROM performance_daily") == {"state": state}


async def test_a_day_is_final_when_it_is_over_and_all_labels_have_come(database: ClickHouse) -> None:
    await put(database, served((START_MS, 4, 0)), outcomes(4, positive=1, predicted_positive=1))
    assert await the_only(database, "SELECT state FROM performance_daily") == {"state": "provisional"}
    await put(database, served((START_MS + DAY_MS, 1, 0)))
    assert await the_only(database, "SELECT state FROM performance_daily") == {"state": "final"}


@pytest.mark.parametrize(("days_ago", "state"), [(29, "provisional"), (31, "final")])
async def test_days_of_a_retired_model_are_final_when_no_label_came_for_a_horizon(
    database: ClickHouse, days_ago: int, state: str
) -> None:
    await put(database, served((START_MS, 10, 0)), outcomes(4, positive=1, predicted_positive=1))
    ingested_ms = int(dt.datetime.now(dt.UTC).timestamp() * 1000) - days_ago * DAY_MS
    times = {"timestamp": np.array([START_MS], np.int64), "ingested_at": np.array([ingested_ms], np.int64)}
    await put(database, Rows("labels", 1, {"model": ["m"], "prediction_id": ["a"], **times}))
    assert await the_only(database, "SELECT state FROM performance_daily") == {"state": state}


@pytest.mark.parametrize("fast", ["server", "source"])
@pytest.mark.parametrize("labelled", [4, 10])
async def test_a_clock_that_is_fast_makes_no_day_final_early(database: ClickHouse, fast: str, labelled: int) -> None:
    now_ms = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
    # Of two labels in five the horizon is waited for; when all have come, the end of the day.
    day_ms = (now_ms // DAY_MS + (1 if labelled == 10 else -2)) * DAY_MS
    times = {"timestamp": day_ms, "label_timestamp": now_ms}
    await put(database, served((day_ms, 10, 0)), outcomes(labelled, positive=1, predicted_positive=1, **times))
    future_ms = now_ms + 60 * DAY_MS
    if fast == "server":
        await put(database, served((future_ms, 1, 0)))
    else:
        label = {"timestamp": np.array([future_ms], np.int64), "ingested_at": np.array([now_ms], np.int64)}
        await put(database, Rows("labels", 1, {"model": ["m"], "prediction_id": ["a"], **label}))
    assert await the_only(database, "SELECT state FROM performance_daily") == {"state": "provisional"}


async def test_views_of_an_empty_database_are_empty(database: ClickHouse) -> None:
    views = await database.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View' "
        "AND parameterized_view_parameters = []"
    )
    assert len(views) > 20
    for view in (row["name"] for row in views):
        assert await database.query(f"SELECT * FROM {view}") == []
