"""What becomes of labels: joined at once, later or never, counted always, and the same after every crash."""

from __future__ import annotations

import random
import time
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from driftline_schemas.records import BinaryOutcome
from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.limits import EARLIEST_MS
from driftline_streams.outcomes.join import SWEEP_MS
from driftline_streams.outcomes.recent import Recent
from driftline_streams.outcomes.waiting import Waiting

from ..memory_batch import MemoryBatch
from .conftest import DAY_MS, LABELS, NOW_MS, Worker, label, predictions

if TYPE_CHECKING:
    from driftline_streams.sinks.clickhouse import ClickHouse


async def test_a_label_meets_a_recent_prediction_without_a_query(worker: Worker) -> None:
    await worker.stored(predictions(0, {"prediction_id": "a", "segment": {"carrier": "UA"}, "request_id": "r"}))
    result = await worker.labelled(label("a", False, weight=2, source="crm"))
    assert (result.read, result.joined, result.waiting, worker.recent.hits) == (1, 1, 0, 1)
    (outcome,) = worker.published
    assert isinstance(outcome, BinaryOutcome)
    assert (outcome.prediction, outcome.label, outcome.predicted_positive, outcome.positive) == (
        "true",
        "false",
        True,
        False,
    )
    assert (outcome.weight, outcome.score, outcome.segment, outcome.request_id) == (2, 0.75, {"carrier": "UA"}, "r")
    (row,) = await worker.database.query("SELECT * FROM outcomes")
    assert (row["segment"], row["positive"], row["prediction_value"]) == ({"carrier": "UA"}, 0, None)
    (stored,) = await worker.database.query("SELECT * FROM labels")
    assert (stored["label"], stored["label_value"], stored["source"], stored["offset"]) == ("false", None, "crm", 0)


async def test_a_label_meets_an_old_prediction_in_clickhouse(worker: Worker) -> None:
    rows = predictions(0, *({"prediction_id": f"p{i}", "segment": {"carrier": "UA"}} for i in range(1000)))
    await worker.stored(rows, remember=False)
    result = await worker.labelled(*(label(f"p{i}", i % 2) for i in range(1000)))
    assert (result.joined, worker.recent.hits) == (1000, 0)
    assert worker.published[0].segment == {"carrier": "UA"}
    assert await worker.outcomes() == {f"p{i}": str(i % 2) for i in range(1000)}


async def test_one_look_up_asks_for_a_bounded_number_of_labels_and_the_next_for_the_rest(worker: Worker) -> None:
    ids = [[f"{batch}-{i}" for i in range(40_000)] for batch in range(3)]
    rows = predictions(0, *({"prediction_id": each[0]} for each in ids))
    await worker.stored(rows, remember=False)
    for each in ids:
        worker.join(MemoryBatch([label(name, True) for name in each], 0, "t.labels"), NOW_MS)
    first = await worker.retried(NOW_MS)
    assert (first.joined, worker.join.fresh) == (2, 40_000)
    second = await worker.retried(NOW_MS)
    assert (second.joined, worker.join.fresh, second.waiting) == (1, 0, 119_997)


async def test_hot_and_cold_give_the_same_outcome(worker: Worker) -> None:
    event = {"prediction_id": "a", "version": "2", "role": "shadow", "segment": {"x": "y"}, "prediction_value": 1.5}
    event |= {"score": float("nan"), "confidence": 0.5, "prediction": "1.5", "probabilities": {"2": 0.1, "1.5": 0.7}}
    rows = predictions(0, event)
    await worker.stored(rows, remember=False)
    batch = MemoryBatch([label("a", 2)], 0, "t.labels")
    assert list(worker.join(batch, NOW_MS).outcomes) == []
    cold = await worker.join.retry([LABELS], NOW_MS)
    worker.join.remember(rows)
    hot = worker.join(batch, NOW_MS)
    assert worker.recent.hits == 1
    (one,), (other,) = cold.outcomes, hot.outcomes
    assert one.name == other.name


async def test_a_label_that_precedes_its_prediction_waits_for_it(worker: Worker) -> None:
    first = await worker.labelled(label("a", True), label("b", True))
    assert (first.joined, first.waiting) == (0, 2)
    await worker.stored(predictions(0, {"prediction_id": "a"}))
    second = await worker.retried(NOW_MS + 100)  # at once: it was told
    assert (second.joined, second.waiting) == (1, 1)
    await worker.stored(predictions(1, {"prediction_id": "b"}), remember=False)
    third = await worker.retried(NOW_MS + 3000)  # another worker's: found when its look-up is due
    assert (third.joined, third.waiting) == (1, 0)
    assert await worker.outcomes() == {"a": "true", "b": "true"}


async def test_a_waiting_label_is_looked_up_ever_more_rarely(worker: Worker) -> None:
    await worker.labelled(label("a", True))
    asked = 0
    before = worker.recent.misses
    for second in range(3600):
        await worker.retried(NOW_MS + 1000 * second)
        asked += worker.recent.misses - before
        before = worker.recent.misses
    assert 8 <= asked <= 12


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("together", [True, False])
async def test_the_later_label_corrects_the_earlier_one_in_either_order(
    worker: Worker, order: tuple[int, int], together: bool
) -> None:
    await worker.stored(predictions(0, {"prediction_id": "a"}))
    both = (label("a", "wrong", NOW_MS), label("a", "right", NOW_MS + 1))
    messages = [both[i] for i in order]
    if together:
        await worker.labelled(*messages)
    else:
        for message in messages:
            await worker.labelled(message)
    assert await worker.outcomes() == {"a": "right"}


async def test_the_most_trusted_source_holds_in_any_order(worker: Worker) -> None:
    worker.catalog.update(ModelSpec(model="m", kind="multiclass", label_sources=["tower", "crm"]))
    orders = {"".join(map(str, order)): order for order in permutations(range(4))}
    probabilities = {"held": 0.25, "x": 0.5}
    await worker.stored(predictions(0, *({"prediction_id": i, "probabilities": probabilities} for i in orders)))
    told: tuple[dict[str, Any], ...] = (
        {"value": "first", "source": "tower"},
        {"value": "held", "at_ms": NOW_MS + 1, "source": "tower"},
        {"value": "late", "at_ms": NOW_MS + 2, "source": "crm"},
        {"value": "unnamed", "at_ms": NOW_MS + 3, "source": "a guess"},
    )
    await worker.labelled(*(label(i, **told[number]) for i, order in orders.items() for number in order[:2]))
    for place in (2, 3):
        await worker.labelled(*(label(i, **told[order[place]]) for i, order in orders.items()))
    assert (await Worker(worker.database).join.recover([LABELS], NOW_MS + 10)).waiting == 0
    rows = await worker.database.query(
        """
        SELECT label, source, kind, label_probability, precedence = greatest AS holds, count() AS n
        FROM outcomes FINAL
        INNER JOIN (SELECT prediction_id, max(precedence) AS greatest FROM labels GROUP BY prediction_id) AS told
            USING prediction_id
        GROUP BY ALL
        """
    )
    assert rows == [
        {"label": "held", "source": "tower", "kind": "multiclass", "label_probability": 0.25, "holds": 1, "n": 24}
    ]
    for i in orders:
        published = [outcome for outcome in worker.published if outcome.prediction_id == i]
        assert max(published, key=lambda outcome: outcome.precedence).label == "held"


async def test_of_duplicate_predictions_the_first_in_kafka_counts(worker: Worker) -> None:
    first = predictions(7, {"prediction_id": "a", "version": "first"}, {"prediction_id": "a", "version": "second"})
    await worker.stored(first, remember=False)
    await worker.stored(predictions(3, {"prediction_id": "a", "version": "earliest"}), remember=False)
    await worker.labelled(label("a", True))
    assert [outcome.version for outcome in worker.published] == ["earliest"]


async def repeated(worker: Worker, *, forgotten: bool) -> list[tuple[str, int, str]]:
    """Version, day and label of the outcomes of an id that a later prediction has taken again."""
    first, again = {"prediction_id": "a"}, {"prediction_id": "a", "version": "2", "timestamp": NOW_MS + DAY_MS}
    await worker.stored(predictions(0, first), remember=not forgotten)
    await worker.stored(predictions(1, again))
    at_ms = NOW_MS + 2 * DAY_MS
    await worker.labelled(label("a", "told", at_ms), now_ms=at_ms)
    restarted = Worker(worker.database)
    restarted.offset = worker.offset
    await restarted.labelled(label("a", "corrected", at_ms + 1), now_ms=at_ms + 1)
    rows = await worker.database.query("SELECT version, timestamp, label FROM outcomes FINAL ORDER BY version")
    return [
        (row["version"], round(row["timestamp"].timestamp() * 1000 - NOW_MS) // DAY_MS, row["label"]) for row in rows
    ]


async def test_an_id_that_is_taken_again_has_the_outcome_of_its_first_prediction(worker: Worker) -> None:
    assert await repeated(worker, forgotten=False) == [("1", -1, "corrected")]


async def test_an_id_whose_first_prediction_has_left_memory_may_have_two_outcomes(worker: Worker) -> None:
    assert await repeated(worker, forgotten=True) == [("1", -1, "corrected"), ("2", 1, "told")]


@pytest.mark.parametrize("remember", [True, False], ids=["hot", "cold"])
async def test_labels_at_the_ends_of_what_is_allowed_are_joined_as_they_are(worker: Worker, remember: bool) -> None:
    worker.catalog.update(ModelSpec(model="m", kind="regression"))
    told: dict[str, dict[str, Any]] = {
        "large": {"value": 1e300},
        "small": {"value": -5e-324},
        "weightless": {"value": 0.0, "weight": 0},
        "heavy": {"value": 1.0, "weight": 1e12},
        "of tomorrow": {"value": 2.0, "at_ms": NOW_MS + DAY_MS},
        "of yesterday": {"value": 3.0, "at_ms": NOW_MS - DAY_MS},
        "of the oldest": {"value": 4.0, "at_ms": EARLIEST_MS},
    }
    times = {"of the oldest": EARLIEST_MS}
    events = [{"prediction_id": i, "timestamp": times.get(i, NOW_MS), "prediction_value": 1.0} for i in told]
    await worker.stored(predictions(0, *events), remember=remember)
    assert (await worker.labelled(*(label(i, **each) for i, each in told.items()))).joined == len(told)
    rows = {row["prediction_id"]: row for row in await worker.database.query("SELECT * FROM outcomes FINAL")}
    for i, each in told.items():
        at_ms = round(rows[i]["label_timestamp"].timestamp() * 1000)
        found = (rows[i]["label_value"], rows[i]["weight"], at_ms)
        assert found == (each["value"], each.get("weight", 1), each.get("at_ms", NOW_MS)), i


async def test_a_label_of_tomorrow_holds_until_one_of_a_later_time_comes(worker: Worker) -> None:
    await worker.stored(predictions(0, {"prediction_id": "a"}))
    await worker.labelled(label("a", "ahead", NOW_MS + DAY_MS), label("a", "true", NOW_MS + 1))
    assert await worker.outcomes() == {"a": "ahead"}
    await worker.labelled(label("a", "true", NOW_MS + DAY_MS + 1), now_ms=NOW_MS + DAY_MS + 1)
    assert await worker.outcomes() == {"a": "true"}


async def test_a_label_for_a_failed_prediction_has_nothing_to_be_compared_with(worker: Worker) -> None:
    await worker.stored(predictions(0, {"prediction_id": "a", "status": "error", "prediction": ""}))
    result = await worker.labelled(label("a", True))
    assert (result.unanswered, result.joined, result.waiting, worker.published) == (1, 0, 0, [])


async def test_a_prediction_older_than_the_horizon_is_not_joined(worker: Worker) -> None:
    worker.catalog.update(ModelSpec(model="m", label_horizon_s=86_400))
    old, new = NOW_MS - DAY_MS - 1, NOW_MS - DAY_MS
    for remember in (True, False):
        name = f"{remember}"
        rows = predictions(
            0, {"prediction_id": f"old {name}", "timestamp": old}, {"prediction_id": f"new {name}", "timestamp": new}
        )
        await worker.stored(rows, remember=remember)
        await worker.labelled(label(f"old {name}", True), label(f"new {name}", True))
    assert set(await worker.outcomes()) == {"new True", "new False"}


async def test_a_label_becomes_an_orphan_after_the_horizon_and_stays_stored(worker: Worker) -> None:
    worker.catalog.update(ModelSpec(model="m", label_horizon_s=3600))
    await worker.labelled(label("never", True))
    orphaned = 0
    for minute in range(180):
        orphaned += (await worker.retried(NOW_MS + 60_000 * minute)).orphaned
    assert (orphaned, len(worker.waiting)) == (1, 0)
    assert await worker.database.query("SELECT prediction_id FROM labels") == [{"prediction_id": "never"}]


async def test_a_worker_takes_up_the_labels_that_another_left_waiting(worker: Worker, database: ClickHouse) -> None:
    await worker.stored(predictions(0, {"prediction_id": "joined"}, {"prediction_id": "corrected"}))
    await worker.labelled(label("joined", True), label("corrected", True), label("waits", True))
    # Killed after the labels of a correction were stored, before its outcome was.
    lost = worker.join(MemoryBatch([label("corrected", False, NOW_MS + 5)], worker.offset, "t.labels"), NOW_MS)
    await database.insert(lost.effects.rows, "lost")

    other = Worker(database)
    recovered = await other.join.recover([LABELS], NOW_MS + 1000)
    assert recovered.waiting == 2
    await other.stored(predictions(2, {"prediction_id": "waits"}), remember=False)
    await other.retried(NOW_MS + 1000)
    assert await other.outcomes() == {"joined": "true", "corrected": "false", "waits": "true"}
    assert (await Worker(database).join.recover([LABELS], NOW_MS + 2000)).waiting == 0
    assert (await Worker(database).join.recover([("t.labels", 1)], NOW_MS)).waiting == 0


async def test_recovery_does_not_lose_the_labels_of_a_batch_under_way(worker: Worker) -> None:
    under_way = worker.join(MemoryBatch([label("a", True)], 0, "t.labels"), NOW_MS)
    assert (await worker.join.recover([LABELS], NOW_MS)).waiting == 1
    await worker.done(under_way, "batch")
    await worker.stored(predictions(0, {"prediction_id": "a"}))
    assert (await worker.retried(NOW_MS + 1)).joined == 1


async def test_labels_older_than_the_horizon_are_not_taken_up(worker: Worker, database: ClickHouse) -> None:
    await worker.labelled(label("a", True))
    other = Worker(database)
    assert (await other.join.recover([LABELS], NOW_MS + 31 * DAY_MS)).waiting == 0


async def test_labels_that_do_not_fit_into_memory_are_joined_by_the_sweep(database: ClickHouse) -> None:
    worker = Worker(database, waiting=Waiting(max_labels=3))
    result = await worker.labelled(*(label(f"p{i}", True) for i in range(10)))
    assert (result.waiting, worker.waiting.overflowed) == (3, 7)
    await worker.stored(predictions(0, *({"prediction_id": f"p{i}"} for i in range(10))), remember=False)
    now_ms = NOW_MS
    for _ in range(10):
        now_ms += 2 * SWEEP_MS
        await worker.retried(now_ms)
        await worker.retried(now_ms + 1000)
    assert set(await worker.outcomes()) == {f"p{i}" for i in range(10)}


async def test_a_label_that_does_not_belong_does_not_hide_one_that_does(worker: Worker) -> None:
    worker.catalog.update(ModelSpec(model="m", kind="multiclass", label_horizon_s=86_400))
    corrected_too_late = (label("a", "held", NOW_MS), label("a", "too late", NOW_MS + 2 * DAY_MS))
    first = await worker.labelled(*corrected_too_late, now_ms=NOW_MS + 2 * DAY_MS)
    assert first.waiting == 1
    await worker.stored(predictions(0, {"prediction_id": "a"}), remember=False)
    second = await worker.retried(NOW_MS + 2 * DAY_MS + 5000)
    assert (second.joined, second.waiting) == (1, 1)
    assert await worker.outcomes() == {"a": "held"}
    other = Worker(worker.database, worker.catalog)
    assert (await other.join.recover([LABELS], NOW_MS + 2 * DAY_MS)).waiting == 1
    assert (await other.retried(NOW_MS + 2 * DAY_MS)).joined == 0


async def test_a_label_of_more_than_a_day_before_its_prediction_is_not_joined_and_stays_stored(worker: Worker) -> None:
    await worker.stored(predictions(0, {"prediction_id": "a", "timestamp": NOW_MS}))
    early = await worker.labelled(label("a", True, NOW_MS - DAY_MS - 1))
    assert (early.joined, early.waiting) == (0, 1)
    in_time = await worker.labelled(label("a", False, NOW_MS - DAY_MS))
    assert (in_time.joined, in_time.waiting) == (1, 1)
    assert await worker.outcomes() == {"a": "false"}


async def test_a_label_for_the_id_of_another_models_prediction_is_not_joined(worker: Worker) -> None:
    await worker.stored(predictions(0, {"prediction_id": "a", "model": "other"}))
    result = await worker.labelled(label("a", True))
    assert (result.joined, result.waiting) == (0, 1)


async def test_a_million_labels_for_one_prediction_cost_the_room_of_one(worker: Worker) -> None:
    worker.catalog.update(ModelSpec(model="m", kind="regression"))
    n, batch = 200_000, 20_000
    began = time.process_time()
    for first in range(0, n, batch):
        messages = [label("a", float(i), NOW_MS + i % 1000) for i in range(first, first + batch)]
        worker.join(MemoryBatch(messages, first, "t.labels"), NOW_MS)
        await worker.retried(NOW_MS)
    assert (len(worker.waiting), worker.waiting.superseded) == (1, n - 1)
    assert worker.waiting.nbytes < 1000
    await worker.stored(predictions(0, {"prediction_id": "a", "prediction_value": 1.0}))
    assert (await worker.retried(NOW_MS + 1)).joined == 1
    assert await worker.outcomes() == {"a": str(n - 1)}
    assert time.process_time() - began < 60  # of what compared each with each, an hour


async def test_labels_of_partitions_given_up_are_let_go(worker: Worker) -> None:
    await worker.labelled(label("a", True))
    assert (await worker.join.retry([("t.labels", 1)], NOW_MS + 5000)).waiting == 0


async def test_repeating_a_batch_changes_nothing(worker: Worker) -> None:
    await worker.stored(predictions(0, {"prediction_id": "a"}, {"prediction_id": "b"}))
    batch = MemoryBatch([label("a", True), b"{", label("b", 0)], 0, "t.labels")
    first = await worker.done(worker.join(batch, NOW_MS), "batch")
    again = await worker.done(worker.join(batch, NOW_MS), "batch")
    assert [told.name for told in first.outcomes] == [told.name for told in again.outcomes] != []
    for table, n in (("labels", 2), ("outcomes", 2), ("rejected", 1)):
        assert await worker.database.query(f"SELECT count() AS n FROM {table}") == [{"n": n}]


async def test_names_that_are_no_plain_words_are_found_cold(worker: Worker) -> None:
    odd = ["it's", "back\\slash", "tab\there", "line\nbreak", "{model:String}", "🛫", "%s", '"']
    for i, name in enumerate(odd):
        rows = predictions(i, *({"prediction_id": f"{name}{j}", "model": name} for j in range(300)))
        await worker.stored(rows, remember=False)
    result = await worker.labelled(*(label(f"{name}{j}", True, model=name) for name in odd for j in range(300)))
    assert result.joined == 300 * len(odd)


@pytest.mark.parametrize("seed", range(3))
async def test_every_order_of_arrival_ends_in_the_same_outcomes(database: ClickHouse, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - a reproducible scenario
    n = 300
    events = [
        predictions(i, *({"prediction_id": f"p{j}", "timestamp": NOW_MS - j} for j in range(i, i + 10)))
        for i in range(0, n, 10)
    ]
    spec = ModelSpec(model="m", kind="multiclass", label_sources=["first", "second"], label_horizon_s=86_400)
    truths = [
        (
            f"p{rng.randrange(int(n * 1.1))}",
            f"l{i}",
            NOW_MS + rng.randrange(1000) * 1000 + i + (2 * DAY_MS if rng.random() < 0.1 else 0),  # after the horizon
            rng.choice(["first", "second", "third", "fourth"]),
        )
        for i in range(2 * n)
    ]
    steps: list[Any] = [*events, *truths]
    rng.shuffle(steps)
    worker = Worker(database, recent=Recent(max_events=40), waiting=Waiting(max_labels=100))
    worker.catalog.update(spec)
    now_ms = NOW_MS + 2 * DAY_MS
    while steps:
        now_ms += 700
        taken, steps = steps[:25], steps[25:]
        for rows in (step for step in taken if not isinstance(step, tuple)):
            await worker.stored(rows, remember=rng.random() < 0.7)
        told = [label(*step[:3], source=step[3]) for step in taken if isinstance(step, tuple)]
        await worker.labelled(*told, now_ms=now_ms)
        if rng.random() < 0.1:  # killed
            offset, worker = (
                worker.offset,
                Worker(database, worker.catalog, Recent(max_events=40), waiting=Waiting(100)),
            )
            worker.offset = offset
            await worker.join.recover([LABELS], now_ms)
        await worker.retried(now_ms)
    for _ in range(12):
        now_ms += 4_000_000
        await worker.retried(now_ms)
        await worker.retried(now_ms + 1000)
    served = {f"p{i}" for i in range(n)}
    expected: dict[str, tuple[int, int, str]] = {}
    for prediction_id, value, at_ms, source in truths:
        if prediction_id in served and at_ms < NOW_MS + DAY_MS:
            trust = {"first": 2, "second": 1}.get(source, 0)
            expected[prediction_id] = max(expected.get(prediction_id, (0, 0, "")), (trust, at_ms, value))
    assert await worker.outcomes() == {prediction_id: value for prediction_id, (_, _, value) in expected.items()}
