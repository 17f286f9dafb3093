"""From outcomes to proposals: pairs, verdict, alert and action, and no verdict from the labels that come first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import msgspec
import numpy as np
import numpy.typing as npt

from driftline_schemas.records import Action
from driftline_schemas.spec import ModelSpec
from driftline_streams.alerts.notify import Notify
from driftline_streams.comparison import pairs
from driftline_streams.comparison.watch import Watch
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.performance.cohorts import Cohorts
from driftline_streams.sinks.clickhouse import ClickHouse

from .conftest import DAY_MS, HOUR_MS, START_MS, Answer, cell, insert, outcomes, pair, put, windows

DAYS, A_DAY = 4, 200
SIDES = (("1", "champion"), ("2", "challenger"))
_NOW_MS = count(START_MS + 400 * DAY_MS)


class Worker:
    """The round over cohorts, the watch over challengers and the stage behind it."""

    def __init__(self, database: ClickHouse) -> None:
        catalog = Catalog()
        catalog.update(ModelSpec(model="m"))
        self.database = database
        self.cohorts = Cohorts(catalog, database.query, database.execute, [pairs.COMPUTE])
        self.watch = Watch(catalog, "t", database.query)
        self.notify = Notify(catalog, "t")
        self.state: dict[str, bytes] = {}

    async def labels(self, answers: Sequence[Answer]) -> list[Action]:
        """Labels come; what is proposed then."""
        await put(self.database, outcomes(answers))
        while (await self.cohorts()).left:
            pass
        messages = []
        async for found in self.watch(next(_NOW_MS)):
            await self.database.insert(found.effects.rows, found.name)
            messages += [message.value or b"" for message in found.effects.messages]
        effects = self.notify(messages, self.state, 0).effects
        return [msgspec.json.decode(m.value or b"", type=Action) for m in effects.messages if m.topic == "t.actions"]


def answers(role: str, version: str, right: npt.NDArray[np.bool_]) -> list[Answer]:
    """One answer to each request, labelled after an hour."""
    times = [START_MS + i * DAY_MS // A_DAY for i in range(len(right))]
    return [
        Answer(version=version, role=role, request=f"r{i}", at_ms=at, label_ms=at + HOUR_MS, right=bool(each))
        for i, (at, each) in enumerate(zip(times, right, strict=True))
    ]


def serve(database: ClickHouse, days: int = DAYS) -> None:
    """All versions have answered on these days and a little on the next."""
    insert(database, "windows", *(windows(d, A_DAY if d < days else 1, v) for d in range(days + 1) for v in "1234"))


async def test_a_better_challenger_is_promoted_a_worse_one_rolled_back_and_a_worse_shadow_left(
    database: ClickHouse,
) -> None:
    r = np.random.default_rng(1)
    serve(database)
    right = r.random(DAYS * A_DAY) < 0.8
    better, worse = right | (r.random(len(right)) < 0.5), right & (r.random(len(right)) < 0.7)
    came = [
        *answers("champion", "1", right),
        *answers("challenger", "2", better),
        *answers("challenger", "3", worse),
        *answers("shadow", "4", worse),
    ]
    worker = Worker(database)
    assert {(each.version, each.action) for each in await worker.labels(came)} == {("2", "promote"), ("3", "rollback")}
    assert await worker.labels(came) == []


async def test_the_labels_that_come_first_decide_nothing(database: ClickHouse) -> None:
    # The challenger is right as often: more on the negatives, whose labels come first, and less on the positives.
    r = np.random.default_rng(2)
    serve(database)
    n = DAYS * A_DAY
    negative = np.arange(n) % 2 == 0
    one = answers("champion", "1", r.random(n) < 0.8)
    other = answers("challenger", "2", r.random(n) < np.where(negative, 0.95, 0.65))
    catalog = Catalog()
    watch = Watch(catalog, "t", database.query)
    for first, labelled in ((True, A_DAY // 2), (False, A_DAY)):
        came = [each for side in (one, other) for each, early in zip(side, negative, strict=True) if early == first]
        await put(database, outcomes(came))
        await pair(database, came)
        cells = (cell(d, labelled, version=v, role=role) for d in range(DAYS) for v, role in SIDES)
        insert(database, "performance", *(each | {"computed_at": f"2026-01-0{2 - first} 00:00:00"} for each in cells))
        found = [each async for each in watch(next(_NOW_MS))]
        if first:
            (naive,) = await database.query(
                "SELECT sum(only_challenger_right) AS wins, sum(only_champion_right) AS losses FROM champion_challenger"
            )
            assert naive["wins"] > 2 * naive["losses"]  # what the labels that have come would say
            assert found == []
    (judged,) = found
    assert judged.effects.messages == ()
    await database.insert(judged.effects.rows, judged.name)
    assert {row["verdict"] for row in await database.query("SELECT verdict FROM verdicts")} == {"not yet"}
