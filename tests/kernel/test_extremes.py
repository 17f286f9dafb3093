"""How far an extreme value may be: rarely left by chance, whatever the tail; left by a wrong unit."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from driftline_schemas.spec import Profile
from driftline_streams.kernel import histogram, moments
from driftline_streams.kernel.extremes import limits

SAMPLES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "uniform": lambda r, n: r.uniform(0, 1, n),
    "normal": lambda r, n: r.normal(50, 5, n),
    "exponential": lambda r, n: r.exponential(3, n),
    "lognormal": lambda r, n: r.lognormal(0, 1, n),
    "student": lambda r, n: r.standard_t(3, n),
    "pareto": lambda r, n: r.pareto(1.2, n),
}


def profile(values: np.ndarray) -> Profile:
    edges = histogram.edges(values)
    counts = np.bincount(histogram.bin_index(values, edges), minlength=64).tolist() if len(edges) else []
    return Profile(type="numeric", moments=moments.of_values(values), edges=edges.tolist(), counts=counts)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("growth", [0.1, 1, 30])
def test_the_extremes_of_more_of_the_same_are_hardly_ever_news(name: str, growth: float) -> None:
    random, sample, n, outside = np.random.default_rng(1), SAMPLES[name], 1_000, 0
    for _ in range(100):
        low, high = limits(profile(sample(random, n)), int(n * growth))
        values = sample(random, int(n * growth))
        outside += int(values.min() < low) + int(values.max() > high)
    assert outside <= 2  # of 200 sides; the extremes of the reference themselves would be left by half of them


@pytest.mark.parametrize("name", ["uniform", "normal", "exponential"])
def test_a_value_in_another_unit_or_for_missing_is_news(name: str) -> None:
    low, high = limits(profile(SAMPLES[name](np.random.default_rng(2), 5_000)), 5_000)
    assert high < 1_000 * profile(SAMPLES[name](np.random.default_rng(3), 5_000)).edges[31]
    assert low > -999


@pytest.mark.parametrize(
    "values",
    [[], [math.nan] * 500, [3.0] * 500, [1.0, 2.0], [0.0] * 499 + [9.0]],
    ids=["empty", "nulls", "constant", "two", "nearly constant"],
)
def test_a_reference_that_tells_no_range_has_none_above(values: list[float]) -> None:
    low, high = limits(profile(np.array(values)), 1_000)
    assert high == math.inf
    assert low == -math.inf or len(values) == 500


def test_a_window_without_values_leaves_nothing() -> None:
    assert limits(profile(np.arange(1_000.0)), 0) == (-math.inf, math.inf)
