"""Groups are held against each other with Newcombe's intervals; a gap is told when all comparisons together show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest

from driftline_schemas.records import Detection
from driftline_schemas.spec import DriftRules, FairnessRules, ModelSpec
from driftline_streams.comparison.fairness import Groups
from driftline_streams.comparison.watch import Watch
from driftline_streams.kernel import shifts
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.sinks.clickhouse import ClickHouse

from .conftest import DAY_MS, START_MS, binary, cell, insert, settle, told, windows

MONDAY = 5  # 2025-01-06, in days from the start
EQUAL = {"f": (200, 100, 400, 100), "m": (200, 100, 400, 100)}
UNEQUAL = {"f": (100, 50, 500, 150), "m": (300, 100, 300, 100)}  # tp, fp, tn, fn


def groups(day: int, counts: Mapping[str, tuple[int, ...]], **given: Any) -> list[dict[str, Any]]:
    whole = np.sum(list(counts.values()), axis=0).tolist()
    rows = [cell(day, **given, **binary(*whole))]
    return rows + [cell(day, **given, dim="sex", segment=name, **binary(*each)) for name, each in counts.items()]


class Worker:
    """A worker that has applied the spec and carries out what the watch finds."""

    def __init__(self, database: ClickHouse, **rules: Any) -> None:
        spec = ModelSpec(model="m", fairness=FairnessRules(attributes=["sex"], **rules), drift=DriftRules(alpha=0.01))
        record = msgspec.json.encode(spec).decode()
        insert(database, "models", {"model": "m", "version": "", "kind": "spec", "record": record, "offset": 1})
        catalog = Catalog()
        catalog.update(spec)
        self.database, self.watch = database, Watch(catalog, "t", database.query)

    async def round(self) -> list[Detection]:
        return [found for found in await told(self.database, self.watch) if found.kind == "fairness"]


async def rows(database: ClickHouse, view: str = "fairness_daily") -> dict[str, dict[str, Any]]:
    return {row["metric"]: row for row in await database.query(f"SELECT * FROM {view}")}


@pytest.mark.parametrize("view", ["fairness_daily", "fairness_monthly"])
async def test_gaps_are_those_of_the_counts_with_newcombes_interval(database: ClickHouse, view: str) -> None:
    Worker(database)
    insert(database, "performance", *groups(MONDAY, UNEQUAL))
    found = await rows(database, view)
    expected = {
        "positive_rate": (150, 800, 400, 800),
        "true_positive_rate": (100, 250, 300, 400),
        "false_positive_rate": (50, 550, 100, 400),
    }
    assert set(found) == set(expected)
    for metric, (k, n, other_k, other_n) in expected.items():
        row = found[metric]
        ours = shifts.rate_difference(*(np.array([float(x)]) for x in (other_k, other_n, k, n)))
        assert [row[name] for name in ("gap", "low", "high")] == pytest.approx([float(each[0]) for each in ours[:3]])
        assert (row["lower_group"], row["higher_group"], row["lower_n"], row["higher_n"]) == ("f", "m", n, other_n)
        assert (row["lower_rate"], row["higher_rate"]) == pytest.approx((k / n, other_k / other_n))
    assert [found[metric]["state"] for metric in expected] == ["beyond", "beyond", "beyond"]


@pytest.mark.parametrize(
    ("counts", "gap", "state"),
    [
        ({"f": (100, 50, 500, 150), "m": (300, 100, 300, 100)}, 0.4, "within"),
        ({"f": (100, 50, 500, 150), "m": (300, 100, 300, 100)}, 0.3, "not yet"),
        ({"f": (2, 2, 20, 5), "m": (300, 100, 300, 100)}, 0.1, "insufficient data"),
    ],
)
async def test_a_gap_is_judged_by_its_whole_interval_and_enough_data(
    database: ClickHouse, counts: dict[str, tuple[int, ...]], gap: float, state: str
) -> None:
    Worker(database, gap=gap)
    insert(database, "performance", *groups(MONDAY, counts))
    found = (await rows(database))["positive_rate"]
    assert (found["state"], found["allowed"]) == (state, gap)


async def test_all_groups_are_held_against_each_other(database: ClickHouse) -> None:
    Worker(database)
    three = UNEQUAL | {"x": (150, 100, 400, 150)}
    insert(database, "performance", *groups(MONDAY, three))
    found = await database.query(
        "SELECT lower_group AS a, higher_group AS b FROM fairness_daily WHERE metric = 'positive_rate'"
    )
    assert {(row["a"], row["b"]) for row in found} == {("f", "m"), ("f", "x"), ("x", "m")}


async def test_segments_that_no_spec_protects_are_no_groups(database: ClickHouse) -> None:
    insert(database, "performance", *groups(MONDAY, UNEQUAL))
    assert await rows(database) == {}


async def test_groups_that_never_have_the_truth_have_no_rates_of_it(database: ClickHouse) -> None:
    Worker(database)
    insert(database, "performance", *groups(MONDAY, {"f": (0, 50, 500, 0), "m": (300, 100, 300, 100)}))
    assert set(await rows(database)) == {"positive_rate", "false_positive_rate"}


async def test_a_gap_that_opens_is_told_once_by_its_widest_pair(database: ClickHouse) -> None:
    worker = Worker(database)
    insert(database, "performance", *groups(MONDAY, EQUAL))
    for week in (1, 2):
        wide = {"x": (10, 40, 550, 200)} | UNEQUAL
        insert(database, "performance", *groups(MONDAY + 7 * week, wide))
    settle(database, MONDAY + 21)
    told = {found.signal: found for found in await worker.round()}
    assert set(told) == {"positive_rate", "true_positive_rate", "false_positive_rate"}
    found = told["positive_rate"]
    assert (found.kind, found.dim, found.value, found.role) == ("fairness", "sex", "x", "champion")
    assert found.end_ms == START_MS + (MONDAY + 14) * DAY_MS
    assert found.low is not None
    assert found.low > found.threshold == 0.1
    assert "with all 9 comparisons taken together" in found.detail
    assert await worker.round() == []


async def test_early_labels_do_not_show_a_gap(database: ClickHouse) -> None:
    worker = Worker(database)
    insert(database, "performance", *groups(MONDAY, UNEQUAL))
    insert(database, "windows", windows(MONDAY, 5_000))
    settle(database, MONDAY + 7)
    assert await worker.round() == []


async def test_groups_at_the_allowed_gap_are_seldom_told(database: ClickHouse) -> None:
    r = np.random.default_rng(1)
    weeks = 150  # of versions of their own: of four groups, two lie exactly as far apart as is allowed
    Worker(database)
    rates, performance = (0.3, 0.3, 0.4, 0.4), []
    for i in range(weeks):
        tp = r.binomial(400, rates)
        counts = {str(k): (int(hits), 0, 400 - int(hits), 0) for k, hits in enumerate(tp)}
        performance += groups(MONDAY, counts, version=str(i))
    insert(database, "performance", *performance)
    settle(database, MONDAY + 7)
    spec = ModelSpec(model="m", fairness=FairnessRules(attributes=["sex"]), drift=DriftRules(alpha=0.2))
    (found,) = [found async for found in Groups("t", database.query)(spec, START_MS)]
    assert 0 < len(found.effects.messages) < 0.2 * weeks
