"""The watch estimates each day from what had matured by then, says why when it cannot, and finds what changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from driftline_schemas.spec import ModelSpec
from driftline_streams.estimation import trees
from driftline_streams.estimation.watch import Watch
from driftline_streams.kernel.effects import Coded

from .conftest import DAY_S, NOW_MS, START_S, Store, draw


async def states(store: Store) -> list[tuple[int, str]]:
    """Day and state of each row about the relation."""
    rows = await store.database.query(
        "SELECT toUnixTimestamp(window) AS at_s, state FROM drift FINAL WHERE signal = 'relation' ORDER BY at_s"
    )
    return [((int(row["at_s"]) - START_S) // DAY_S, row["state"]) for row in rows]


async def reason(store: Store, day: int) -> str:
    """Why the accuracy of a day has no number."""
    return str((await store.estimates(day))["accuracy"]["reason"])


async def test_a_day_without_labels_is_estimated_from_the_days_whose_labels_came(store: Store) -> None:
    dice = np.random.default_rng(1)
    for day in range(10):
        store.classes(day, draw(dice, 1_000))
    scores, truth, answers = draw(dice, 2_000, middle=0.5)  # other inputs
    store.classes(10, (scores, truth, answers), labels=False)
    store.serve(11, 1)
    assert await store.round() == []
    found = await store.estimates(10)
    assert found["accuracy"]["n"] == 2_000
    assert found["accuracy"]["low"] < np.mean(truth == answers) < found["accuracy"]["high"]
    assert found["accuracy"]["estimate"] == pytest.approx(np.mean(truth == answers), abs=0.02)
    recall = truth[answers == 1].sum() / truth.sum()
    assert found["recall"]["estimate"] == pytest.approx(recall, abs=0.03)
    assert {row["reason"] for row in found.values()} == {""}
    assert await states(store) == [*((day, "insufficient data") for day in range(7)), (7, "ok"), (8, "ok"), (9, "ok")]
    # The first days were estimated as it was then: from nothing.
    assert await reason(store, 0) == "no matured day to calibrate on"
    assert await reason(store, 2) == "only 2 of at least 3 matured days to calibrate on"
    # What labels say when they come stands beside it.
    store.label(10, (scores, truth, answers))
    store.drifted(10, "score", psi=0.3)
    await store.round()
    (row,) = await store.database.query(
        "SELECT estimate, value, value_low, value_high, state, error, held, drifted, psi FROM performance_estimated "
        "WHERE metric = 'accuracy' AND toUnixTimestamp(day) = {at:UInt32}",
        {"at": START_S + 10 * DAY_S},
    )
    right = float(np.mean(truth == answers))
    assert (row["estimate"], row["value"]) == (found["accuracy"]["estimate"], pytest.approx(right))
    assert row["value_low"] < right < row["value_high"]
    assert (row["state"], row["held"], row["drifted"], row["psi"]) == ("final", 1, ["score"], 0.3)
    assert row["error"] == pytest.approx(row["estimate"] - right)
    errors = await store.database.query("SELECT * FROM estimate_errors WHERE metric = 'accuracy'")
    assert [(row["days"], row["abstained"], row["share_held"]) for row in errors] == [(8, 3, 1.0)]
    # Another worker, or this one after a restart, has nothing to add.
    assert [each async for each in Watch(store.catalog, "t", store.database.query)(NOW_MS) if each.name] == []


async def test_a_day_that_contradicts_is_found_and_estimates_wait_until_it_is_understood(store: Store) -> None:
    dice = np.random.default_rng(2)
    for day in range(10):
        store.classes(day, draw(dice, 1_000))
    store.classes(10, draw(dice, 1_000, level=1.2))  # the same scores, other outcomes
    other = draw(dice, 1_000, level=1.2)
    store.classes(11, other, labels=False)
    store.serve(20, 1, version="2")  # day 11 is over
    (found,) = await store.round()
    assert (found.kind, found.signal, found.direction, found.version) == ("concept", "relation", "up", "1")
    assert (found.start_ms, found.n) == ((START_S + 10 * DAY_S) * 1000, 1_000)
    assert found.low is not None
    assert found.low > 0.1
    assert "No input drifted" in found.detail
    assert await reason(store, 11) == "the outcomes of 2025-01-11 contradict the calibration"
    # A second day in a row is no accident: what is learned begins anew, and three days are enough.
    store.label(11, other)
    for day in (12, 13, 14):
        drawn = draw(dice, 1_000, level=1.2)
        store.classes(day, drawn, labels=day < 14)
    await store.round()
    row = (await store.estimates(14))["accuracy"]
    assert row["reason"] == ""
    _, truth, answers = drawn
    assert row["estimate"] == pytest.approx(np.mean(truth == answers), abs=0.05)


async def test_other_inputs_alone_are_no_concept_drift(store: Store) -> None:
    dice = np.random.default_rng(3)
    for day in range(10):
        store.classes(day, draw(dice, 1_000))
    for day, middle in ((10, 0.5), (11, 1.5), (12, -2.0)):
        store.classes(day, draw(dice, 1_000, middle=middle))
    store.serve(13, 1)
    assert await store.round() == []
    assert [state for _, state in await states(store)][-3:] == ["ok", "ok", "ok"]


async def test_a_finding_says_which_inputs_moved(store: Store) -> None:
    dice = np.random.default_rng(4)
    for day in range(10):
        store.classes(day, draw(dice, 1_000))
    store.classes(10, draw(dice, 1_000, level=1.2, middle=0.0))
    store.drifted(10, "feature:age", ks=0.3)
    store.drifted(10, "score", ks=0.3)
    store.serve(11, 1)
    (found,) = await store.round()
    assert "Inputs age drifted; of the answers score drifted" in found.detail


async def test_scores_that_calibration_never_saw_are_not_estimated(store: Store) -> None:
    dice = np.random.default_rng(5)
    for day in range(5):
        store.classes(day, draw(dice, 500, middle=-2.5))
    store.classes(5, draw(dice, 500, middle=5.0), labels=False)
    store.serve(6, 1)
    await store.round()
    assert await reason(store, 5) == "99 % of the scores lie where the calibration saw next to none"


async def test_inputs_that_left_the_reference_are_not_estimated(store: Store) -> None:
    dice = np.random.default_rng(6)
    for day in range(5):
        store.classes(day, draw(dice, 500))
    store.classes(5, draw(dice, 500), labels=False)
    store.drifted(5, "feature:age", ks=0.97)
    store.serve(6, 1)
    await store.round()
    assert await reason(store, 5) == "inputs have left what was learned from: age"


async def test_a_young_day_is_estimated_when_it_has_enough_and_again_as_it_grows(store: Store) -> None:
    dice = np.random.default_rng(7)
    for day in range(5):
        store.classes(day, draw(dice, 500))
    store.classes(5, draw(dice, 150), labels=False)
    await store.round()
    assert await store.estimates(5) == {}
    store.classes(5.1, draw(dice, 150), labels=False)
    await store.round()
    assert (await store.estimates(5))["f1"]["n"] == 300
    store.classes(5.2, draw(dice, 20), labels=False)
    await store.round()
    assert (await store.estimates(5))["f1"]["n"] == 300  # hardly more
    store.serve(6, 1)
    store.serve(6.2, 1)
    await store.round()
    assert (await store.estimates(5))["f1"]["n"] == 320  # the day is over


async def test_a_day_that_abstained_is_estimated_once_others_mature(store: Store) -> None:
    store.catalog.update(ModelSpec(model="m", label_horizon_s=5 * DAY_S, label_coverage=1.0))
    dice = np.random.default_rng(8)
    days = [draw(dice, 400) for _ in range(8)]
    for day in range(6):
        store.classes(day, days[day], labels=day < 2)
    await store.round()
    assert await reason(store, 4) == "only 2 of at least 3 matured days to calibrate on"
    drawn = draw(dice, 400)
    store.classes(20, drawn)  # matured before its horizon
    store.serve(21, 1)
    await store.round()
    assert await reason(store, 4) == ""


@pytest.mark.parametrize("weight", [1.0, 10.0])  # one in ten that speaks for ten tells no more than one
async def test_few_outcomes_are_judged_together(store: Store, weight: float) -> None:
    dice = np.random.default_rng(9)
    for day in range(12):
        store.classes(day, draw(dice, 90), weight=weight)
    store.serve(12, 1)
    await store.round()
    assert [day for day, _ in await states(store)] == [0, 3, 6, 9]


async def test_several_classes_are_estimated_from_their_confidence(store: Store) -> None:
    store.catalog.update(ModelSpec(model="m", kind="multiclass"))
    dice = np.random.default_rng(10)
    for day in range(6):
        confidence, right, _ = draw(dice, 500, middle=1.0)
        store.classes(day, (confidence, right, np.ones(500)))
    confidence, truth, _ = draw(dice, 500, middle=0.0)
    store.serve(6, 500, confidence=confidence, prediction=Coded.constant("cat", 500))
    store.serve(7, 1)
    await store.round()
    found = await store.estimates(6)
    assert list(found) == ["accuracy"]
    assert found["accuracy"]["low"] < truth.mean() < found["accuracy"]["high"]


async def test_predictions_without_a_score_say_so(store: Store) -> None:
    dice = np.random.default_rng(11)
    for day in range(4):
        store.classes(day, draw(dice, 300))
    store.serve(4, 300, prediction=Coded.constant("true", 300))
    store.serve(5, 1)
    await store.round()
    assert await reason(store, 4) == "the predictions have no score"


def uneven(dice: np.random.Generator, n: int, *, middle: float = 0.0, worse: float = 1.0) -> Any:
    """Features, answers and truth of a model whose error grows with the first feature."""
    features = dice.normal([middle, 0.0], 1.0, (n, 2))
    answers = features.sum(axis=1)
    return features, answers, answers + worse * np.exp(features[:, 0]) * dice.standard_normal(n)


async def test_the_error_of_numbers_is_estimated_from_features_and_held_against_the_truth(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "ROUNDS", 25)  # enough for two features
    store.catalog.update(ModelSpec(model="m", kind="regression"))
    dice = np.random.default_rng(12)
    for day in range(8):
        store.numbers(day, *uneven(dice, 400))
    features, answers, truth = uneven(dice, 400, middle=1.0)  # where the model is worse
    store.numbers(8, features, answers)
    store.numbers(9, *uneven(dice, 400, worse=2.5))  # worse at the same features
    store.numbers(10, *uneven(dice, 400)[:2])
    store.serve(11, 1)
    (finding,) = await store.round()
    found, error = await store.estimates(8), np.abs(answers - truth)
    assert found["mae"]["n"] == 400
    assert found["mae"]["low"] < error.mean() < found["mae"]["high"]
    assert found["mae"]["estimate"] == pytest.approx(error.mean(), rel=0.3)
    assert found["rmse"]["low"] < np.sqrt(np.square(error).mean()) < found["rmse"]["high"]
    assert (finding.kind, finding.method, finding.direction) == ("concept", "loss", "up")
    assert finding.start_ms == (START_S + 9 * DAY_S) * 1000
    assert "because of the relation" in finding.detail
    assert (await store.estimates(10))["mae"]["reason"] == "the outcomes of 2025-01-10 contradict the calibration"


async def test_sums_that_labels_came_after_are_not_judged_yet(store: Store) -> None:
    store.catalog.update(ModelSpec(model="m"))
    dice = np.random.default_rng(14)
    for day in range(3):
        store.classes(day, draw(dice, 300))
    store.serve(3, 1)
    store.join_late(1)
    await store.round()
    assert await states(store) == [(0, "insufficient data")]
