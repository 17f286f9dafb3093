"""Odd days teach nothing, are waited for no longer than their horizon, and stop nobody."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from driftline_schemas.spec import ModelSpec
from driftline_streams.estimation import losses, matured, table, trees, watch
from driftline_streams.estimation.losses import Losses, Sample
from driftline_streams.estimation.watch import Watch
from driftline_streams.kernel.effects import Rows

from .conftest import DAY_S, NOW_MS, START_S, Store, draw

REGRESSION = ModelSpec(model="m", kind="regression")


def numbers(dice: np.random.Generator, n: int = 200) -> Any:
    """Features, answers and truth of a model of numbers."""
    features = dice.normal(size=(n, 2))
    answers = features.sum(axis=1)
    return features, answers, answers + np.exp(features[:, 0]) * dice.standard_normal(n)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "ROUNDS", 3)


async def test_a_model_that_was_never_wrong_gets_no_estimate(store: Store) -> None:
    store.catalog.update(REGRESSION)
    dice = np.random.default_rng(1)
    for day in range(8):
        features, answers, _ = numbers(dice)
        store.numbers(day, features, answers, answers)
    store.numbers(8, *numbers(dice)[:2])
    store.serve(9, 1)
    assert await store.round() == []
    found = await store.estimates(8)
    assert {row["reason"] for row in found.values()} == {"the matured answers were never wrong"}


async def test_labels_beyond_measure_are_calculated_with(store: Store) -> None:
    store.catalog.update(REGRESSION)
    dice = np.random.default_rng(2)
    for day in range(9):
        features, answers, truth = numbers(dice)
        truth[:2] = [1e160, -1.7e308] if day in {2, 8} else truth[:2]
        answers[2] = 1.7e308 if day == 3 else answers[2]
        store.numbers(day, features, answers, truth)
    store.numbers(9, *numbers(dice)[:2])
    store.serve(10, 1)
    await store.round()
    assert (await store.estimates(9, "isFinite(low) AND isFinite(high) AS known"))["rmse"]["known"]


async def test_a_label_beyond_measure_on_every_event_gets_no_estimate(store: Store) -> None:
    store.catalog.update(REGRESSION)
    dice = np.random.default_rng(3)
    for day in range(4):
        features, answers, _ = numbers(dice)
        store.numbers(day, features, answers, np.full(200, 1e300))
    store.numbers(4, *numbers(dice)[:2])
    store.serve(5, 1)
    await store.round()
    assert (await store.estimates(4))["mae"]["reason"] == "the matured errors are too large to calculate with"


@pytest.mark.parametrize("kept", [0, 1])
async def test_predictions_that_are_stored_no_more_teach_nothing(store: Store, kept: int) -> None:
    store.catalog.update(REGRESSION)
    dice = np.random.default_rng(4)
    for day in range(5):
        store.numbers(day, *numbers(dice))
    store.numbers(5, *numbers(dice)[:2])
    store.serve(6, 1)
    await forget(store, 5 - kept)
    await store.round()
    why = f"only {kept} of at least 3 matured days still have their predictions"
    assert (await store.estimates(5))["mae"]["reason"] == why


async def test_what_was_learned_is_shared_although_predictions_are_gone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[int] = []
    learn = losses.learn

    def counted(samples: Sequence[Sample]) -> Losses:
        learned.append(len(samples))
        return learn(samples)

    monkeypatch.setattr(losses, "learn", counted)
    store.catalog.update(REGRESSION)
    dice = np.random.default_rng(5)
    for day in range(9):
        store.numbers(day, *numbers(dice))
    store.serve(9, 1)
    await forget(store, 4)
    await store.round()
    assert learned == [3, 3]  # when day 7 is judged and when it is estimated; day 8 shares it


async def forget(store: Store, days: int) -> None:
    """Store, and delete the predictions of the first days."""
    await store.save()
    await store.database.execute(
        "DELETE FROM predictions WHERE timestamp < toDateTime({until_s:UInt32}, 'UTC')",
        {"until_s": START_S + days * DAY_S},
    )


async def test_a_day_without_labels_is_waited_for_until_its_horizon(store: Store) -> None:
    store.catalog.update(ModelSpec(model="m", label_horizon_s=2 * DAY_S))
    asked: list[tuple[str, Any]] = []

    async def query(sql: str, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        asked.append((sql, given.get("from_s")))
        return await store.database.query(sql, given)

    store.watch = Watch(store.catalog, "t", query)
    dice = np.random.default_rng(6)
    for day in range(20):
        store.classes(day, draw(dice, 200), labels=day not in {1, 2, 18})
    await store.round()
    asked.clear()
    await store.round()
    # The labels of day 19 are two days younger than day 17; day 18 is still waited for.
    assert min(from_s for _, from_s in asked if from_s is not None) == START_S + (18 - 2 - 112) * DAY_S
    assert watch.MADE not in [sql for sql, _ in asked]


@pytest.mark.parametrize("coverage", [0.0, 0.8, 1.0])
@pytest.mark.parametrize("days_ago", [1, 40], ids=["labels come", "labels have stopped"])
async def test_the_days_that_have_matured_are_those_that_are_final(
    store: Store, coverage: float, days_ago: int
) -> None:
    spec = ModelSpec(model="m", label_horizon_s=10 * DAY_S, label_coverage=coverage)
    now_s, dice, answered = int(time.time()), np.random.default_rng(8), {}
    for day in range(30):
        for version in "12":
            store.serve(day, 10, version=version)
            answered[version, START_S + day * DAY_S] = 10
            if labels := int(dice.integers(0, 11)):
                joined = np.array([(now_s - days_ago * DAY_S) * 1000], np.int64)
                store.settle(day, np.ones(labels), version=version, computed_at=joined)
    end_ms = np.array([(START_S + 30 * DAY_S) * 1000], np.int64)
    store.rows(Rows("labels", 1, {"model": ["m"], "prediction_id": ["a"], "timestamp": end_ms, "ingested_at": joined}))
    record: Any = {"model": ["m"], "version": [""], "kind": ["spec"], "record": [msgspec.json.encode(spec).decode()]}
    store.rows(Rows("models", 1, record | {"offset": np.array([1], np.uint64)}))
    await store.save()
    truth = await matured.read(store.database.query, spec, answered, from_s=0, newest_s=START_S, now_s=now_s)
    final = await store.database.query(
        "SELECT version, toUnixTimestamp(toDateTime(cohort, 'UTC')) AS start_s "
        "FROM performance_states(grain = 'day') WHERE is_final AND labelled > 0 ORDER BY version, cohort"
    )
    assert [(name, day.start_s) for name in sorted(truth.ready) for day in truth.ready[name]] == [
        (row["version"], row["start_s"]) for row in final
    ]
    assert len(final) >= 30


async def test_a_label_of_the_future_ends_no_horizon(store: Store) -> None:
    spec, now_s = ModelSpec(model="m", label_horizon_s=DAY_S), NOW_MS // 1000
    day = (now_s - START_S) // DAY_S - 1
    store.settle(day, np.ones(10), newest_label=np.array([NOW_MS + DAY_S * 1000], np.int64))
    await store.save()
    answered = {("1", START_S + day * DAY_S): 1_000}
    found = await matured.read(store.database.query, spec, answered, from_s=0, newest_s=now_s, now_s=now_s)
    assert found.ready == {}


async def test_a_model_server_with_a_fast_clock_matures_no_day(store: Store) -> None:
    store.catalog.update(ModelSpec(model="m", label_horizon_s=5 * DAY_S))
    dice, today = np.random.default_rng(8), (NOW_MS // 1000 - START_S) // DAY_S
    for day in range(today - 14, today - 2):
        store.classes(day, draw(dice, 400))
    young = draw(dice, 400)
    store.classes(today - 2, young, labels=False)
    store.label(today - 2, [column[:250] for column in young])
    store.serve(today + 60, 1)
    await store.round()
    rows = await store.database.query("SELECT toDate(max(window)) AS day FROM drift WHERE signal = 'relation'")
    assert rows == [{"day": dt.date(2025, 1, 1) + dt.timedelta(days=today - 3)}]


async def test_numbers_of_a_model_that_nobody_described_stop_nothing(store: Store) -> None:
    dice = np.random.default_rng(7)
    for day in range(4):
        store.numbers(day, *numbers(dice))
    store.serve(5, 1)
    assert await store.round() == []
    assert (await store.estimates(3))["accuracy"]["reason"] != ""


def test_categories_differ_to_the_last_character_however_long() -> None:
    texts = ["a", "a\0", "b" * 100_000] * 100
    encoder = table.encoder(table.Table(300, {}, {"kind": texts}), np.ones(300))
    assert encoder.places == {"kind": {"a": 1, "a\0": 2, "b" * 100_000: 3}}
