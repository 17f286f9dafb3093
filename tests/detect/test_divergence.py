"""What the comparison of binned samples promises: agreement with scipy, no bias, no more findings than exact tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from driftline_streams.kernel import divergence, histogram, moments

COUNTS = arrays(np.int64, 12, elements=st.integers(0, 5_000))
VALUES = arrays(np.float64, st.integers(0, 60), elements=st.floats(-1e6, 1e6) | st.just(math.nan))


@pytest.mark.parametrize("degrees", [1, 2, 9, 63, 250])
@pytest.mark.parametrize("factor", [0.01, 0.5, 1, 2, 8])
def test_the_chi_square_tail_is_scipys(degrees: int, factor: float) -> None:
    ours = divergence.chi_square_p_value(degrees * factor, degrees)
    assert ours == pytest.approx(stats.chi2.sf(degrees * factor, degrees), rel=1e-9, abs=1e-14)


@given(st.floats(0, 1), st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_ks_tail_is_scipys(statistic: float, n: int, m: int) -> None:
    expected = stats.kstwobign.sf(statistic * math.sqrt(n * m / (n + m)))
    assert divergence.ks_p_value(statistic, n, m) == pytest.approx(expected, rel=1e-7, abs=1e-9)


@given(COUNTS, COUNTS)
def test_chi_square_is_scipys_test_of_homogeneity(observed: np.ndarray, expected: np.ndarray) -> None:
    used = observed + expected > 0
    if not observed.any() or not expected.any() or used.sum() < 2:
        return
    result = stats.chi2_contingency(np.array([observed, expected])[:, used], correction=False)
    statistic, degrees = divergence.chi_square(observed, expected)
    assert statistic == pytest.approx(result.statistic, rel=1e-9, abs=1e-9)
    assert degrees == result.dof


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5, 3.0])
def test_ks_from_64_bins_is_a_little_less_than_the_exact_one(shift: float) -> None:
    r = np.random.default_rng(3)
    reference, window = r.lognormal(0, 1, 20_000), r.lognormal(shift, 1, 2_000)
    edges = histogram.edges(reference)
    binned = [np.bincount(histogram.bin_index(x, edges), minlength=64) for x in (window, reference)]
    exact = stats.ks_2samp(window, reference).statistic
    assert exact - 0.02 <= divergence.ks(binned[0], binned[1]) <= exact + 1e-12


def test_psi_of_the_same_distribution_is_zero_on_average_whatever_the_sample() -> None:
    r = np.random.default_rng(5)
    p = np.full(10, 0.1)
    for n in (200, 1_000, 20_000):
        values = [divergence.psi(r.multinomial(n, p), r.multinomial(27_000, p)) for _ in range(400)]
        assert np.mean(values) < 3 / n  # the bias that is taken off is 9/n


def test_psi_is_the_textbook_formula_less_its_bias() -> None:
    ours, theirs = np.array([100, 300, 600]), np.array([3_000, 3_000, 4_000])
    p, q = ours / 1_000, theirs / 10_000
    assert divergence.psi(ours, theirs) == pytest.approx(((p - q) * np.log(p / q)).sum() - 2 * (1e-3 + 1e-4))


def test_psi_of_a_bin_that_emptied_is_large_but_finite() -> None:
    assert 0.5 < divergence.psi(np.array([0, 1_000]), np.array([500, 500])) < 20


def test_an_empty_side_has_no_divergence() -> None:
    none, some = np.zeros(4, np.int64), np.ones(4, np.int64)
    assert math.isnan(divergence.psi(none, some))
    assert math.isnan(divergence.ks(some, none))
    assert divergence.chi_square(none, none) == (0.0, 0)


@given(arrays(np.int64, 64, elements=st.integers(0, 1_000)))
def test_coarse_bins_keep_the_order_and_share_the_reference(expected: np.ndarray) -> None:
    group = divergence.coarse_bins(expected)
    assert np.all(np.diff(group) >= 0)
    assert set(group.tolist()) <= set(range(10))
    total = expected.sum()
    if total:
        shares = np.bincount(group, weights=expected, minlength=10) / total
        assert shares.max() <= 0.1 + 2 * expected.max() / total + 1e-12


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.001, 0.2))
def test_significance_is_scipys_false_discovery_control(p_values: list[float], alpha: float) -> None:
    adjusted = stats.false_discovery_control(p_values)
    ours = divergence.significant(p_values, alpha)
    clear = np.abs(adjusted - alpha) > 1e-9  # ties at the limit differ by rounding
    assert np.array_equal(np.array(ours)[clear], (adjusted <= alpha)[clear])


def test_untested_signals_do_not_dilute_significance() -> None:
    assert divergence.significant([0.009, math.nan, math.nan], 0.01) == [True, False, False]
    assert divergence.significant([math.nan], 0.01) == [False]


@given(VALUES, VALUES)
def test_merged_moments_are_those_of_all_values(first: np.ndarray, second: np.ndarray) -> None:
    merged = moments.merge(moments.of_values(first), moments.of_values(second))
    both = moments.of_values(np.concatenate([first, second]))
    assert (merged.n, merged.nulls, merged.min, merged.max) == (both.n, both.nulls, both.min, both.max)
    assert merged.sum == pytest.approx(both.sum, rel=1e-9, abs=1e-6)
    assert moments.merge(merged, moments.EMPTY) == merged


@given(arrays(np.float64, st.integers(2, 50), elements=st.floats(-1e3, 1e3)))
def test_the_deviation_is_numpys(values: np.ndarray) -> None:
    assert moments.deviation(moments.of_values(values)) == pytest.approx(float(values.std(ddof=1)), rel=1e-4, abs=1e-3)


def test_a_constant_has_no_deviation_and_few_values_have_none_either() -> None:
    assert moments.deviation(moments.of_values(np.full(1_000, 0.1))) == 0.0
    assert math.isnan(moments.deviation(moments.of_values(np.array([1.0]))))
    assert math.isnan(moments.mean(moments.EMPTY))
