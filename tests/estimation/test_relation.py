"""Another relation of scores and truth is found within a day, other scores are not taken for one, chance neither."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from driftline_schemas.spec import DriftRules
from driftline_streams.estimation import history, relation
from driftline_streams.estimation.calibration import Calibration, learn
from driftline_streams.estimation.history import Belief, Verdict

from .conftest import draw, matured

RULES, ALPHA = DriftRules(), 0.001


def learned(seed: int, days: int = 20, n: int = 1_000, differ: float = 0.2, **given: Any) -> tuple[Calibration, Any]:
    dice = np.random.default_rng(seed)
    made = [matured(*draw(dice, n, level=differ * dice.standard_normal(), **given)) for _ in range(days)]
    return learn(made), dice


def test_another_relation_is_found_on_its_first_day() -> None:
    before, dice = learned(1)
    flipped = draw(dice, 1_000)
    flipped = flipped[0], np.where(flipped[0] > 0.4, 1 - flipped[1], flipped[1]), flipped[2]
    for name, drawn in {
        "level": draw(dice, 1_000, level=1.2),
        "weaker": draw(dice, 1_000, middle=1.0, slope=0.0),
        "flipped": flipped,
    }.items():
        found = relation.judge(before, matured(*drawn), RULES, ALPHA).result
        assert (name, found.state) == (name, "drift")
        assert found.effect > 0.05


def test_other_scores_are_no_other_relation() -> None:
    before, dice = learned(2)
    for middle in (-3.0, 0.5, 1.5):
        found = relation.judge(before, matured(*draw(dice, 1_000, middle=middle)), RULES, ALPHA)
        assert found.result.state == "ok"
        assert abs(found.parts["positive"].moved) > 3 * abs(found.parts["positive"].relation)


@pytest.mark.parametrize("differ", [0.0, 0.3])
def test_chance_and_days_that_differ_are_no_finding(differ: float) -> None:
    before, dice = learned(3, differ=differ)
    free = DriftRules(rate=0.0)  # significance alone
    found = [
        relation.judge(before, matured(*draw(dice, 800, level=differ * dice.standard_normal())), free, 0.05).result
        for _ in range(100)
    ]
    assert sum(each.state == "drift" for each in found) <= 12


def test_the_parts_of_a_change_add_up_to_it() -> None:
    before, dice = learned(4)
    for parts in relation.judge(before, matured(*draw(dice, 900, middle=1.0, level=0.8)), RULES, ALPHA).parts.values():
        assert parts.moved + parts.relation == pytest.approx(parts.after - parts.before)


def test_a_change_that_does_not_matter_is_no_finding() -> None:
    before, dice = learned(5, differ=0.0)
    small = matured(*draw(dice, 100_000, level=0.1))
    found = relation.judge(before, small, RULES, ALPHA).result
    assert found.p_value < ALPHA
    assert (found.state, found.effect < found.threshold) == ("ok", True)


def test_of_rare_positives_a_half_more_matter() -> None:
    before, dice = learned(6, n=5_000, middle=-5.5, slope=1.0, differ=0.0)
    found = relation.judge(before, matured(*draw(dice, 20_000, middle=-5.5, slope=1.0, level=0.7)), RULES, ALPHA).result
    assert found.threshold < 0.01
    assert found.state == "drift"


def test_too_few_days_or_outcomes_are_not_judged() -> None:
    few, dice = learned(7, days=4)
    assert relation.judge(few, matured(*draw(dice, 900, level=2.0)), RULES, ALPHA).result.state == "insufficient data"
    enough, _ = learned(7)
    assert relation.judge(enough, matured(*draw(dice, 50, level=2.0)), RULES, ALPHA).result.state == "insufficient data"


def test_one_day_is_doubted_and_two_are_believed() -> None:
    def verdicts(*states: Any) -> list[Verdict]:
        return [Verdict(day, day + 1, day + 1, state) for day, state in enumerate(states)]

    assert history.believe(verdicts("ok", "drift")) == Belief(0, 1)
    assert history.believe(verdicts("ok", "drift", "ok")) == Belief(0, None)
    assert history.believe(verdicts("ok", "drift", "insufficient data")) == Belief(0, 1)
    assert history.believe(verdicts("ok", "drift", "drift", "insufficient data")) == Belief(1, None)
    assert history.believe(verdicts("ok", "drift", "drift", "drift")) == Belief(1, 3)
    assert history.known_by(verdicts("ok", "drift"), 1) == verdicts("ok")
