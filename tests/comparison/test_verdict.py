"""A verdict falls when the whole interval is beyond the margin, on enough pairs; of numbers by their errors."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from driftline_schemas.spec import ComparisonRules
from driftline_streams.comparison.verdict import Pairs, judge

RULES = ComparisonRules()
NOTHING = dict.fromkeys(Pairs.__slots__, 0)


def day(**sums: Any) -> Pairs:
    return Pairs(**(NOTHING | sums))


def classes(only_champion: int, only_challenger: int, n: int = 1_000) -> Pairs:
    return day(compared=n, both_right=n // 2, only_champion=only_champion, only_challenger=only_challenger)


def numbers(champion: np.ndarray, challenger: np.ndarray) -> Pairs:
    apart = challenger - champion
    sums = {"champion_errors": champion.sum(), "challenger_errors": challenger.sum()}
    powers = {"differences": apart.sum(), "difference_squares": (apart**2).sum(), "difference_cubes": (apart**3).sum()}
    return day(measured=len(apart), **sums, **powers)


@pytest.mark.parametrize(
    ("pairs", "rules", "verdict"),
    [
        (classes(40, 100), RULES, "better"),
        (classes(100, 40), RULES, "worse"),
        (classes(60, 80), RULES, "not yet"),
        (classes(40, 100), ComparisonRules(margin=0.05), "not yet"),
        (classes(40, 100), ComparisonRules(min_n=1_001), "not yet"),
        (classes(40, 100), ComparisonRules(alpha=1e-9), "not yet"),
    ],
    ids=["better", "worse", "too close", "within the margin", "too few", "too strict"],
)
def test_a_verdict_needs_the_whole_interval_beyond_the_margin(
    pairs: Pairs, rules: ComparisonRules, verdict: str
) -> None:
    (found,) = judge([pairs], rules)
    assert found is not None
    assert found.verdict == verdict
    assert found.difference == pytest.approx(found.challenger - found.champion)
    assert found.low < found.difference < found.high


def test_less_error_is_better() -> None:
    r = np.random.default_rng(1)
    one, other = np.abs(r.normal(0, 2, 3_000)), np.abs(r.normal(0, 1, 3_000))
    for champion, challenger, verdict in ((one, other, "better"), (other, one, "worse"), (one, one, "not yet")):
        (found,) = judge([numbers(champion, challenger)], RULES)
        assert found is not None
        assert (found.metric, found.verdict, found.n) == ("mae", verdict, 3_000)
        assert found.difference == pytest.approx(challenger.mean() - champion.mean())


def test_few_pairs_do_not_tell_where_rare_errors_are_large() -> None:
    champion, challenger = np.full(1_000, 4.0), np.concatenate([np.full(980, 0.1), np.full(20, 50.0)])
    few, many = judge([numbers(champion, challenger)] * 2, RULES)
    assert few is not None
    assert many is not None
    assert max(few.high, many.high) < 0
    assert (few.verdict, many.verdict) == ("not yet", "better")


def test_what_has_never_differed_is_not_judged() -> None:
    (found,) = judge([numbers(np.full(500, 2.0), np.full(500, 1.0))], RULES)
    assert found is not None
    assert found.verdict == "not yet"


def test_each_day_is_judged_with_those_before_it() -> None:
    days = [classes(4, 10, 100)] * 12
    found = judge(days, RULES)
    assert [each.n for each in found if each] == list(range(100, 1_300, 100))
    words = [each.verdict for each in found if each]
    assert words[:2] == ["not yet", "not yet"]
    assert words[-1] == "better"
    (together,) = judge([classes(48, 120, 1_200)], RULES)
    assert found[-1] is not None
    assert together is not None
    assert math.isclose(found[-1].low, together.low)


def test_days_before_anything_can_be_compared_have_no_verdict() -> None:
    first, second = judge([day(), classes(1, 2, 10)], RULES)
    assert first is None
    assert second is not None
    assert judge([], RULES) == []


def test_the_rules_of_a_spec_cannot_allow_every_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"alpha": 1.0}, ComparisonRules)
