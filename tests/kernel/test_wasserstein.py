"""What the binned Wasserstein distance promises: close to scipy's, never below the difference of the means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from driftline_streams.kernel import histogram, moments, wasserstein
from driftline_streams.kernel.shifts import Sample

VALUES = st.one_of(
    arrays(np.float64, st.integers(1, 200), elements=st.floats(-1e6, 1e6)),
    arrays(np.float64, st.integers(1, 200), elements=st.sampled_from([0.0, 1.0, 5.0])),
    arrays(np.float64, st.integers(1, 200), elements=st.just(3.0)),
)


def ours(window: np.ndarray, reference: np.ndarray) -> float:
    edges = histogram.edges(reference)
    counts = [np.bincount(histogram.bin_index(x, edges), minlength=64)[None] for x in (window, reference)]
    samples = [Sample.of([moments.of_values(x)]) for x in (window, reference)]
    return float(wasserstein.distance(counts[0], counts[1], edges[None], samples[0], samples[1])[0])


R = np.random.default_rng(4)
N, M = 2_000, 20_000
DRAWN = {
    "shifted": (R.normal(0.3, 1, N), R.normal(0, 1, M), 0.02),
    "wider": (R.normal(0, 2, N), R.normal(0, 1, M), 0.1),
    "wider, heavier": (R.laplace(0, 2, N), R.laplace(0, 1, M), 0.1),
    "same": (R.normal(0, 1, N), R.normal(0, 1, M), 0.2),
    "lognormal": (R.lognormal(0.3, 1.5, N), R.lognormal(0, 1.5, M), 0.05),
    "lognormal, same": (R.lognormal(0, 2, N), R.lognormal(0, 2, M), 0.1),
    "uniform, bent": (R.random(N) ** 2, R.random(M), 0.01),
    "integers": (R.poisson(4, N).astype(float), R.poisson(3, M).astype(float), 1e-9),
    "binary": (R.binomial(1, 0.7, N).astype(float), R.binomial(1, 0.5, M).astype(float), 1e-9),
    "constants": (np.full(9, 5.0), np.full(30, 3.0), 1e-9),
    "pareto without a variance": (R.pareto(1.2, N), R.pareto(1.5, M), 0.25),
}


@pytest.mark.parametrize("name", DRAWN)
def test_the_distance_is_scipys_within_a_stated_error(name: str) -> None:
    window, reference, error = DRAWN[name]
    assert ours(window, reference) == pytest.approx(stats.wasserstein_distance(window, reference), rel=error)


@given(VALUES, VALUES)
def test_the_distance_is_at_least_that_of_the_means(window: np.ndarray, reference: np.ndarray) -> None:
    found = ours(window, reference)
    assert found >= abs(window.mean() - reference.mean()) * (1 - 1e-6) - 1e-6
    assert np.isfinite(found)


@given(VALUES)
def test_a_sample_has_no_distance_from_itself(values: np.ndarray) -> None:
    assert ours(values, values) == pytest.approx(0, abs=1e-6)


def test_one_absurd_value_moves_the_distance_as_far_as_the_mean_and_no_further() -> None:
    r = np.random.default_rng(5)
    reference, window = r.normal(0, 1, 20_000), r.normal(0, 1, 2_000)
    window[0] = 1e6
    assert ours(window, reference) == pytest.approx(1e6 / 2_000, rel=0.01)


def test_an_empty_side_has_no_distance() -> None:
    assert np.isnan(ours(np.empty(0), np.arange(9.0)))
