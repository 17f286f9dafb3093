"""What normal looks like is learned once there is enough of it, and never against a person's word."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from driftline_schemas.spec import ModelSpec, Reference, ReferenceRules
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.rhythm import HOUR_MS
from driftline_streams.model_topic import Entry
from driftline_streams.reference.build import build
from driftline_streams.reference.learner import Learner, Span, span

from .conftest import MONDAY_MS, Store

RULES = ReferenceRules(learn_events=200, learn_days=3.0, rhythm_days=22.0)


@pytest.fixture
def learner(store: Store) -> Learner:
    store.catalog.update(ModelSpec(model="m", window_s=600, reference=RULES))
    return Learner(store.catalog, store.database.query)


def hourly(begin_days: float, end_days: float, n: int = 3, **given: Any) -> list[dict[str, Any]]:
    """`n` events an hour whose score goes up and down with the day."""
    dice = np.random.default_rng(int(begin_days))
    hours = range(int(begin_days * 24), int(end_days * 24))
    return [
        {
            "timestamp": MONDAY_MS + hour * HOUR_MS + i * 60_000,
            "score": (0.1 if hour % 24 < 12 else 0.6) + 0.3 * float(dice.random()),
            **given,
        }
        for hour in hours
        for i in range(n)
    ]


def given(version: str = "1", **fields: Any) -> Reference:
    made = build("m", version, {"score": [0.5]}, n=1, start_ms=0, end_ms=0)
    return msgspec.structs.replace(made, **fields)


async def test_a_version_is_learned_from_its_first_events_when_enough_have_come(store: Store, learner: Learner) -> None:
    await store.take(*hourly(0, 2))
    assert await learner() is None  # too few days
    await store.take(*hourly(2, 5))
    learned = await learner()
    assert learned is not None
    assert (learned.model, learned.version, learned.source) == ("m", "1", "learned")
    assert (learned.start_ms, learned.end_ms) == (MONDAY_MS, MONDAY_MS + 3 * DAY_MS - 1)
    assert learned.n == 3 * 24 * 3
    assert "216 of its first events" in learned.description
    assert learned.rhythm is not None
    assert learned.rhythm.slots == 24
    again = await learner()  # nobody has read it back yet
    assert again is not None
    assert again.id == learned.id
    store.catalog.update(learned)
    assert await learner() is None


async def test_days_alone_are_not_enough_events(store: Store, learner: Learner) -> None:
    await store.take(*hourly(0, 5, n=1))
    assert await learner() is None
    await store.take(*hourly(5, 10, n=1))
    learned = await learner()
    assert learned is not None
    assert learned.n == 200


async def test_it_is_learned_again_with_the_hours_of_the_week(store: Store, learner: Learner) -> None:
    await store.take(*hourly(0, 4))
    first = await learner()
    assert first is not None
    store.catalog.update(first)
    await store.take(*hourly(4, 20))
    assert await learner() is None
    await store.take(*hourly(20, 23))
    second = await learner()
    assert second is not None
    assert (second.source, second.end_ms) == ("learned", MONDAY_MS + 22 * DAY_MS - 1)
    assert second.rhythm is not None
    assert (second.rhythm.slots, set(second.rhythm.counts)) == (168, {"score"})
    store.catalog.update(second)
    await store.take(*hourly(23, 60))
    assert await learner() is None


async def test_a_backlog_of_months_is_learned_at_once(store: Store, learner: Learner) -> None:
    await store.take(*hourly(0, 30))
    learned = await learner()
    assert learned is not None
    assert learned.end_ms == MONDAY_MS + 22 * DAY_MS - 1


async def test_what_a_person_gave_stays(store: Store, learner: Learner) -> None:
    await store.take(*hourly(0, 30))
    for source in ("given", "range"):
        store.catalog.update(given(source=source))
        assert await learner() is None


async def test_what_a_person_gave_while_it_was_learned_stays(store: Store, learner: Learner) -> None:
    await store.take(*hourly(0, 5))
    query = store.database.query

    async def slow(sql: str, parameters: Any) -> list[dict[str, Any]]:
        found = await query(sql, parameters)
        if "FROM predictions" in sql:
            store.catalog.update(given())
        return found

    assert await Learner(store.catalog, slow)() is None


async def test_what_a_person_took_back_is_not_learned_again(store: Store, learner: Learner) -> None:
    await store.take(*hourly(0, 5))
    await store.mirror(Entry("m@1", given(), 1, 0, ""))
    await store.mirror(Entry("m@1", None, 2, 0, ""))
    assert await learner() is None
    assert await Learner(store.catalog, store.database.query)() is None  # also after a restart
    await store.take(*hourly(0, 5, version="2"))
    learned = await learner()
    assert learned is not None
    assert learned.version == "2"


@pytest.mark.parametrize("rules", [{"learn_events": 0}, {"version": "0"}])
async def test_it_is_not_learned_where_the_spec_says_so(store: Store, learner: Learner, rules: dict[str, Any]) -> None:
    store.catalog.update(ModelSpec(model="m", reference=msgspec.structs.replace(RULES, **rules)))
    await store.take(*hourly(0, 30))
    assert await learner() is None
    store.catalog.update(given("0"))
    assert await learner() is None


async def test_a_model_that_nobody_described_is_learned_too(store: Store, learner: Learner) -> None:
    await store.take(*hourly(0, 4, n=60, model="stray", version="@1"))
    learned = await learner()
    assert learned is not None
    assert (learned.model, learned.version) == ("stray", "@1")
    assert learned.n >= 5_000 > learned.n - 60 * 24


async def test_nothing_is_learned_from_nothing(learner: Learner) -> None:
    assert await learner() is None


def test_an_event_with_a_wrong_clock_is_not_the_first() -> None:
    day = dict.fromkeys(range(1000 * HOUR_MS, 1030 * HOUR_MS, HOUR_MS), 100)
    assert span({0: 1} | day, 2_000, 24 * HOUR_MS) == Span(1000 * HOUR_MS, 1024 * HOUR_MS)
    assert span({0: 1} | day, 4_000, 24 * HOUR_MS) is None


def test_a_version_has_the_reference_of_the_one_that_is_pinned_until_it_has_its_own(store: Store) -> None:
    catalog = store.catalog
    catalog.update(given("0"))
    assert catalog.reference("m", "1") is None
    catalog.update(ModelSpec(model="m", reference=ReferenceRules(version="0")))
    assert catalog.reference("m", "1") == given("0")
    catalog.update(given("1"))
    assert catalog.reference("m", "1") == given("1")
    catalog.remove("m@0")
    assert catalog.reference("m", "2") is None
