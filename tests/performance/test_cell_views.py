"""The views beside the metrics say what the outcomes are: by band, class, residual, position and worth."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import numpy as np
import pytest

from driftline_schemas.spec import FairnessRules, ModelSpec
from driftline_streams.ingest import Ingest
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Rows
from driftline_streams.kernel.rates import wilson
from driftline_streams.performance.cohorts import Cohorts
from driftline_streams.sinks.clickhouse import ClickHouse

from ..ingest.batches import NOW_MS, batch_of, event
from .conftest import DAY_MS, START_MS, compute, outcomes, served

_names = itertools.count()


async def put(database: ClickHouse, *rows: Rows) -> None:
    await database.insert(rows, f"test cell views {next(_names)}")
    await compute(database)


async def described(database: ClickHouse, spec: ModelSpec) -> None:
    columns = {"model": [spec.model], "version": [""], "kind": ["spec"], "record": [msgspec.json.encode(spec).decode()]}
    await put(database, Rows("models", 1, columns | {"offset": np.array([0], np.uint64)}))


async def test_calibration_and_errors_are_counted_by_band_over_the_month(database: ClickHouse) -> None:
    rng = np.random.default_rng(1)
    n = 3000
    score = np.round(rng.random(n), 3)
    truth, said = (rng.random(n) < score), score > 0.5
    time_ms = START_MS + rng.integers(0, 20 * DAY_MS, n)
    await put(database, outcomes(n, timestamp=time_ms, positive=truth, predicted_positive=said, score=score))
    band = np.minimum(19, np.floor(20 * score))
    curve = await database.query("SELECT * FROM calibration ORDER BY band_start")
    bands = await database.query("SELECT * FROM score_bands ORDER BY band_start")
    assert len(curve) == len(bands) == 20
    for i, (row, errors) in enumerate(zip(curve, bands, strict=True)):
        mine = band == i
        assert (row["band_start"], row["band_end"]) == pytest.approx((i / 20, (i + 1) / 20))
        assert row["n"] == errors["n"] == mine.sum()
        assert row["mean_score"] == pytest.approx(score[mine].mean())
        found = (row["positive_rate"], row["positive_rate_low"], row["positive_rate_high"])
        assert found == pytest.approx((truth[mine].mean(), *wilson(truth[mine].sum(), mine.sum())))
        wrong = truth[mine] != said[mine]
        found = (errors["error_rate"], errors["error_rate_low"], errors["error_rate_high"])
        assert found == pytest.approx((wrong.mean(), *wilson(wrong.sum(), mine.sum())))


async def test_classes_are_counted_as_predicted_and_as_true(database: ClickHouse) -> None:
    said, truth = list("aabbc"), list("abbcc")
    await put(database, outcomes(5, prediction=said, label=truth, timestamp=START_MS + np.arange(5) * DAY_MS))
    rows = await database.query("SELECT predicted, actual, n FROM confusion ORDER BY ALL")
    cells = {("a", "a"): 1, ("a", "b"): 1, ("b", "b"): 1, ("b", "c"): 1, ("c", "c"): 1}
    assert {(row["predicted"], row["actual"]): row["n"] for row in rows} == cells
    rows = await database.query("SELECT class, predicted, actual FROM class_counts_monthly ORDER BY class")
    assert [tuple(row.values()) for row in rows] == [("a", 2, 1), ("b", 2, 2), ("c", 1, 2)]


async def test_quantiles_of_residuals_are_numpys_within_one_percent(database: ClickHouse) -> None:
    rng = np.random.default_rng(2)
    n = 2001
    truth = rng.normal(100, 20, n)
    residual = np.concatenate([[0.0, 0.0], rng.normal(1, 8, n - 2)])
    time_ms = START_MS + rng.integers(0, 5 * DAY_MS, n)
    await put(database, outcomes(n, timestamp=time_ms, label_value=truth, prediction_value=truth + residual))
    (found,) = await database.query("SELECT * FROM residuals")
    assert (found["n"], found["mean"]) == (n, pytest.approx(residual.mean()))
    for name, q in {"p01": 0.01, "p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}.items():
        assert found[name] == pytest.approx(np.quantile(residual, q, method="inverted_cdf"), rel=0.0101)


async def test_clicks_are_counted_by_position(database: ClickHouse) -> None:
    clicks = np.array([1, 0, 0, 1, 1, 0.0])
    position = np.array([1, 2, 3, 1, 2, np.nan])
    await put(database, outcomes(6, label_value=clicks, position=position, request_id=list("aaabbb")))
    rows = await database.query("SELECT position, shown, clicked, ctr, ctr_low FROM ranking_positions ORDER BY ALL")
    assert [tuple(row.values())[:4] for row in rows] == [(0, 1, 0, 0), (1, 2, 2, 1), (2, 2, 1, 0.5), (3, 1, 0, 0)]
    assert rows[2]["ctr_low"] == pytest.approx(wilson(1, 2)[0])


@pytest.mark.parametrize(
    ("worth", "columns", "counts", "total"),
    [
        ({"tp": 50, "fp": -10, "fn": -200.5}, {"positive": [1, 1, 0, 0, 1], "predicted_positive": [1, 1, 1, 0, 0]},
         {"fn": 1, "fp": 1, "tp": 2}, -110.5),
        ({"cat>dog": -3, "dog>dog": 1}, {"prediction": ["cat", "dog", "dog"], "label": ["dog", "dog", "cat"]},
         {"cat>dog": 1, "dog>dog": 1}, -2),
        ({"click": 0.2}, {"label_value": [1, 0, 2, 0], "position": 1.0}, {"click": 2}, 0.4),
    ],
    ids=["binary", "classes", "lists"],
)  # fmt: skip
async def test_outcomes_are_worth_what_the_spec_says(
    database: ClickHouse, worth: dict[str, float], columns: dict[str, Any], counts: dict[str, float], total: float
) -> None:
    n = len(next(iter(columns.values())))
    await described(database, ModelSpec(model="m", worth=worth, worth_unit="EUR"))
    for role in ("champion", "shadow"):  # nobody was shown what the shadow answered
        ids = [f"{role}{i}" for i in range(n)]
        await put(database, outcomes(n, **columns, role=role, version=role, prediction_id=ids))
    for view in ("worth_daily", "worth_monthly"):
        (row,) = await database.query(f"SELECT * FROM {view}")
        assert (row["role"], row["unit"], row["counts"]) == ("champion", "EUR", counts)
        assert (row["worth"], row["worth_each"]) == (pytest.approx(total), pytest.approx(total / n))


async def test_a_model_without_worth_has_no_rows_of_it(database: ClickHouse) -> None:
    await described(database, ModelSpec(model="m"))
    await put(database, outcomes(3, positive=1, predicted_positive=1))
    assert await database.query("SELECT * FROM worth_daily") == []


async def test_what_was_reported_is_kept_beside_what_it_is_now(database: ClickHouse) -> None:
    cohorts = Cohorts(Catalog(), database.query, database.execute)
    first = outcomes(4, positive=1, predicted_positive=[1, 1, 1, 0], score=[0.9, 0.8, 0.7, 0.2])
    await database.insert([first, served((START_MS, 4, 0), (START_MS + 40 * DAY_MS, 1, 0))], "first")
    await cohorts()
    await cohorts.report()
    assert await states(database) == ["final"]
    again = outcomes(4, positive=1, predicted_positive=[1, 1, 1, 0], score=[0.9, 0.8, 0.7, 0.2])
    await database.insert([again], "a repeat is no restatement")
    await cohorts()
    assert await states(database) == ["final"]
    corrected = outcomes(1, positive=0, predicted_positive=1, score=0.9, label_timestamp=START_MS + 50 * DAY_MS)
    await database.insert([corrected], "a correction")
    await cohorts()
    await cohorts.report()
    assert await states(database) == ["restated"]
    (row,) = await database.query("SELECT * FROM restatements")
    assert (row["reported_labelled"], row["labelled"]) == (4, 4)
    assert (row["reported_accuracy"], row["accuracy"]) == (0.75, 0.5)
    assert row["restated_at"] > row["reported_at"]
    assert [tuple(row.values()) for row in await database.query("SELECT state FROM performance_monthly")] == [
        ("restated",)
    ]


async def states(database: ClickHouse) -> list[str]:
    return [row["state"] for row in await database.query("SELECT state FROM performance_daily ORDER BY day")]


async def test_the_label_coverage_of_the_spec_makes_a_day_final_early(database: ClickHouse) -> None:
    await put(
        database, outcomes(9, positive=1, predicted_positive=1), served((START_MS, 10, 0), (START_MS + DAY_MS, 1, 0))
    )
    assert await states(database) == ["provisional"]
    await described(database, ModelSpec(model="m", label_coverage=0.9))
    assert await states(database) == ["final"]


async def test_shadows_are_measured_and_never_count_as_served(database: ClickHouse) -> None:
    for role in ("champion", "shadow"):
        ids = [f"{role}{i}" for i in range(3)]
        await put(database, outcomes(3, positive=1, predicted_positive=1, role=role, version=role, prediction_id=ids))
        await put(database, served((START_MS, 5, 0), version=role))
    rows = await database.query("SELECT role, n, served, accuracy FROM performance_daily ORDER BY role")
    assert [tuple(row.values()) for row in rows] == [("champion", 5, 5, 1), ("shadow", 5, 0, 1)]


async def test_what_was_served_in_each_role_of_a_version_that_had_several_cannot_be_told(database: ClickHouse) -> None:
    roles = ["challenger"] * 2 + ["champion"] * 3 + ["shadow"]
    await put(database, outcomes(6, positive=1, predicted_positive=1, role=roles), served((START_MS, 10, 0)))
    alone = {"prediction_id": ["alone"], "timestamp": START_MS + DAY_MS}
    await put(database, outcomes(1, positive=1, predicted_positive=1, **alone), served((START_MS + DAY_MS, 4, 0)))
    rows = await database.query("SELECT role, n, served FROM performance_daily ORDER BY day, role")
    assert [tuple(row.values()) for row in rows] == [
        ("challenger", 10, None),
        ("champion", 10, None),
        ("shadow", 10, 0),
        ("champion", 4, 4),
    ]


async def test_a_protected_attribute_that_is_no_segment_has_its_load_and_its_cells(database: ClickHouse) -> None:
    spec = ModelSpec(model="m", segments=["country"], fairness=FairnessRules(attributes=["sex"]))
    catalog = Catalog()
    catalog.update(spec)
    slices = [{"country": "de", "sex": sex, "plan": "free"} for sex in ("f", "m", "f")]
    events = [event(prediction_id=f"p{i}", model="m", segment=each) for i, each in enumerate(slices)]
    labelled = outcomes(2, positive=1, predicted_positive=1, timestamp=NOW_MS - 60_000, segment=slices[:2])
    await database.insert([*Ingest(catalog, "t")(batch_of(*events), NOW_MS).effects.rows, labelled], "attribute")
    await compute(database, spec)
    rows = await database.query("SELECT dim, segment, n, labelled FROM performance_by_segment ORDER BY dim, segment")
    assert [tuple(row.values()) for row in rows] == [("country", "de", 3, 2), ("sex", "f", 2, 1), ("sex", "m", 1, 1)]
