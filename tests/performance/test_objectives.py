"""When a day's performance is a finding: beyond chance, beyond missing labels, and the same finding every time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from driftline_schemas.spec import ModelSpec, Objectives, PerformanceRules
from driftline_streams.kernel.rates import wilson
from driftline_streams.performance.intervals import f1_interval, roc_auc_interval
from driftline_streams.performance.objectives import Day, judge, metrics

COUNTS = st.integers(0, 500)


def day(tp: int, fp: int, tn: int, fn: int, **given: Any) -> Day:
    n = tp + fp + tn + fn
    usual: dict[str, Any] = {
        "model": "m",
        "version": "1",
        "role": "champion",
        "day_ms": 86_400_000,
        "final": True,
        "expected": n,
        "labelled": n,
        "classified": n,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "scored": n,
        "scored_positives": tp + fn,
        "accuracy": (tp + tn) / n if n else None,
        "precision": tp / (tp + fp) if tp + fp else None,
        "recall": tp / (tp + fn) if tp + fn else None,
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None,
        "roc_auc": None,
    }
    return Day(**usual | given)


def limits(**given: float) -> ModelSpec:
    return ModelSpec(model="m", performance=PerformanceRules(**given))


def test_a_day_clearly_below_its_limit_is_found_with_its_evidence() -> None:
    (found,) = judge(day(40, 60, 800, 100), limits(precision=0.6, accuracy=0.8))
    assert (found.kind, found.signal, found.direction, found.method) == ("performance", "precision", "down", "interval")
    assert (found.statistic, found.threshold, found.n) == (0.4, 0.6, 100)
    assert (found.start_ms, found.end_ms) == (86_400_000, 172_800_000)
    assert found.detail == (
        "Precision of champion 1 on 1970-01-02 was 0.400 (95 %: 0.309 to 0.498), below its limit of 0.6, "
        "with 1,000 of 1,000 labels; the day is final"
    )


def test_a_day_below_its_limit_by_chance_is_not() -> None:
    assert judge(day(11, 9, 800, 100), limits(precision=0.6)) == []


def test_a_day_of_few_events_is_not() -> None:
    assert judge(day(0, 20, 0, 0), limits(precision=0.9)) == []
    few = ModelSpec(model="m", performance=PerformanceRules(precision=0.9), objectives=Objectives(min_window_n=10))
    assert len(judge(day(0, 20, 0, 0), few)) == 1


def test_a_day_without_limits_is_not() -> None:
    assert judge(day(0, 500, 0, 500), ModelSpec(model="m")) == []


def test_undefined_metrics_are_not() -> None:
    assert judge(day(0, 0, 500, 0), limits(precision=0.9, recall=0.9, f1=0.9)) == []


def test_while_labels_are_missing_their_best_case_counts() -> None:
    spec = limits(accuracy=0.8)
    early = day(10, 20, 60, 10, final=False)  # 0.7 of 100
    assert judge(day(10, 20, 60, 10), spec) != []
    assert judge(day(10, 20, 60, 10, expected=200, final=False), spec) == []
    assert judge(day(10, 20, 60, 10, expected=200), spec) != []  # final: the rest will not come
    assert judge(day(10, 20, 60, 10, expected=105, final=False), limits(accuracy=0.9)) != []
    assert judge(early, spec) != []  # all there


def test_the_area_under_the_curve_waits_for_the_final_day() -> None:
    poor = day(10, 20, 60, 10, roc_auc=0.5)
    assert [found.signal for found in judge(poor, limits(roc_auc=0.8))] == ["roc_auc"]
    assert judge(day(10, 20, 60, 10, roc_auc=0.5, final=False), limits(roc_auc=0.8)) == []


def test_the_same_day_gives_the_same_id_whatever_its_numbers_are() -> None:
    spec = limits(accuracy=0.9)
    first, again = judge(day(10, 20, 60, 10), spec), judge(day(10, 30, 60, 10), spec)
    other = judge(day(10, 20, 60, 10, day_ms=0), spec)
    assert first[0].id == again[0].id != other[0].id


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_intervals_hold_their_value(tp: int, fp: int, tn: int, fn: int) -> None:
    for metric in metrics(day(tp, fp, tn, fn)):
        assert 0 <= metric.low <= metric.value + 1e-12
        assert metric.value - 1e-12 <= metric.high <= 1


@given(st.integers(0, 300), st.integers(1, 300))
def test_wilson_agrees_with_scipy(k: int, n: int) -> None:
    interval = stats.binomtest(min(k, n), n).proportion_ci(method="wilson")
    assert wilson(min(k, n), n) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_intervals_of_f1_and_area_hold_the_truth_about_19_times_in_20() -> None:
    rng = np.random.default_rng(8)
    held_f1, held_auc = [], []
    for _ in range(400):
        truth = rng.random(300) < 0.4
        score = rng.normal(truth * 1.0, 1)
        predicted = score > 0.5
        tp, wrong = int((truth & predicted).sum()), int((truth != predicted).sum())
        low, high = f1_interval(tp, wrong)
        # Sensitivity and specificity at 0.5 are both Φ(0.5).
        share = stats.norm.cdf(0.5)
        held_f1.append(low <= 2 * 0.4 * share / (0.4 + 0.4 * share + 0.6 * (1 - share)) <= high)
        auc = roc_auc_score(truth, score)
        low, high = roc_auc_interval(auc, int(truth.sum()), int((~truth).sum()))
        held_auc.append(low <= stats.norm.cdf(1 / np.sqrt(2)) <= high)
    assert 0.92 <= np.mean(held_f1) <= 0.98
    assert 0.92 <= np.mean(held_auc) <= 0.98
