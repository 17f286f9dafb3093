"""The watch judges each closed day once, from the rows that stand in ClickHouse."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
import numpy as np
import pytest
import pytest_asyncio

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.alerts import evidence
from driftline_streams.dashboard import queries
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import Span
from driftline_streams.joint.watch import SAMPLE_ROWS, Watch
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Coded, MapColumn, Rows
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.reference.build import build
from driftline_streams.sinks.clickhouse import ClickHouse

START_MS = 1_735_689_600_000  # 2025-01-01
NAMES = ["a", "b", "__proto__"]
NOW_MS = START_MS + 400 * DAY_MS
_BATCHES = count()


def together(n: int, seed: int, correlated: float = 0.8) -> Floats:
    dice = np.random.default_rng(seed)
    shared = dice.standard_normal((n, 1)) * correlated**0.5
    return np.asarray(shared + (1 - correlated) ** 0.5 * dice.standard_normal((n, len(NAMES))), np.float64)


def reference(**given: Any) -> Reference:
    columns = {f"feature:{name}": column for name, column in zip(NAMES, together(2_000, 1).T, strict=True)}
    made = build("m", "1", columns, n=2_000, start_ms=0, end_ms=START_MS - 1)
    return msgspec.structs.replace(made, **given)


class Store:
    """A database, what is known of its models, and the watch over them."""

    def __init__(self, database: ClickHouse) -> None:
        self.database = database
        self.catalog = Catalog()
        self.watch = Watch(self.catalog, "t", database.query)

    async def serve(self, day: float, values: Floats, *, version: str = "1", missing: str = "") -> None:
        """Events of one version, spread over the 20 hours from `day` on; they have the features but for `missing`."""
        names = [name for name in NAMES if name != missing]
        values = values[:, [NAMES.index(name) for name in names]]
        n, at_ms, batch = len(values), START_MS + int(day * DAY_MS), next(_BATCHES)
        whose = {"model": Coded.constant("m", n), "version": Coded.constant(version, n)}
        times_ms = at_ms + np.arange(n) * (20 * 3_600_000 // n)
        rows = Rows(
            "predictions",
            n,
            {
                **whose,
                "prediction_id": [f"{batch}:{i}" for i in range(n)],
                "timestamp": times_ms,
                "nums": MapColumn(np.arange(1, n + 1, dtype=np.uint64) * len(names), names * n, values.ravel()),
                "partition": np.full(n, batch, np.uint32),
                "offset": np.arange(n, dtype=np.uint64),
            },
        )
        hours_s = (times_ms // 3_600_000 * 3_600).astype(np.uint32)
        window = Rows("windows", n, {**whose, "window": hours_s, "n": np.ones(n, np.uint64)})
        await self.database.insert([rows, window], f"batch {batch}")

    async def judged(self, watch: Watch | None = None) -> list[Detection]:
        """One round, carried out."""
        found: list[Detection] = []
        async for result in (watch or self.watch)(NOW_MS):
            await self.database.insert(result.effects.rows, result.name)
            found += [msgspec.json.decode(message.value or b"", type=Detection) for message in result.effects.messages]
        return found

    async def states(self) -> list[tuple[int, str]]:
        """Day and state of each row of `drift`."""
        rows = await self.database.query(
            "SELECT toUnixTimestamp(window) * 1000 AS at_ms, state FROM drift FINAL WHERE signal = 'features' "
            "ORDER BY at_ms"
        )
        return [((int(row["at_ms"]) - START_MS) // DAY_MS, row["state"]) for row in rows]


@pytest_asyncio.fixture
async def store(database: ClickHouse) -> Store:
    made = Store(database)
    made.catalog.update(reference())
    return made


async def test_a_day_on_which_features_came_apart_is_found_once(store: Store) -> None:
    await store.serve(0, together(1_500, 2))
    await store.serve(1, together(1_500, 3, correlated=0.0))
    await store.serve(2.1, together(300, 4))
    (found,) = await store.judged()
    assert (found.signal, found.kind, found.method) == ("features", "drift", "correlation")
    assert (found.start_ms, found.end_ms, found.n) == (START_MS + DAY_MS, START_MS + 2 * DAY_MS, 1_500)
    assert found.before == pytest.approx(0.8, abs=0.05)
    assert found.after == pytest.approx(0.0, abs=0.1)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.effect < found.high < 0
    assert "of a and b" in found.detail
    assert "__proto__" in found.detail
    assert "on 2025-01-02" in found.detail
    assert await store.states() == [(0, "ok"), (1, "drift")]
    assert await store.judged() == []
    assert await store.judged(Watch(store.catalog, "t", store.database.query)) == []  # after a restart
    (row,) = await store.database.query("SELECT * FROM drift FINAL WHERE state = 'drift'")
    assert (row["method"], row["n"], row["n_reference"], row["reference"]) == (
        "correlation",
        1_500,
        2_000,
        found.reference,
    )
    assert set(row["measures"]) == set(row["p_values"]) == {"correlation", "reconstruction", "characteristic"}
    (row,) = await store.database.query("SELECT * FROM detections FINAL")
    assert (row["id"], row["detail"]) == (found.id, found.detail)
    reader = Reader(store.database)
    (cell,) = [
        each
        for each in await queries.drift.cells(reader, "m", "1", Span(START_MS // 1000, NOW_MS // 1000), DAY_MS // 1000)
        if each.state == "drift"
    ]
    assert await queries.drift.detail(reader, "m", "1", cell) == found.detail
    listed = evidence.query(found, ModelSpec(model="m"), reference())
    assert len(await store.database.query(listed)) == 1_000


async def test_a_day_is_judged_when_it_has_been_over_for_an_hour(store: Store) -> None:
    await store.serve(0, together(500, 5))
    await store.judged()
    assert await store.states() == []
    await store.serve(1, together(1, 6))
    await store.judged()
    assert await store.states() == []
    await store.serve(1 + 1 / 24, together(1, 7))
    await store.judged()
    assert await store.states() == [(0, "ok")]
    await store.serve(0, together(5_000, 8, correlated=0.0))  # too late
    assert await store.judged() == []
    assert await store.states() == [(0, "ok")]


async def test_what_was_not_carried_out_comes_again_the_same(store: Store) -> None:
    await store.serve(0, together(1_000, 9, correlated=0.0))
    await store.serve(1.1, together(1, 10))
    first = [result async for result in store.watch(NOW_MS)]
    again = [result async for result in store.watch(NOW_MS)]
    assert [result.name for result in first] == [result.name for result in again]
    assert [list(result.effects.messages) for result in first] == [list(result.effects.messages) for result in again]
    assert len(await store.judged()) == 1


async def test_of_many_events_a_sample_is_drawn_that_is_always_the_same(store: Store) -> None:
    await store.serve(0, together(3 * SAMPLE_ROWS, 11, correlated=0.0))
    await store.serve(1.1, together(1, 12))
    (first,) = [result async for result in store.watch(NOW_MS)]
    (again,) = [result async for result in store.watch(NOW_MS)]
    assert list(first.effects.messages) == list(again.effects.messages)
    (found,) = await store.judged()
    assert found.n == SAMPLE_ROWS


async def test_few_events_and_missing_features_are_said_to_be_insufficient(store: Store) -> None:
    await store.serve(0, together(100, 13, correlated=0.0))
    await store.serve(1, together(1_000, 14), missing="a")
    await store.serve(2.1, together(1, 15))
    assert await store.judged() == []
    assert await store.states() == [(0, "insufficient data"), (1, "ok")]  # of b and __proto__ there is enough
    rows = await store.database.query("SELECT p_values FROM drift FINAL ORDER BY window")
    assert [set(row["p_values"]) for row in rows] == [set(), {"correlation"}]


async def test_without_a_reference_or_of_its_own_events_nothing_is_judged(store: Store) -> None:
    for day in range(3):
        await store.serve(day, together(300, 16 + day))
        await store.serve(day, together(300, 26 + day, correlated=0.0), version="2")
    own = reference(version="2", source="learned", end_ms=START_MS + DAY_MS // 2)
    await store.judged()
    assert await store.states() == [(0, "ok"), (1, "ok")]
    store.catalog.update(own)
    assert [(each.version, each.start_ms) for each in await store.judged()] == [("2", START_MS + DAY_MS)]
    store.catalog.update(msgspec.structs.replace(own, joint=None))
    store.catalog.remove("m@1")
    assert await store.judged() == []
