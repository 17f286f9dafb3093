"""What differences of means and shares promise: agreement with scipy, and intervals that cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from driftline_schemas.records import Moments
from driftline_streams.kernel import moments
from driftline_streams.kernel.shifts import Sample, mean_difference, rate_difference, scale

VALUES = arrays(np.float64, st.integers(12, 40), elements=st.integers(-1_000, 1_000).map(float))


def sample(*values: np.ndarray) -> Sample:
    return Sample.of([moments.of_values(each) for each in values])


@given(VALUES, VALUES)
def test_the_test_of_means_is_scipys_of_welch(ours: np.ndarray, theirs: np.ndarray) -> None:
    assume(np.ptp(ours) > 1 and np.ptp(theirs) > 1)
    exact = stats.ttest_ind(ours, theirs, equal_var=False)
    found = mean_difference(sample(ours), sample(theirs))
    assert found.p_value[0] == pytest.approx(exact.pvalue, rel=2e-3, abs=1e-12)
    interval = exact.confidence_interval()
    size = max(1.0, abs(interval.high - interval.low))
    assert (found.low[0], found.high[0]) == pytest.approx((interval.low, interval.high), abs=1e-3 * size)
    assert found.value[0] == pytest.approx(ours.mean() - theirs.mean())


def test_constants_differ_for_certain_or_not_at_all() -> None:
    three, five = np.full(20, 3.0), np.full(30, 5.0)
    ours, theirs = sample(three, three), sample(five, three)
    found = mean_difference(ours, theirs)
    assert found.value.tolist() == [-2.0, 0.0]
    assert found.p_value.tolist() == [0.0, 1.0]
    pooled = np.concatenate([three, five]).std(ddof=1)
    assert scale(ours, theirs).tolist() == pytest.approx([pooled, 0.0])


@pytest.mark.parametrize("values", [[], [math.nan] * 9, [4.0]])
def test_fewer_than_two_values_have_no_difference_of_means(values: list[float]) -> None:
    found = mean_difference(sample(np.array(values)), sample(np.arange(9.0)))
    assert all(np.isnan(part).all() for part in found)


def test_the_unit_is_the_deviation_of_the_reference() -> None:
    r = np.random.default_rng(1)
    ours, theirs = r.normal(3, 9, 500), r.normal(0, 2, 400)
    assert scale(sample(ours), sample(theirs))[0] == pytest.approx(theirs.std(ddof=1))


@given(st.integers(1, 500), st.integers(1, 5_000), st.data())
def test_the_test_of_shares_is_scipys_chi_square_of_the_table(n: int, m: int, data: st.DataObject) -> None:
    x, y = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    found = rate_difference(*(np.array([value], np.float64) for value in (x, n, y, m)))
    assert found.value[0] == pytest.approx(x / n - y / m)
    assert found.low[0] - 1e-12 <= found.value[0] <= found.high[0] + 1e-12
    if 0 < x + y < n + m:
        table = stats.chi2_contingency([[x, n - x], [y, m - y]], correction=False)
        assert found.p_value[0] == pytest.approx(table.pvalue, rel=1e-6, abs=1e-15)
    else:
        assert math.isnan(found.p_value[0])


@pytest.mark.parametrize(
    ("x", "n", "y", "m", "low", "high"),
    [  # Newcombe (1998), table II, method 10
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (10, 10, 0, 20, 0.6791, 1.0000),
        (10, 10, 0, 10, 0.6075, 1.0000),
    ],
)
def test_the_interval_of_a_difference_of_shares_is_newcombes(  # noqa: PLR0917
    x: int, n: int, y: int, m: int, low: float, high: float
) -> None:
    found = rate_difference(*(np.array([value], np.float64) for value in (x, n, y, m)))
    assert (found.low[0], found.high[0]) == pytest.approx((low, high), abs=5e-5)


def test_the_interval_of_a_rare_share_covers_what_it_says() -> None:
    r = np.random.default_rng(2)
    x, y = r.binomial(1_000, 0.03, 4_000), r.binomial(8_000, 0.01, 4_000)
    n, m = np.full(4_000, 1_000.0), np.full(4_000, 8_000.0)
    found = rate_difference(x.astype(float), n, y.astype(float), m)
    assert 0.94 <= ((found.low <= 0.02) & (found.high >= 0.02)).mean() <= 0.97


def test_of_nobody_no_share_is_missing() -> None:
    found = rate_difference(*(np.array([value]) for value in (0.0, 0.0, 3.0, 9.0)))
    assert all(np.isnan(part).all() for part in found)


def test_samples_are_their_values() -> None:
    r = np.random.default_rng(3)
    values = r.lognormal(0, 1, 300)
    found = Sample.of([moments.of_values(values), moments.EMPTY, Moments(1, 4, 7.0, 49.0, 7.0, 7.0)])
    assert found.variance[0] == pytest.approx(values.var(ddof=1))
    assert np.isnan([found.mean[1], found.min[1], found.max[1], found.variance[1], found.variance[2]]).all()
    assert (found.nulls[2], found.mean[2]) == (4, 7)
