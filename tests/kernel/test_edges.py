"""What edges promise: the bins of a search, for all numbers and all edges."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftline_streams.kernel.edges import Edges
from driftline_streams.kernel.histogram import bin_index, edges

NUMBERS = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0, 1e308, -1e308, 5e-324])
FINITE = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, 1.0, 2.0, 1e308, -1e308, 5e-324])
EDGES = st.lists(FINITE, max_size=63).map(sorted)


@given(st.lists(EDGES, min_size=1, max_size=4), st.data())
def test_bins_are_those_of_a_search_in_the_edges(drawn: list[list[float]], data: st.DataObject) -> None:
    near = st.sampled_from([0.0, *(edge for of_one in drawn for edge in of_one)])
    beside = near.flatmap(lambda edge: st.sampled_from([np.nextafter(edge, np.inf), np.nextafter(edge, -np.inf)]))
    pairs = st.tuples(st.integers(0, len(drawn) - 1), NUMBERS | near | beside)
    which, values = zip(*data.draw(st.lists(pairs, min_size=1)), strict=True)
    found = Edges.of([np.array(of_one) for of_one in drawn]).bin_index(np.array(which), np.array(values, np.float64))
    assert found.tolist() == [int(bin_index([v], drawn[i])[0]) for i, v in zip(which, values, strict=True)]


def test_heavy_tails_and_ties_are_no_exception() -> None:
    random = np.random.default_rng(7)
    samples = [random.standard_normal(5_000), np.exp(3 * random.standard_normal(5_000)), random.integers(0, 3, 5_000)]
    found = [edges(sample) for sample in samples]
    which, values = (
        random.integers(0, 3, 10_000),
        random.standard_normal(10_000) * 10.0 ** random.integers(-3, 3, 10_000),
    )
    bins = Edges.of(found).bin_index(which, values)
    for place, of_one in enumerate(found):
        assert (bins[which == place] == bin_index(values[which == place], of_one)).all()


def test_no_values_have_no_bins() -> None:
    assert Edges.of([]).bin_index(np.empty(0, np.int64), np.empty(0)).tolist() == []


@given(st.lists(EDGES, min_size=2, max_size=4))
def test_edges_put_together_are_those_of_all(drawn: list[list[float]]) -> None:
    every = [np.array(of_one) for of_one in drawn]
    joined, whole = Edges.join([Edges.of(every[:1]), Edges.of(every[1:])]), Edges.of(every)
    assert joined.table.tolist() == whole.table.tolist()
    assert joined.count.tolist() == whole.count.tolist()
