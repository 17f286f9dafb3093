"""When a day's performance is a finding: beyond chance, beyond missing labels, and the same finding every time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, Objectives, PerformanceRules
from driftline_streams.kernel.rates import wilson
from driftline_streams.performance import objectives
from driftline_streams.performance.objectives import METRICS, UPPER, Day, Expectation, Interval

DAY_MS = 86_400_000


def day(accuracy: float, n: int = 1_000, **given: Any) -> Day:
    """A day of which `n` labels show this accuracy."""
    usual: dict[str, Any] = {
        "model": "m",
        "version": "1",
        "role": "champion",
        "day_ms": DAY_MS,
        "state": "final",
        "expected": n,
        "labelled": n,
        "counts": {"classified": n, "tp": n // 2, "fp": 0, "tn": 0, "fn": 0, "measured": n},
        "metrics": {"accuracy": Interval(accuracy, *wilson(accuracy * n, n))},
    }
    return Day(**usual | given)


def limits(**given: float) -> ModelSpec:
    return ModelSpec(model="m", performance=PerformanceRules(**given))


def found(day: Day, spec: ModelSpec) -> list[Detection]:
    return [objectives.broken(day, each, 0) for each in objectives.judge(day, spec) if each.broken]


def young(accuracy: float, labelled: int, expectation: Expectation, **given: Any) -> Day:
    """A day of 1,000 answers that is not final."""
    more: dict[str, Any] = {"state": "provisional", "expected": 1_000, "expectations": {"accuracy": expectation}}
    return day(accuracy, labelled, **more | given)


def test_a_day_clearly_below_its_limit_is_found_with_its_evidence() -> None:
    (finding,) = found(day(0.7), limits(accuracy=0.8, recall=0.5))
    assert (finding.kind, finding.signal, finding.direction, finding.method) == (
        "performance",
        "accuracy",
        "down",
        "interval",
    )
    assert (finding.statistic, finding.threshold, finding.n, finding.role) == (0.7, 0.8, 1_000, "champion")
    assert (finding.start_ms, finding.end_ms) == (DAY_MS, 2 * DAY_MS)
    assert finding.effect == pytest.approx(0.1)
    assert finding.low is not None
    assert finding.high is not None
    assert 0 < finding.low < finding.effect < finding.high
    assert finding.detail == (
        "Accuracy of champion 1 on 1970-01-02 was 0.700 (95 %: 0.671 to 0.728), below its limit of 0.8, "
        "with 1,000 of 1,000 labels; the day is final."
    )


def test_a_loss_above_its_limit_is_found_and_one_below_it_is_not() -> None:
    poor = day(0.9, metrics={"mae": Interval(12.0, 11.0, 13.0)})
    (finding,) = found(poor, limits(mae=10))
    assert (finding.direction, finding.effect, finding.low, finding.high) == ("up", 2, 1, 3)
    detail = "Mean absolute error of champion 1 on 1970-01-02 was 12.0 (95 %: 11.0 to 13.0), above its limit of 10"
    assert detail in finding.detail
    assert found(poor, limits(mae=11.5)) == found(poor, limits(mae=100)) == []


@pytest.mark.parametrize("metric", METRICS)
def test_every_limit_of_the_spec_is_judged(metric: str) -> None:
    bad = 0.9 if metric in UPPER else 0.1
    counts = dict.fromkeys(("tp", "fp", "tn", "fn", "classified", "scored", "measured", "lists"), 100)
    poor = day(0.5, metrics={metric: Interval(bad, bad - 0.01, bad + 0.01)}, counts=counts)
    assert [each.signal for each in found(poor, limits(**{metric: 0.5}))] == [metric]
    assert not found(poor, limits(**{metric: bad}))


def test_a_day_below_its_limit_by_chance_is_not() -> None:
    assert found(day(0.78), limits(accuracy=0.8)) == []


def test_a_day_of_few_events_is_not() -> None:
    assert found(day(0.0, 20), limits(accuracy=0.9)) == []
    few = ModelSpec(model="m", performance=PerformanceRules(accuracy=0.9), objectives=Objectives(min_window_n=10))
    assert len(found(day(0.0, 20), few)) == 1


def test_what_is_undefined_or_has_no_limit_is_not() -> None:
    assert found(day(0.1, metrics={}), limits(accuracy=0.9)) == []
    assert found(day(0.1), ModelSpec(model="m")) == []


def test_a_young_day_is_found_when_what_is_expected_of_it_excludes_the_limit() -> None:
    spec = limits(accuracy=0.8)
    (finding,) = found(young(0.85, 700, Expectation(0.6, 0.56, 0.64, 1.0, "")), spec)
    assert finding.method == "expected"
    assert finding.detail == (
        "Accuracy of champion 1 on 1970-01-02 will be 0.600 (95 %: 0.560 to 0.640), below its limit of 0.8, when all "
        "labels have come: 700 of 1,000 labels are there, 100 % are expected, and the labels that came show 0.850."
    )
    # Bad labels came early: what came is below the limit, what will be is not.
    assert found(young(0.6, 700, Expectation(0.85, 0.8, 0.9, 1.0, "")), spec) == []
    assert found(young(0.6, 700, Expectation(0.75, 0.66, 0.82, 1.0, "")), spec) == []
    assert found(young(0.6, 700, Expectation(0.75, 0.66, 0.82, 1.0, ""), expectations={}), spec) == []


def test_the_younger_the_day_the_surer_it_must_be() -> None:
    spec = limits(accuracy=0.79)
    expected = Expectation(0.74, 0.72, 0.76, 1.0, "")
    assert found(young(0.74, 950, expected), spec)
    assert not found(young(0.74, 200, expected), spec)
    assert not found(young(0.74, 950, expected, over=False), spec)
    (finding,) = found(young(0.3, 500, Expectation(0.3, 0.27, 0.33, 1.0, ""), over=False), spec)
    assert "on 1970-01-02, of the predictions so far, will be" in finding.detail


def test_without_history_only_the_worst_cases_exclude_a_limit() -> None:
    spec = limits(accuracy=0.8)
    reason = "only 3 days before it have all their labels"
    assert found(young(0.6, 900, Expectation(None, 0.54, 0.64, None, reason)), spec)
    (finding,) = found(young(0.6, 900, Expectation(None, 0.54, 0.64, None, reason)), spec)
    assert finding.method == "bounds"
    assert finding.detail.endswith(f"whatever the missing labels say: 0.640 is the best it can become ({reason}).")
    assert not found(young(0.6, 500, Expectation(None, 0.3, 0.8, None, reason)), spec)


def test_what_missing_labels_may_change_without_bound_waits_for_the_final_day() -> None:
    poor = day(0.5, metrics={"roc_auc": Interval(0.5, 0.45, 0.55)}, counts={"scored": 1_000}, state="provisional")
    assert found(poor, limits(roc_auc=0.8)) == []


def test_the_same_day_gives_the_same_id_whatever_its_numbers_are() -> None:
    spec = limits(accuracy=0.9)
    first, again, other = (found(each, spec)[0] for each in (day(0.7), day(0.5), day(0.7, day_ms=0)))
    assert first.id == again.id != other.id


def test_looking_often_at_a_day_at_its_limit_alarms_as_rarely_as_stated() -> None:
    rng, n, spec = np.random.default_rng(3), 1_000, limits(accuracy=0.8)
    looks = np.unique(np.geomspace(40, n, 25).astype(int))
    alarmed, at_the_end = 0, 0
    for _ in range(400):
        came = (rng.random(n) < 0.8).cumsum()
        states = [
            bool(
                found(
                    young(
                        rate := float(came[look - 1] / look),
                        int(look),
                        # Labels come in no order that matters, so the rest differs from them by chance alone.
                        Expectation(rate, rate - open_, rate + open_, 1.0, ""),
                    ),
                    spec,
                )
            )
            for look in looks
            for open_ in [1.96 * math.sqrt(0.16 * (n - look) / (n * look))]
        ]
        alarmed += any(states)
        at_the_end += states[-1]
    assert at_the_end / 400 < 0.045
    assert alarmed / 400 < 0.065  # 2 x 2.5 %, one-sided


def test_looking_often_at_a_day_that_goes_on_alarms_in_few_of_50_days_at_the_limit() -> None:
    rng, n, spec = np.random.default_rng(4), 3_000, limits(accuracy=0.8)
    looks = np.unique(np.geomspace(40, n, 40).astype(int))
    alarmed = 0
    for _ in range(300):
        came = (rng.random(n) < 0.8).cumsum()
        alarmed += any(
            found(young(rate, int(look), Expectation(rate, rate, rate, 1.0, ""), expected=int(look), over=False), spec)
            for look in looks
            for rate in [float(came[look - 1] / look)]
        )
    assert alarmed / 300 < 0.03


@given(st.floats(0, 1), st.integers(30, 500), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.05, 1))
def test_a_young_day_is_never_found_by_an_interval_that_holds_the_limit(
    estimate: float, labelled: int, below: float, above: float, limit: float
) -> None:
    expected = Expectation(estimate, estimate - below, estimate + above, 0.9, "")
    for finding in found(young(0.5, labelled, expected), limits(accuracy=limit)):
        assert finding.low is not None
        assert finding.low > 0
