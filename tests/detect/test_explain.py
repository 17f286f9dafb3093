"""Which segments explain a change: the parts add up, a mix is no change, and a change is where it happened."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline_schemas.records import Moments, Share
from driftline_schemas.spec import Profile, Reference, Slice
from driftline_streams.detectors.window_tests import explain
from driftline_streams.detectors.window_tests.explain import shares
from driftline_streams.kernel import divergence, histogram, moments
from driftline_streams.kernel.limits import OTHER_SEGMENT
from driftline_streams.reference.build import build
from driftline_streams.windows.cells import WideCell

X = "feature:x"
EDGES = [1.0, 2.0, 3.0]
Groups = dict[str, np.ndarray]
numbers = st.lists(st.integers(0, 40).map(lambda i: i / 8), min_size=1, max_size=12).map(np.array)
groups = st.dictionaries(st.sampled_from(["AA", "B6", "DL", "UA", OTHER_SEGMENT, ""]), numbers, min_size=1)


def bins(values: np.ndarray) -> dict[str, int]:
    if values.dtype.kind == "U":
        names, counts = np.unique(values, return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))
    index, counts = np.unique(histogram.bin_index(values[~np.isnan(values)], EDGES), return_counts=True)
    return {str(i): int(c) for i, c in zip(index, counts, strict=True)}


def sums(values: np.ndarray) -> Moments:
    return Moments(len(values), 0, 0.0, 0.0, 0.0, 0.0) if values.dtype.kind == "U" else moments.of_values(values)


def reference(by_value: Groups, dim: str = "carrier") -> Reference:
    """A reference whose events are those of these segment values; those of "" have none."""
    every = np.concatenate(list(by_value.values()))
    texts = every.dtype.kind == "U"
    found = bins(every)
    profile = Profile(
        type="categorical" if texts else "numeric",
        moments=sums(every),
        edges=[] if texts else EDGES,
        counts=[] if texts else [found.get(str(i), 0) for i in range(4)],
        categories=found if texts else {},
    )
    slices = {v: Slice(n=len(x), moments={X: sums(x)}, bins={X: bins(x)}) for v, x in by_value.items() if v}
    return Reference(
        id="r", model="m", version="1", n=len(every), start_ms=0, end_ms=1, description="",
        signals={X: profile}, segments={dim: slices} if slices else {},
    )  # fmt: skip


def cell(values: np.ndarray, value: str = "") -> WideCell:
    return WideCell(0, 1, len(values), "r", {X: sums(values)}, {X: bins(values)}, {}, "carrier" if value else "", value)


def explained(before: Groups, after: Groups, what: explain.What = "values") -> dict[str, Share]:
    whole = cell(np.concatenate(list(after.values())))
    segments = {("carrier", value): cell(values, value) for value, values in after.items() if value}
    return {share.value: share for share in shares(reference(before), X, whole, segments, what)}


@given(before=groups, after=groups)
def test_the_parts_of_a_key_add_up_to_the_whole_change(before: Groups, after: Groups) -> None:
    found = explained(before, after)
    if found and len({*before, *after}) <= explain.MOST:
        assert sum(share.mix + share.within for share in found.values()) == pytest.approx(1, abs=1e-6)


@given(before=groups, times=st.lists(st.integers(1, 5), min_size=6, max_size=6))
def test_more_events_of_a_segment_are_a_mix_and_not_a_change_of_any(before: Groups, times: list[int]) -> None:
    after = {value: np.tile(values, k) for (value, values), k in zip(before.items(), times, strict=False)}
    for share in explained(before, after).values():
        assert share.within == pytest.approx(0, abs=1e-6)


@given(before=groups, shift=st.floats(0.5, 10))
def test_a_change_of_one_segment_alone_is_its_own(before: Groups, shift: float) -> None:
    changed = min(before)
    if before == {"": before.get("")}:
        return
    after = {value: values + shift * (value == changed) for value, values in before.items()}
    found = explained(before, after)
    if changed in found:
        assert found[changed].within == pytest.approx(1, abs=1e-6)
        assert all(abs(s.mix + s.within) < 1e-6 for value, s in found.items() if value != changed)


def test_categories_are_explained_by_the_total_variation() -> None:
    before = {"B6": np.array(["on", "late"] * 50), "UA": np.array(["on", "late"] * 150)}
    after = {"B6": np.array(["late", "late"] * 50), "UA": before["UA"]}
    found = explained(before, after)
    assert found["B6"].within == pytest.approx(1)
    assert "UA" not in found or found["UA"].within == pytest.approx(0)


def test_unseen_categories_are_explained_too() -> None:
    before = {"B6": np.array(["on"] * 100), "UA": np.array(["on"] * 100)}
    after = {"B6": np.array(["on", "diverted"] * 50), "UA": np.array(["on"] * 100)}
    assert explained(before, after)["B6"].within == pytest.approx(1)


def test_a_wider_spread_around_the_same_mean_is_explained_by_its_bins() -> None:
    before = {"B6": np.full(100, 2.5), "UA": np.full(100, 2.5)}
    after = {"B6": np.array([0.0, 5.0] * 50), "UA": np.full(100, 2.5)}
    assert explained(before, after)["B6"].within == pytest.approx(1)


def test_segments_are_counted_in_coarse_bins() -> None:
    random = np.random.default_rng(0)
    before = {"B6": random.normal(0, 1, 2_000), "UA": random.normal(0, 1, 2_000)}
    values = np.concatenate(list(before.values()))
    made = build(
        "m", "1", {X: values}, n=4_000, start_ms=0, end_ms=1, segments={"carrier": ["B6"] * 2_000 + ["UA"] * 2_000}
    )
    profile = made.signals[X]
    leading = divergence.leading_bins(np.array(profile.counts))

    def counted(sample: np.ndarray, value: str = "") -> WideCell:
        index = histogram.bin_index(sample, profile.edges)
        names, counts = np.unique(leading[index] if value else index, return_counts=True)
        found = {X: {str(i): int(c) for i, c in zip(names, counts, strict=True)}}
        return WideCell(0, 1, len(sample), made.id, {X: sums(sample)}, found, {}, "carrier" if value else "", value)

    wider = random.normal(0, 3, 2_000)
    parts = {("carrier", "B6"): counted(wider, "B6"), ("carrier", "UA"): counted(before["UA"], "UA")}
    found = shares(made, X, counted(np.concatenate([wider, before["UA"]])), parts)
    assert [(share.value, round(share.within, 1)) for share in found] == [("B6", 1.0)]


def test_nulls_are_explained_by_who_lacks_the_value() -> None:
    whole = {"B6": np.ones(100), "UA": np.ones(300)}
    after = {"B6": np.where(np.arange(100) < 80, np.nan, 1.0), "UA": np.ones(300)}
    assert explained(whole, after, "nulls")["B6"].within == pytest.approx(1)


def test_values_that_the_reference_does_not_tell_apart_are_part_of_its_rest() -> None:
    before = {"UA": np.zeros(100), OTHER_SEGMENT: np.zeros(50)}
    after = {"UA": np.zeros(100), "HA": np.full(25, 4.0), OTHER_SEGMENT: np.full(25, 4.0)}
    found = explained(before, after)
    assert set(found) == {OTHER_SEGMENT}
    assert found[OTHER_SEGMENT].n == 50
    assert found[OTHER_SEGMENT].within == pytest.approx(1)


def test_events_without_a_segment_count_as_one_of_their_own() -> None:
    found = explained({"UA": np.zeros(50), "": np.zeros(50)}, {"UA": np.zeros(50), "": np.full(50, 4.0)})
    assert found[""].within == pytest.approx(1)


def test_the_five_largest_of_all_keys_are_named() -> None:
    before = {f"s{i}": np.zeros(10) for i in range(9)}
    after = {f"s{i}": np.full(10, float(i)) for i in range(9)}
    assert list(explained(before, after)) == ["s8", "s7", "s6", "s5", "s4"]


def test_nothing_explains_what_is_not_known_or_did_not_change() -> None:
    same = {"UA": np.arange(9.0)}
    assert explained(same, same) == {}
    whole, segments = cell(np.arange(9.0) + 1), {("carrier", "UA"): cell(np.arange(9.0) + 1, "UA")}
    made = reference(same)
    assert shares(made, "feature:__proto__", whole, segments) == []
    assert shares(made, X, whole, {}) == []
    assert shares(reference({"": np.arange(9.0)}), X, whole, segments) == []
    other = WideCell(0, 1, 9, "another", {}, {X: {"0": 9}})
    assert shares(made, X, other, {("carrier", "UA"): other}) == []
