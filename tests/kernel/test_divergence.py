"""What the comparison of binned samples promises: agreement with scipy, no bias, intervals that cover."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.spatial import distance

from driftline_streams.kernel import divergence, histogram, significance

COUNTS = arrays(np.int64, 12, elements=st.integers(0, 5_000))
Divergence = Callable[[np.ndarray, np.ndarray], np.ndarray]
BIASED: list[Divergence] = [
    divergence.psi,
    divergence.kl,
    divergence.jensen_shannon,
    divergence.hellinger,
    divergence.total_variation,
]


def binned(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.bincount(histogram.bin_index(values, edges), minlength=histogram.BINS)


@given(COUNTS, COUNTS)
def test_chi_square_is_scipys_test_of_homogeneity(observed: np.ndarray, expected: np.ndarray) -> None:
    used = observed + expected > 0
    assume(observed.any() and expected.any() and used.sum() > 1)
    result = stats.chi2_contingency(np.array([observed, expected])[:, used], correction=False)
    assert divergence.chi_square(observed, expected) == pytest.approx(result.statistic, rel=1e-9, abs=1e-9)
    assert divergence.degrees(observed, expected) == result.dof


@given(COUNTS, COUNTS)
def test_large_samples_have_the_divergences_of_scipy(observed: np.ndarray, expected: np.ndarray) -> None:
    """So large that what chance alone would show is nothing."""
    assume(observed.any() and expected.any())
    ours, theirs = observed * 10**9, expected * 10**9
    p, q = observed / observed.sum(), expected / expected.sum()
    exact = distance.jensenshannon(p, q, base=2)
    assert divergence.jensen_shannon(ours, theirs) == pytest.approx(exact, abs=1e-4)
    assert divergence.hellinger(ours, theirs) == pytest.approx(np.linalg.norm(p**0.5 - q**0.5) / 2**0.5, abs=1e-4)
    assert divergence.total_variation(ours, theirs) == pytest.approx(np.abs(p - q).sum() / 2, abs=1e-4)
    assert divergence.entropy(ours) == pytest.approx(stats.entropy(p), abs=1e-6)
    if ((p > 0) == (q > 0)).all():
        assert divergence.kl(ours, theirs) == pytest.approx(stats.entropy(p, q), abs=1e-6)
        assert divergence.psi(ours, theirs) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p), abs=1e-6)


@given(COUNTS, COUNTS)
def test_distances_stay_within_their_bounds(observed: np.ndarray, expected: np.ndarray) -> None:
    assume(observed.any() and expected.any())
    assert all(f(observed, expected) >= 0 for f in BIASED)
    for bounded in (divergence.jensen_shannon, divergence.hellinger, divergence.total_variation, divergence.ks):
        assert bounded(observed, expected) <= 1 + 1e-12
    assert np.isfinite(divergence.psi(observed, expected))
    assert np.isfinite(divergence.psi_interval(observed, expected)).all()


@given(arrays(np.int64, (5, 12), elements=st.integers(0, 300)), arrays(np.int64, (5, 12), elements=st.integers(0, 300)))
def test_many_signals_at_once_are_each_by_itself(observed: np.ndarray, expected: np.ndarray) -> None:
    for f in (*BIASED, divergence.ks, divergence.chi_square, divergence.degrees):
        each = [f(one, other) for one, other in zip(observed, expected, strict=True)]
        assert f(observed, expected) == pytest.approx(np.array(each), nan_ok=True, abs=1e-12)
    pools = [divergence.pooled(one, other) for one, other in zip(observed, expected, strict=True)]
    for side, whole in enumerate(divergence.pooled(observed, expected)):
        assert np.array_equal(whole, np.array([pool[side] for pool in pools]))


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5, 3.0])
def test_ks_from_64_bins_is_a_little_less_than_the_exact_one(shift: float) -> None:
    r = np.random.default_rng(3)
    reference, window = r.lognormal(0, 1, 20_000), r.lognormal(shift, 1, 2_000)
    edges = histogram.edges(reference)
    exact = stats.ks_2samp(window, reference).statistic
    assert exact - 0.02 <= divergence.ks(binned(window, edges), binned(reference, edges)) <= exact + 1e-12


SAMPLES = st.one_of(
    arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e6, 1e6)),
    arrays(np.float64, st.integers(1, 300), elements=st.sampled_from([0.0, 1.0, 2.0])),  # ties
    arrays(np.float64, st.integers(1, 300), elements=st.just(7.0)),
)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # scipy's own, for one value
@given(SAMPLES, SAMPLES)
def test_binned_ks_never_exceeds_scipys_and_lacks_at_most_a_bin_of_each_side(a: np.ndarray, b: np.ndarray) -> None:
    edges = histogram.edges(a)
    ours, theirs = binned(b, edges), binned(a, edges)
    exact = stats.ks_2samp(b, a, method="asymp").statistic
    found = divergence.ks(ours, theirs)
    assert found <= exact + 1e-12
    assert exact <= found + max((ours / len(b)).max(), (theirs / len(a)).max()) + 1e-12


@pytest.mark.parametrize("f", BIASED, ids=lambda f: f.__name__)
@pytest.mark.parametrize("n", [200, 1_000, 20_000])
def test_what_chance_alone_would_show_is_taken_off(f: Divergence, n: int) -> None:
    r = np.random.default_rng(5)
    p = r.dirichlet(np.full(10, 5))
    values = f(r.multinomial(n, p, 800), r.multinomial(27_000, p, 800))
    truth = f(p * 1e12, p * 1e12)
    # Plain values are 9 c (1/n + 1/N) in the mean, or its root; half of those that remain are exactly 0.
    plain = {"psi": 9 / n, "kl": 4.5 / n, "total_variation": 1.1 / math.sqrt(n)}.get(f.__name__, math.sqrt(1.6 / n))
    assert truth == pytest.approx(0, abs=1e-9)
    assert np.mean(values == 0) > 0.4
    assert values.mean() < plain / 2


@pytest.mark.parametrize("f", [divergence.psi, divergence.kl], ids=lambda f: f.__name__)
def test_the_bias_adds_to_a_true_difference_in_the_same_way(f: Divergence) -> None:
    r = np.random.default_rng(6)
    p, q = r.dirichlet(np.full(10, 9)), r.dirichlet(np.full(10, 9))
    truth, n = f(q * 1e12, p * 1e12), 500
    values = f(r.multinomial(n, q, 3_000), r.multinomial(5_000, p, 3_000))
    assert values.mean() == pytest.approx(truth, abs=9 / n / 4)


def test_psi_is_the_textbook_formula_less_its_bias() -> None:
    ours, theirs = np.array([100, 300, 600]), np.array([3_000, 3_000, 4_000])
    p, q = ours / 1_000, theirs / 10_000
    assert divergence.psi(ours, theirs) == pytest.approx(((p - q) * np.log(p / q)).sum() - 2 * (1e-3 + 1e-4))


def test_psi_of_a_bin_that_emptied_is_large_but_finite() -> None:
    assert 0.5 < divergence.psi(np.array([0, 1_000]), np.array([500, 500])) < 20


@pytest.mark.parametrize("mix", [0.0, 0.2, 1.0])
def test_the_interval_of_psi_covers_the_truth_at_least_as_often_as_it_says(mix: float) -> None:
    r = np.random.default_rng(7)
    p, q = r.dirichlet(np.full(10, 5)), r.dirichlet(np.full(10, 5))
    q = (1 - mix) * p + mix * q
    low, high = divergence.psi_interval(r.multinomial(1_000, q, 2_000), r.multinomial(20_000, p, 2_000))
    truth = divergence.psi(q * 1e12, p * 1e12)
    assert ((low <= truth) & (truth <= high)).mean() > 0.94
    assert np.mean(high - low) < truth + 0.05  # and says something


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_the_interval_of_ks_covers_the_truth_at_least_as_often_as_it_says(shift: float) -> None:
    r = np.random.default_rng(8)
    edges = stats.norm.ppf(np.arange(1, 64) / 64)
    truth = np.abs(stats.norm.cdf(edges - shift) - stats.norm.cdf(edges)).max()
    cells = np.diff(np.concatenate([[0], stats.norm.cdf(edges - shift), [1]]))
    found = divergence.ks(r.multinomial(500, cells, 2_000), r.multinomial(5_000, np.full(64, 1 / 64), 2_000))
    low, high = divergence.ks_interval(found, np.array(500.0), np.array(5_000.0))
    assert ((low <= truth) & (truth <= high)).mean() > 0.95


@given(COUNTS, COUNTS)
def test_pooling_moves_values_and_loses_none(observed: np.ndarray, expected: np.ndarray) -> None:
    ours, theirs = divergence.pooled(observed, expected)
    assert (ours.sum(), theirs.sum()) == (observed.sum(), expected.sum())
    both, n = ours + theirs, ours.sum()
    if n and theirs.any():
        usual = (both * n / both.sum())[both > 0]
        assert len(usual) == 1 or usual.min() >= divergence.LEAST_EXPECTED * (1 - 1e-9)


def test_pooled_chi_square_keeps_its_level_where_the_plain_one_does_not() -> None:
    r = np.random.default_rng(9)
    p = np.array([0.5, 0.4, *np.full(100, 0.001)])
    ours, theirs = r.multinomial(300, p, 2_000), r.multinomial(30_000, p, 2_000)

    def rejected(observed: np.ndarray, expected: np.ndarray) -> float:
        p_values = significance.chi_square(
            divergence.chi_square(observed, expected), divergence.degrees(observed, expected)
        )
        return float((p_values < 0.001).mean())

    assert rejected(*divergence.pooled(ours, theirs)) < 0.003
    assert rejected(ours, theirs) > 0.01


def test_an_empty_side_has_no_divergence() -> None:
    none, some = np.zeros(4, np.int64), np.ones(4, np.int64)
    for f in (*BIASED, divergence.ks, divergence.chi_square):
        assert np.isnan([f(none, some), f(some, none), f(none, none)]).all()
    assert np.isnan(divergence.psi_interval(none, some)).all()
    assert np.isnan(divergence.entropy(none))


@given(arrays(np.int64, (3, 64), elements=st.integers(0, 1_000)))
def test_coarse_bins_keep_the_order_and_share_the_reference(expected: np.ndarray) -> None:
    groups = divergence.coarse_bins(expected)
    assert np.array_equal(groups[1], divergence.coarse_bins(expected[1]))
    sums = divergence.sum_by(groups, expected)
    for group, counts, whole in zip(groups, expected, sums, strict=True):
        assert np.all(np.diff(group) >= 0)
        assert set(group.tolist()) <= set(range(10))
        assert np.array_equal(whole, np.bincount(group, weights=counts, minlength=10))
        if total := counts.sum():
            assert whole.max() / total <= 0.1 + 2 * counts.max() / total + 1e-12
