"""The interval of a young day holds its final value, where that of the labels that came does not."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline_streams.performance import delay
from driftline_streams.performance.maturity import History, Maturity, look
from driftline_streams.performance.nowcast import Expected, Seen, nowcast
from driftline_streams.performance.rates import BINARY, bounds, rates

from .nowcast import SCENARIOS, Scenario, history_of, measure

NAMED = {scenario.name: scenario for scenario in SCENARIOS}
SMALL = st.integers(0, 4)


def profile(age_h: float) -> tuple[Any, Any]:
    return delay.ages({hour * 3_600: 10 for hour in range(24)}, int((24 + age_h) * 3_600))


def of_a_day(
    scenario: Scenario = SCENARIOS[0], age_h: float = 24, seed: int = 0
) -> tuple[History, Maturity | str, Seen]:
    history, seen, _ = history_of(scenario, age_h, np.random.default_rng(seed))
    return history, look(history, len(history.answered) - 1, *profile(age_h)), seen


def by_name(found: list[Expected]) -> dict[str, Expected]:
    return {each.metric: each for each in found}


@pytest.mark.parametrize(("name", "age_h"), [("bad news is late", 24), ("the model breaks", 12)])
def test_it_holds_the_final_value_where_the_running_one_does_not(name: str, age_h: float) -> None:
    held = measure(NAMED[name], age_h, 60)
    assert all(each.nowcast >= 0.93 for each in held.values()), held  # 500 runs of more cases: docs/late-truth.md
    assert held["accuracy"].naive < 0.1
    assert held["accuracy"].width < 0.2
    assert max(each.fallen_back for each in held.values()) < 0.1


def test_labels_that_suddenly_take_longer_leave_the_worst_cases() -> None:
    _, history, seen = of_a_day(NAMED["half as quick at once"])
    found = by_name(nowcast(seen, history).rates())["accuracy"]
    assert (found.method, found.estimate) == ("bounds", None)
    assert "labels have come where the days before led to expect" in found.reason


def test_without_history_only_the_worst_cases_are_known() -> None:
    history, _, seen = of_a_day()
    young = replace(history, counts=history.counts[-5:], answered=history.answered[-5:])
    why = look(young, 4, *profile(24))
    assert isinstance(why, str)
    drawn = nowcast(seen, why)
    found = by_name(drawn.rates())["precision"]
    right, given_ = seen.counts["tp"], seen.counts["tp"] + seen.counts["fp"]
    assert found.low == pytest.approx(right / (given_ + seen.missing))
    assert found.high == pytest.approx((right + seen.missing) / (given_ + seen.missing))
    assert drawn.coverage()[1:4] == (None, seen.labelled / seen.answered, 1.0)


def test_history_that_has_misled_is_not_believed() -> None:
    _, history, seen = of_a_day()
    assert isinstance(history, Maturity)
    # All came as they should but of the tenth day on, of which the wrong ones came at once.
    tried = history.tried._replace(
        seen=np.where(np.arange(20)[:, None] < 10, history.tried.seen, 0.4 * history.tried.final)
    )
    found = by_name(nowcast(seen, replace(history, tried=tried)).rates())["accuracy"]
    assert found.method == "bounds"
    assert found.reason.startswith("such intervals missed the final value on")


def test_with_all_labels_there_is_nothing_to_expect() -> None:
    _, history, _ = of_a_day(replace(SCENARIOS[0], labelled=1.0))
    seen = Seen(counts={"tp": 50.0, "fp": 10.0, "tn": 900.0, "fn": 40.0}, weights={}, answered=1_000)
    for each in [*nowcast(seen, history).rates(), nowcast(seen, history).coverage()]:
        assert each.low == each.high
    # More labels than answers: predictions that were counted otherwise.
    assert nowcast(replace(seen, answered=10), history).coverage().high == 1


def test_a_day_with_hardly_any_labels_says_so() -> None:
    _, history, seen = of_a_day()
    few = replace(seen, counts={"tn": 3.0}, weights={"tn": 3.0})
    assert nowcast(few, history).coverage().reason == "too few labels have come so far"
    assert nowcast(replace(few, counts={}), history).rates() == []


def test_a_class_that_no_mature_day_has_is_not_guessed() -> None:
    _, history, seen = of_a_day()
    other = replace(seen, counts={**seen.counts, "wrong": 5.0})
    assert nowcast(other, history).coverage().reason == "no mature day has labels of class wrong"


def test_labels_that_all_come_at_once_or_before_their_prediction_are_no_trouble() -> None:
    counts = np.zeros((40, 2, delay.BUCKETS))
    counts[:39, :, 0] = [90, 10]  # clocks that disagree, or answers that come with their truth
    history = History(
        classes=("right", "wrong"), counts=counts, answered=np.full(40, 100.0), horizon_min=14_400.0, age_min=0.0
    )
    known = look(history, 39, *profile(0))
    assert isinstance(known, Maturity)
    assert known.share == pytest.approx([1, 1])
    seen = Seen(counts={"right": 80.0, "wrong": 20.0}, weights={}, answered=100)
    (found,) = nowcast(seen, known).rates()
    assert (found.metric, found.low, found.high) == ("accuracy", 0.8, 0.8)


def test_the_same_labels_give_the_same_interval_and_weights_count() -> None:
    _, history, seen = of_a_day()
    assert nowcast(seen, history).rates() == nowcast(seen, history).rates()
    doubled = replace(seen, weights={name: 2 * n for name, n in seen.counts.items()})
    for one, other in zip(nowcast(seen, history).rates(), nowcast(doubled, history).rates(), strict=True):
        assert other[1:4] == pytest.approx(one[1:4])


def test_another_roles_predictions_only_widen_it() -> None:
    _, history, seen = of_a_day()
    alone, shared = (nowcast(replace(seen, alone=each), history).rates()[0] for each in (True, False))
    assert shared.method == "weighted"
    assert shared.low - 0.02 <= alone.low <= alone.high <= shared.high + 0.02


@settings(max_examples=12, deadline=None)
@given(st.tuples(SMALL, SMALL, SMALL, SMALL), st.integers(0, 4))
def test_worst_cases_are_those_of_all_ways_in_which_labels_may_come(now: tuple[int, ...], missing: int) -> None:
    seen = dict(zip(BINARY, map(float, now), strict=True))
    found = bounds(seen, missing)
    for more in product(range(missing + 1), repeat=4):
        if sum(more) <= missing:
            for name, rate in rates({n: seen[n] + m for n, m in zip(BINARY, more, strict=True)}).items():
                assert np.isnan(rate) or found[name][0] - 1e-6 <= rate <= found[name][1] + 1e-6


@settings(max_examples=12, deadline=None)
@given(st.tuples(*(st.integers(0, 300),) * 4), st.integers(0, 500))
def test_an_interval_never_leaves_the_worst_cases(now: tuple[int, ...], missing: int) -> None:
    seen = Seen(counts=dict(zip(BINARY, map(float, now), strict=True)), weights={}, answered=sum(now) + missing)
    worst = bounds(seen.counts, missing) if sum(now) else {}
    _, history, _ = HISTORY
    for each in nowcast(seen, history).rates():
        assert worst[each.metric][0] - 1e-9 <= each.low <= each.high <= worst[each.metric][1] + 1e-9
        assert each.estimate is None or each.low <= each.estimate <= each.high


HISTORY = of_a_day()
