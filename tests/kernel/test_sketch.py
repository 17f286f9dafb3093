"""What a sketch promises: one percent, from any split of the data, and no silent nonsense."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.sketch import RELATIVE_ACCURACY, ZERO, bucket_index, group_buckets, quantile
from driftline_streams.windows.cells import add_counts

LATENCIES_MS = arrays(np.float64, st.integers(1, 200), elements=st.just(0.0) | st.floats(1e-3, 1e7))


def sketch_of(values: Floats) -> dict[int, int]:
    grouped = group_buckets(np.zeros(len(values), np.int64), bucket_index(values), 1)
    return dict(zip(grouped.bucket.tolist(), grouped.count.tolist(), strict=True))


@given(LATENCIES_MS, st.floats(0, 1))
def test_a_quantile_is_within_one_percent_of_numpys(values: Floats, q: float) -> None:
    true = np.sort(values)[max(1, math.ceil(q * len(values))) - 1]  # "inverted_cdf", in the same arithmetic
    assert quantile(sketch_of(values), q) == pytest.approx(true, rel=RELATIVE_ACCURACY * 1.0001)


@given(LATENCIES_MS, LATENCIES_MS, LATENCIES_MS)
def test_merging_batches_in_any_order_is_sketching_them_together(a: Floats, b: Floats, c: Floats) -> None:
    together = sketch_of(np.concatenate([a, b, c]))
    merged = sketch_of(c)
    for batch in (b, a):
        add_counts(merged, sketch_of(batch))
    assert merged == together


@given(st.lists(st.tuples(st.integers(0, 5), st.just(0.0) | st.floats(0, 1e300)), max_size=50))
def test_groups_side_by_side_are_the_sketches_of_each(pairs: list[tuple[int, float]]) -> None:
    groups = np.array([group for group, _ in pairs], np.int64)
    values = np.array([value for _, value in pairs], np.float64)
    grouped = group_buckets(groups, bucket_index(values), 6)
    for group in range(6):
        mine = grouped.group == group
        found = dict(zip(grouped.bucket[mine].tolist(), grouped.count[mine].tolist(), strict=True))
        assert found == sketch_of(values[groups == group])


def test_zeros_have_a_bucket_of_their_own() -> None:
    assert sketch_of(np.array([0.0, 0.0, 1.0])) == {ZERO: 2, 0: 1}
    assert quantile({ZERO: 2, 0: 1}, 0.5) == 0.0


def test_an_empty_sketch_has_no_quantile() -> None:
    assert np.isnan(quantile({}, 0.5))


@pytest.mark.parametrize("bad", [-1.0, float("nan")])
def test_a_value_without_a_place_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="validate before updating"):
        bucket_index(np.array([1.0, bad]))


def test_an_absurd_value_does_not_widen_the_map() -> None:
    assert bucket_index(np.array([1e-300, 1e300])).tolist() == [-2047, 2047]
