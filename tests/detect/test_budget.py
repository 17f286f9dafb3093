"""What follows from a budget of false alarms: thresholds, the stricter the less it allows, from a measured table."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline_schemas.spec import DriftRules, ModelSpec
from driftline_streams.detectors import budget, calibrate, run_lengths
from driftline_streams.detectors.changes.online import Adwin, PageHinkley
from driftline_streams.kernel import budget as shares

from .builders import DAY, HOUR

LENGTHS = st.floats(400, 1e9)


def test_the_test_windows_of_the_budgets_days_raise_their_share() -> None:
    spec = ModelSpec(model="m", drift=DriftRules(false_alarm_days=30))
    due = 30 * 24 * budget.thresholds(spec, HOUR).alpha + 30 * budget.thresholds(spec, DAY).alpha
    assert due == pytest.approx(shares.WINDOWS)


def test_the_detectors_of_all_groups_together_raise_their_share() -> None:
    rules = DriftRules(false_alarm_days=10)
    assert 10 * (4 * budget.allowed(rules, 4) + 25 * budget.allowed(rules, 25) + budget.allowed(rules, 1)) == (
        pytest.approx(shares.DETECTORS)
    )


def test_what_the_spec_gives_wins() -> None:
    rules = DriftRules(alpha=0.2, adwin_delta=0.1, page_hinkley_threshold=7.0)
    assert budget.thresholds(ModelSpec(model="m", drift=rules), DAY).alpha == 0.2
    assert budget.online(rules, 1e6) == (0.1, 7.0)


def test_even_a_budget_without_end_keeps_a_level() -> None:
    spec = ModelSpec(model="m", drift=DriftRules(false_alarm_days=1e-6))
    assert budget.thresholds(spec, DAY).alpha == 0.05
    assert budget.online(spec.drift, 0.0) == pytest.approx((0.5, 10.0))


@given(LENGTHS, LENGTHS)
def test_a_longer_run_length_needs_a_stricter_threshold(first: float, second: float) -> None:
    short, long = sorted((first, second))
    delta, limit = budget.online(DriftRules(), short)
    assert budget.online(DriftRules(), long)[0] <= delta
    assert budget.online(DriftRules(), long)[1] >= limit


@given(LENGTHS, st.sampled_from(["adwin", "page_hinkley"]))
def test_threshold_and_run_length_are_each_others_inverse(length: float, key: str) -> None:
    assert run_lengths.run_length(key, run_lengths.threshold(key, length)) == pytest.approx(length, rel=0.3)


@pytest.mark.parametrize("key", run_lengths.table())
def test_the_table_ascends_and_says_how_sure_it_is(key: str) -> None:
    rows = run_lengths.table()[key]
    lengths = [row.run_length for row in rows]
    assert lengths == sorted(lengths)
    assert all(0 < row.error < row.run_length for row in rows)


@pytest.mark.parametrize("make", [Adwin, PageHinkley])
def test_the_table_is_what_the_detectors_do(make: type[Adwin] | type[PageHinkley]) -> None:
    r = np.random.default_rng(1)
    stated = 1_000
    detector = make(run_lengths.threshold(make.method, stated))
    length, error = calibrate.simulate(detector.update, lambda n: r.standard_normal(n).tolist(), 200_000, 1_000)
    assert abs(length - stated) < 3 * error + 0.05 * stated


def test_the_extrapolation_goes_on_as_the_table_does() -> None:
    """Leaving out its longest run lengths, the rest leads to thresholds that are right within a fifth of them."""
    for key in ("adwin", "page_hinkley"):
        rows = run_lengths.table()[key]
        scaled = [math.log(row.threshold) if key == "adwin" else row.threshold for row in rows]
        slope, start = np.polyfit(scaled[-5:-2], np.log([row.run_length for row in rows[-5:-2]]), 1)
        last = rows[-1]
        assert math.exp(start + slope * scaled[-1]) == pytest.approx(
            last.run_length, rel=0.2 + 2 * last.error / last.run_length
        )


def test_a_new_threshold_holds_for_a_detector_that_runs_and_for_one_that_is_restored() -> None:
    values = np.random.default_rng(2).standard_normal(3_000).tolist()
    for make, loose, strict in ((Adwin, 0.8, 1e-9), (PageHinkley, 8.0, 1e6)):
        changed, restored = make(loose), make(strict)
        for x in values[:100]:
            changed.update(x)
        restored.restore(changed.snapshot())
        changed.threshold = strict
        assert not any([changed.update(x) for x in values] + [restored.update(x) for x in values])
        assert make(loose).threshold == loose
        assert changed.threshold == strict
