"""Segments are compared as scipy would compare them, over the same four weeks, and seldom found worse for nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from driftline_schemas.records import Detection
from driftline_schemas.spec import DriftRules, ModelSpec
from driftline_streams.comparison.watch import Watch
from driftline_streams.kernel import shifts
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.sinks.clickhouse import ClickHouse

from .conftest import DAY_MS, START_MS, binary, cell, insert, settle, slices, told, windows

MONDAY = 5  # 2025-01-06, in days from the start


async def differences(database: ClickHouse) -> dict[tuple[str, str], dict[str, Any]]:
    found = await database.query("SELECT * FROM segment_differences WHERE settled")
    return {(row["segment"], row["metric"]): row for row in found}


@pytest.mark.parametrize("weight", [1.0, 0.25])
async def test_rates_are_compared_with_those_of_all_others_as_scipy_does(database: ClickHouse, weight: float) -> None:
    ua, b6, whole = (150, 60, 300, 40), (90, 20, 200, 90), (600, 200, 1_500, 300)
    parts = {"UA": binary(*ua, weight), "B6": binary(*b6, weight)}
    insert(database, "performance", *slices(MONDAY, binary(*whole, weight), parts))
    settle(database, 13)
    found = await differences(database)
    of = {
        "accuracy": ((0, 2), (0, 1, 2, 3)),
        "precision": ((0,), (0, 1)),
        "recall": ((0,), (0, 3)),
        "specificity": ((2,), (2, 1)),
    }
    for segment, counts in (("UA", ua), ("B6", b6)):
        for metric, (hit, among) in of.items():
            k, n = sum(counts[i] for i in hit), sum(counts[i] for i in among)
            rest_k, rest_n = sum(whole[i] for i in hit) - k, sum(whole[i] for i in among) - n
            row = found[segment, metric]
            assert (row["n"], row["n_rest"]) == (n, rest_n)
            ours = shifts.rate_difference(*(np.array([float(x)]) for x in (k, n, rest_k, rest_n)))
            expected = [float(each[0]) for each in ours]
            assert [row[name] for name in ("difference", "low", "high", "p_value")] == pytest.approx(expected, rel=1e-9)
            _, p_value, *_ = stats.chi2_contingency([[k, n - k], [rest_k, rest_n - rest_k]], correction=False)
            assert row["p_value"] == pytest.approx(p_value, rel=1e-9)
            assert row["effect"] == -row["difference"]
    p_values = [row["p_value"] for row in found.values()]
    assert [row["q_value"] for row in found.values()] == pytest.approx(stats.false_discovery_control(p_values))


async def test_errors_are_compared_by_welchs_test(database: ClickHouse) -> None:
    r = np.random.default_rng(1)
    one, others = np.abs(r.normal(0, 3, 400)), np.abs(r.normal(0, 2, 2_000))

    def sums(errors: np.ndarray) -> dict[str, Any]:
        n = len(errors)
        squares = {"absolute_errors": errors.sum(), "squared_residuals": np.square(errors).sum()}
        return {"n": n, "weight": n, "weight_squares": n, "measured": n, "measured_weight": n, **squares}

    insert(database, "performance", *slices(MONDAY, sums(np.r_[one, others]), {"UA": sums(one)}))
    settle(database, 13)
    ((key, row),) = (await differences(database)).items()
    assert key == ("UA", "mae")
    test = stats.ttest_ind(one, others, equal_var=False)
    assert row["difference"] == pytest.approx(one.mean() - others.mean())
    assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval()), rel=0.02)
    assert row["effect"] == pytest.approx(row["difference"] / others.std(), rel=1e-3)
    assert 0 < row["p_value"] < 1e-7


async def test_lists_are_compared_by_their_gain(database: ClickHouse) -> None:
    r = np.random.default_rng(2)
    one, others = r.uniform(0, 0.8, 300), r.uniform(0, 1, 900)

    def sums(gains: np.ndarray) -> dict[str, Any]:
        n = len(gains)
        return {"n": 10 * n, "ndcg_lists": n, "ndcg": gains.sum(), "ndcg2": np.square(gains).sum()}

    insert(database, "performance", *slices(MONDAY, sums(np.r_[one, others]), {"UA": sums(one)}))
    settle(database, 13)
    row = (await differences(database))["UA", "ndcg"]
    assert row["p_value"] == pytest.approx(stats.ttest_ind(one, others, equal_var=False).pvalue, rel=0.2)
    assert row["difference"] == pytest.approx(one.mean() - others.mean())
    assert row["effect"] > 0


async def test_four_weeks_are_compared_when_they_are_over_and_final(database: ClickHouse) -> None:
    part, whole = binary(50, 50, 50, 50), binary(400, 100, 400, 100)
    for week in range(5):
        insert(database, "performance", *slices(MONDAY + 7 * week, whole, {"UA": part}))
    settle(database, MONDAY + 7 * 4 + 1)  # the fifth week is not over
    rows = await database.query(
        "SELECT settled, n, dateDiff('day', toDate('2025-01-05'), through) / 7 AS weeks "
        "FROM segment_differences WHERE metric = 'accuracy' ORDER BY through"
    )
    assert [(row["weeks"], row["n"], row["settled"]) for row in rows] == [
        *((1, 200, 1), (2, 400, 1), (3, 600, 1), (4, 800, 1), (5, 800, 0)),
    ]
    (worst,) = {row["through"] for row in await database.query("SELECT through FROM worst_segments")}
    assert worst.isoformat() == "2025-02-02"


async def test_a_day_whose_labels_are_still_to_come_leaves_its_weeks_open(database: ClickHouse) -> None:
    insert(database, "performance", *slices(MONDAY, binary(400, 100, 400, 100), {"UA": binary(50, 50, 50, 50)}))
    insert(database, "windows", windows(MONDAY, 5_000))
    settle(database, 13)
    assert await differences(database) == {}


@pytest.mark.parametrize(("others", "open_"), [({}, True), ({"version": "2"}, False)], ids=["its own", "another's"])
async def test_a_day_of_which_no_label_has_come_leaves_the_weeks_of_its_version_open(
    database: ClickHouse, others: dict[str, str], open_: bool
) -> None:
    insert(database, "performance", *slices(MONDAY, binary(400, 100, 400, 100), {"UA": binary(50, 50, 50, 50)}))
    insert(database, "windows", windows(MONDAY + 1, 1, **others))
    settle(database, 13)
    assert (await differences(database) == {}) == open_


async def test_small_segments_and_versions_without_others_are_not_compared(database: ClickHouse) -> None:
    small, all_ = binary(20, 20, 20, 20), binary(200, 50, 200, 50)
    insert(database, "performance", *slices(MONDAY, all_, {"AA": small, "UA": all_}))
    settle(database, 13)
    assert await differences(database) == {}


async def test_classes_that_are_called_1_and_0_have_no_recall_where_there_are_more_of_them(
    database: ClickHouse,
) -> None:
    part, whole = (binary(*counts, binaries=0) for counts in ((50, 50, 50, 50), (400, 100, 400, 100)))
    insert(database, "performance", *slices(MONDAY, whole, {"UA": part}))
    settle(database, 13)
    assert set(await differences(database)) == {("UA", "accuracy")}


async def test_the_worst_come_first(database: ClickHouse) -> None:
    parts = {"AA": binary(40, 60, 140, 60), "UA": binary(90, 10, 190, 10), "B6": binary(50, 50, 150, 50)}
    insert(database, "performance", *slices(MONDAY, binary(600, 200, 1_400, 200), parts))
    settle(database, 13)
    rows = await database.query("SELECT segment, place FROM worst_segments WHERE metric = 'recall' ORDER BY place")
    assert [(row["segment"], row["place"]) for row in rows] == [("AA", 1), ("B6", 2), ("UA", 3)]


async def test_equal_segments_are_seldom_told_apart(database: ClickHouse) -> None:
    r = np.random.default_rng(3)
    models, parts, rows = 300, 20, []
    for i in range(models):
        drawn = r.multinomial(200, [0.3, 0.1, 0.5, 0.1], size=parts)
        sliced = {str(k): binary(*map(float, counts)) for k, counts in enumerate(drawn)}
        rows += slices(MONDAY, binary(*map(float, drawn.sum(axis=0))), sliced, model=f"m{i}")
        rows.append(cell(13, 1, model=f"m{i}"))
    insert(database, "performance", *rows)
    insert(database, "windows", *(windows(day, 1) | {"model": f"m{i}"} for i in range(models) for day in (MONDAY, 14)))
    found = await database.query(
        "SELECT model, min(q_value) AS least FROM segment_differences WHERE settled GROUP BY model"
    )
    assert len(found) == models
    share = np.mean([row["least"] <= 0.1 for row in found])
    assert 0.02 < share < 0.1 + 3 * np.sqrt(0.09 / models)


class Worker:
    """A worker that carries out what the watch finds."""

    def __init__(self, database: ClickHouse, **spec: Any) -> None:
        catalog = Catalog()
        catalog.update(ModelSpec(model="m", segments=["carrier"], **spec))
        self.database, self.watch = database, Watch(catalog, "t", database.query)

    async def round(self) -> list[Detection]:
        return await told(self.database, self.watch)


def week(number: int, bad: float, *, good: float = 0.8, role: str = "champion") -> list[dict[str, Any]]:
    """A week of 2,000 outcomes; 300 of them are UA, and so many of these are right."""

    def classes(n: int, right: float) -> dict[str, Any]:
        sums = dict.fromkeys(("n", "weight", "weight_squares", "classified", "classified_weight"), n)
        return sums | {"correct": right}

    parts = {"UA": classes(300, 300 * bad)} | {name: classes(850, 850 * good) for name in ("AA", "B6")}
    return slices(MONDAY + 7 * number, classes(2_000, 300 * bad + 1_700 * good), parts, role=role)


async def test_a_segment_that_got_worse_is_told_once(database: ClickHouse) -> None:
    for number, right in enumerate((0.8, 0.8, 0.5, 0.5)):
        insert(database, "performance", *week(number, right))
    settle(database, MONDAY + 28)
    (found,) = await Worker(database).round()
    assert (found.kind, found.method, found.signal, found.dim, found.value) == (
        *("performance", "segment", "accuracy", "carrier", "UA"),
    )
    assert (found.role, found.n, found.direction) == ("champion", 900, "down")
    assert found.start_ms == START_MS + MONDAY * DAY_MS
    assert found.end_ms == START_MS + (MONDAY + 21) * DAY_MS
    assert found.before == pytest.approx(0.8)
    assert found.after == pytest.approx(0.7)
    assert "Accuracy of champion 1 was 70 % where carrier is UA and 80 % elsewhere" in found.detail
    assert await Worker(database).round() == []  # another worker, or this one after a restart


@pytest.mark.parametrize(
    ("right", "spec"),
    [(0.77, {}), (0.9, {}), (0.6, {"drift": DriftRules(rate=0.3)}), (0.7, {"drift": DriftRules(alpha=1e-9)})],
    ids=["does not matter", "better", "allowed", "not believed"],
)
async def test_what_does_not_matter_or_is_not_sure_is_not_told(
    database: ClickHouse, right: float, spec: dict[str, Any]
) -> None:
    insert(database, "performance", *week(0, right))
    settle(database, 13)
    assert await Worker(database, **spec).round() == []


async def test_shadows_are_told_as_such(database: ClickHouse) -> None:
    insert(database, "performance", *week(0, 0.4, role="shadow"))
    settle(database, 13)
    (found,) = await Worker(database).round()
    assert found.role == "shadow"
