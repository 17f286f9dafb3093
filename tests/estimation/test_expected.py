"""Estimates from scores: the sums agree with scikit-learn, the curve with the truth, and intervals hold it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from driftline_streams.estimation import curve, expected, histogram
from driftline_streams.estimation.calibration import learn, merge
from driftline_streams.estimation.curve import expit
from driftline_streams.estimation.expected import BINARY
from driftline_streams.estimation.histogram import CELLS, CENTRES

from .conftest import buckets, draw, matured, unlabelled


def test_the_measures_agree_with_scikit_learn() -> None:
    scores, truth, answers = draw(np.random.default_rng(1), 3_000)
    present, place = np.unique(buckets(scores), return_inverse=True)
    counts = np.array([np.bincount(place, answers == answer, len(present)) for answer in (0, 1)], np.float64)
    came = np.array([np.bincount(place, truth * (answers == answer), len(present)) for answer in (0, 1)], np.float64)
    found, _ = expected.measures(came, counts, histogram.scores(present))
    right = {
        "accuracy": metrics.accuracy_score(truth, answers),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, answers),
        "precision": metrics.precision_score(truth, answers),
        "recall": metrics.recall_score(truth, answers),
        "f1": metrics.f1_score(truth, answers),
        "specificity": metrics.recall_score(truth, answers, pos_label=0),
        "roc_auc": metrics.roc_auc_score(truth, scores),
        "average_precision": metrics.average_precision_score(truth, scores),
        "brier": metrics.brier_score_loss(truth, scores),
        "log_loss": metrics.log_loss(truth, scores),
    }
    assert {name: float(found[name]) for name in BINARY} == pytest.approx(right, abs=1e-3)
    # Many draws at once are as each by itself.
    many, _ = expected.measures(np.stack([came, came]), counts, histogram.scores(present))
    assert [float(many[name][1]) for name in BINARY] == pytest.approx([float(found[name]) for name in BINARY])


def test_certain_scores_count_as_scikit_learn_counts_them() -> None:
    at = buckets(np.array([0.0, 1.0]))
    found, _ = expected.measures(
        np.array([[0.0, 0.0], [0.0, 3.0]]), np.array([[2.0, 0.0], [0.0, 4.0]]), histogram.scores(at)
    )
    right = metrics.log_loss([0, 0, 1, 1, 1, 0], [0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    assert float(found["log_loss"]) == pytest.approx(right)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=8))
def test_the_curve_is_finite_whatever_came_true(pairs: list[tuple[int, int]]) -> None:
    positives, negatives = (np.array(each, np.float64) for each in zip(*pairs, strict=True))
    if not (positives + negatives).sum():
        return
    drawn = curve.fit(np.arange(len(pairs), dtype=np.float64), positives, negatives)
    assert np.isfinite(drawn.at(CENTRES)).all()
    assert (np.diag(drawn.error(CENTRES)) > -1e-9).all()


def test_two_scores_are_as_often_true_as_they_were() -> None:
    drawn = curve.fit(np.array([-1.0, 1.0]), np.array([20.0, 90.0]), np.array([80.0, 10.0]))
    assert expit(drawn.at(np.array([-1.0, 1.0]))).tolist() == pytest.approx([0.2, 0.9], abs=1e-4)


def test_a_straight_relation_is_found_as_straight() -> None:
    scores, truth, _ = draw(np.random.default_rng(2), 20_000)
    day, x = matured(scores, truth, truth), np.log(scores / (1 - scores))
    line = LogisticRegression(C=np.inf).fit(x[:, None], truth)
    drawn = curve.fit(CENTRES, day.positives, day.negatives)
    inside = np.abs(CENTRES + 1) < 3
    assert drawn.at(CENTRES)[inside] == pytest.approx(line.decision_function(CENTRES[inside, None]), abs=0.1)


def test_the_curve_is_nearer_to_the_truth_than_steps_are() -> None:
    dice = np.random.default_rng(3)
    errors = []
    for _ in range(30):
        scores, truth, _ = draw(dice, 1_000)
        day = matured(scores, truth, truth)
        x = np.log(scores / (1 - scores))
        right = expit(0.8 * x)
        ours = expit(curve.fit(CENTRES, day.positives, day.negatives).at(x))
        steps = IsotonicRegression(out_of_bounds="clip").fit(scores, truth).predict(scores)
        errors.append((np.abs(ours - right).mean(), np.abs(steps - right).mean()))
    ours, theirs = np.mean(errors, axis=0)
    assert ours < 0.6 * theirs


def test_intervals_hold_what_labels_show_when_inputs_move_and_days_differ() -> None:
    dice = np.random.default_rng(4)
    held = []
    for seed in range(25):
        days = [matured(*draw(dice, 500, level=0.3 * dice.standard_normal())) for _ in range(20)]
        scores, truth, answers = draw(dice, 500, middle=0.5, level=0.3 * dice.standard_normal())
        found = expected.of_day(unlabelled(scores, answers), learn(days), ("accuracy", "recall", "roc_auc"), seed)
        right = {
            "accuracy": np.mean(truth == answers),
            "recall": truth[answers == 1].sum() / truth.sum(),
            "roc_auc": metrics.roc_auc_score(truth, scores),
        }
        held += [found[name].low <= right[name] <= found[name].high for name in right]
    assert 0.9 <= np.mean(held) <= 0.99


def test_how_much_days_differ_is_learned() -> None:
    dice = np.random.default_rng(5)
    alike = learn([matured(*draw(dice, 1_000)) for _ in range(50)])
    differing = learn([matured(*draw(dice, 1_000, level=0.4 * dice.standard_normal())) for _ in range(50)])
    assert alike.spread.max() < 0.02
    assert math.sqrt(differing.spread[0]) == pytest.approx(0.4, abs=0.12)


def test_days_add_up() -> None:
    dice = np.random.default_rng(6)
    one, other = draw(dice, 300), draw(dice, 200, middle=1.0)
    both = merge([matured(*one), matured(*other, day=1)])
    scores, truth, answers = (np.concatenate(pair) for pair in zip(one, other, strict=True))
    whole = matured(scores, truth, answers)
    assert (both.positives.tolist(), both.wrong.tolist()) == (whole.positives.tolist(), whole.wrong.tolist())
    assert both.n == 500
    assert len(both.negatives) == CELLS


def test_a_rate_without_events_is_not_given() -> None:
    days = [matured(*draw(np.random.default_rng(day), 400, middle=-3.0)) for day in range(4)]
    scores, _, answers = draw(np.random.default_rng(9), 100, middle=-3.0)
    found = expected.of_day(unlabelled(scores, 0 * answers), learn(days), BINARY, 1)
    assert math.isnan(found["precision"].value)
    assert found["precision"].reason == "too few events are expected for it"
    assert found["accuracy"].reason == ""
