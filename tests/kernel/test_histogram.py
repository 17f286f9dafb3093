"""What histograms promise: edges that are quantiles, one bin for every value, and counts that add up either way."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from driftline_streams.kernel.histogram import BINS, Floats, bin_index, compact, edges, tally

VALUES = arrays(np.float64, st.integers(1, 300), elements=st.floats(allow_nan=False, allow_infinity=False))


@given(VALUES)
def test_there_are_63_ascending_edges_and_each_is_a_value(values: Floats) -> None:
    found = edges(values)
    assert found.shape == (BINS - 1,)
    assert np.all(np.diff(found) >= 0)
    assert np.isin(found, values).all()


@given(VALUES, VALUES)
def test_a_value_lies_between_the_edges_of_its_bin(reference: Floats, values: Floats) -> None:
    bounds = np.concatenate([[-np.inf], edges(reference), [np.inf]])
    index = bin_index(values, edges(reference))
    assert np.all(bounds[index] <= values)
    assert np.all(values < bounds[index + 1])


def test_the_bins_of_the_reference_hold_about_the_same_number_of_its_values() -> None:
    values = np.random.default_rng(1).normal(size=64_000)
    counts = np.bincount(bin_index(values, edges(values)), minlength=BINS)
    assert counts.min() > 990
    assert counts.max() < 1010


def test_nothing_has_no_edges_and_then_there_is_one_bin() -> None:
    assert edges([]).shape == edges([np.nan, np.inf]).shape == (0,)
    assert bin_index([1.0, 2.0], []).tolist() == [0, 0]


@given(st.lists(st.integers(0, 30), max_size=60), st.sampled_from([31, 1_000, 10**12]))
def test_dense_and_sparse_counting_agree(ids: list[int], size: int) -> None:
    array = np.array(ids, np.int64)
    present, place = compact(array, size)
    assert present.tolist() == sorted(set(ids))
    assert present[place].tolist() == ids
    present, counts = tally(array, size)
    assert dict(zip(present.tolist(), counts.tolist(), strict=True)) == {i: ids.count(i) for i in set(ids)}
