"""What p-values promise: agreement with scipy, in tails as well, for any shape and any bad value."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from driftline_streams.kernel import significance

STATISTICS = arrays(np.float64, 8, elements=st.floats(0, 1e6) | st.just(math.inf) | st.floats(0, 30))


@given(arrays(np.float64, 8, elements=st.floats(-30, 30)))
def test_the_normal_tail_is_scipys(z: np.ndarray) -> None:
    assert significance.normal(z) == pytest.approx(2 * stats.norm.sf(np.abs(z)), rel=1e-9)


@given(arrays(np.float64, 8, elements=st.floats(-30, 30)), st.floats(10, 1e9))
def test_the_t_tail_is_scipys_from_ten_degrees_of_freedom(t: np.ndarray, degrees: float) -> None:
    assert significance.student(t, degrees) == pytest.approx(2 * stats.t.sf(np.abs(t), degrees), rel=1e-3)


@pytest.mark.parametrize(("degrees", "error"), [(2, 0.06), (3, 0.016), (5, 0.004), (200, 3e-6)])
def test_the_t_tail_of_few_degrees_of_freedom_is_as_close_as_stated(degrees: int, error: float) -> None:
    t = np.linspace(0, 30, 100)
    assert significance.student(t, degrees) == pytest.approx(2 * stats.t.sf(t, degrees), rel=error)


@given(st.floats(5, 1e9))
def test_the_reach_of_a_t_interval_is_scipys(degrees: float) -> None:
    assert significance.student_95(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1 / 800)


@given(STATISTICS, arrays(np.int64, 8, elements=st.integers(1, 2_000)))
def test_the_chi_square_tail_is_scipys(statistic: np.ndarray, degrees: np.ndarray) -> None:
    expected = stats.chi2.sf(statistic, degrees)
    assert significance.chi_square(statistic, degrees) == pytest.approx(expected, rel=1e-8, abs=1e-300)


def test_without_degrees_of_freedom_nothing_is_surprising() -> None:
    assert significance.chi_square([0.0, 7.0, 0.0], [0, 0, 3]).tolist() == [1.0, 1.0, 1.0]


@given(st.floats(0, 1), st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_ks_tail_is_scipys(statistic: float, n: int, m: int) -> None:
    expected = stats.kstwobign.sf(statistic * math.sqrt(n * m / (n + m)))
    assert significance.kolmogorov(statistic, n, m) == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_what_is_not_a_number_has_no_p_value() -> None:
    nan = np.array([math.nan])
    assert np.isnan(significance.normal(nan)).all()
    assert np.isnan(significance.student(nan, 9)).all()
    assert np.isnan(significance.chi_square(nan, 9)).all()
    assert np.isnan(significance.kolmogorov([math.nan, 0.5], [9, 0], [9, 9])).all()


def test_the_farthest_value_is_impossible_and_no_error() -> None:
    far = np.array([math.inf, 1e200])
    assert significance.normal(far).tolist() == [0.0, 0.0]
    assert significance.student(far, 50.0).tolist() == [0.0, 0.0]
    assert significance.chi_square(far, [50, 51]).tolist() == [0.0, 0.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.001, 0.2))
def test_belief_is_scipys_false_discovery_control(p_values: list[float], alpha: float) -> None:
    adjusted = stats.false_discovery_control(p_values)
    ours = significance.believed(np.array(p_values), alpha)
    clear = np.abs(adjusted - alpha) > 1e-9  # ties at the limit differ by rounding
    assert np.array_equal(ours[clear], (adjusted <= alpha)[clear])


def test_what_was_not_tested_does_not_dilute_belief() -> None:
    assert significance.believed(np.array([0.009, math.nan, math.nan]), 0.01).tolist() == [True, False, False]
    assert significance.believed(np.array([math.nan]), 0.01).tolist() == [False]
    assert significance.believed(np.empty(0), 0.01).tolist() == []


@given(arrays(np.float64, (6, 3), elements=st.floats(0, 1) | st.just(math.nan)), st.floats(0.001, 0.3))
def test_things_are_found_by_the_smallest_of_their_tests_as_simes_has_it(p: np.ndarray, alpha: float) -> None:
    found = significance.believed(p, alpha)
    simes = np.full(len(p), math.nan)
    for row, values in enumerate(p):
        mine = np.sort(values[~np.isnan(values)])
        if len(mine):
            simes[row] = (mine * len(mine) / np.arange(1, len(mine) + 1)).min()
    chosen = significance.believed(simes, alpha)
    assert np.array_equal(found.any(axis=1), chosen)
    for row in np.flatnonzero(chosen).tolist():
        mine = p[row][~np.isnan(p[row])]
        level = alpha * chosen.sum() / (~np.isnan(simes)).sum()
        assert np.array_equal(found[row][~np.isnan(p[row])], stats.false_discovery_control(mine) <= level)
