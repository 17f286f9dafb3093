"""What additive sums promise: they merge like the values they are made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from driftline_streams.kernel import moments

VALUES = arrays(np.float64, st.integers(0, 60), elements=st.floats(-1e6, 1e6) | st.just(math.nan))


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
