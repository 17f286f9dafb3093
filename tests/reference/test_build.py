"""What a reference promises: bins that share the data, nulls that are counted, an id that follows the content."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from driftline_schemas.records import Moments
from driftline_schemas.spec import Profile, Reference
from driftline_streams.kernel.histogram import BINS, bin_index
from driftline_streams.kernel.limits import MAX_CATEGORIES, OTHER_CATEGORY
from driftline_streams.reference.build import build
from driftline_streams.reference.check import checked
from driftline_streams.reference.columns import Kind, Values

NUMBERS = arrays(
    np.float64,
    st.integers(0, 300),
    elements=st.floats(-1e9, 1e9) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0]),
)


def profile(values: Values, n: int | None = None, kind: Kind | None = None) -> Profile:
    kinds: dict[str, Kind] = {} if kind is None else {"feature:x": kind}
    n = max(1, len(values)) if n is None else n
    return build("m", "1", {"feature:x": values}, n=n, start_ms=0, end_ms=1, kinds=kinds).signals["feature:x"]


@given(NUMBERS)
def test_every_finite_value_is_in_one_bin_and_every_other_is_a_null(values: np.ndarray) -> None:
    made = profile(values)
    finite = values[np.isfinite(values)]
    assert made.type == "numeric"
    assert sum(made.counts) == made.moments.n == len(finite)
    assert made.moments.nulls == max(1, len(values)) - len(finite)
    if len(finite):
        assert len(made.edges) == BINS - 1
        assert made.edges == sorted(made.edges)
        assert made.counts == np.bincount(bin_index(finite, made.edges), minlength=BINS).tolist()
    else:
        assert (made.edges, made.counts) == ([], [])


def test_the_bins_of_a_continuous_signal_hold_equally_much() -> None:
    counts = profile(np.random.default_rng(1).standard_normal(64_000)).counts
    assert min(counts) >= 990
    assert max(counts) <= 1_010


def test_a_constant_falls_into_the_last_bin() -> None:
    made = profile([3.0] * 10)
    assert made.counts == [0] * 63 + [10]
    assert (made.moments.min, made.moments.max) == (3.0, 3.0)


def test_an_empty_column_has_an_empty_profile_and_its_events_are_nulls() -> None:
    assert profile([], n=5) == Profile(type="numeric", moments=made_of_nulls(5))
    assert profile([None, None]).moments == made_of_nulls(2)


def made_of_nulls(n: int) -> Moments:
    return Moments(0, n, 0.0, 0.0, 0.0, 0.0)


def test_texts_and_booleans_are_categories_named_as_in_events() -> None:
    assert profile(["UA", None, "AA", "UA"]).categories == {"UA": 2, "AA": 1}
    assert profile([True, False, None]).categories == {"true": 1, "false": 1}
    assert profile(np.array([True, True])).categories == {"true": 2}
    assert profile([1.0, 2.5, 1.0, None], kind="categorical").categories == {"1": 2, "2.5": 1}
    assert profile(["UA", None, "AA", "UA"]).moments.nulls == 1


def test_rare_categories_beyond_the_bound_are_kept_as_one() -> None:
    values = ["common"] * 3 + [f"rare {i}" for i in range(MAX_CATEGORIES + 50)]
    categories = profile(values).categories
    assert len(categories) == MAX_CATEGORIES + 1
    assert categories["common"] == 3
    assert categories[OTHER_CATEGORY] == 51
    assert sum(categories.values()) == len(values)


def test_a_short_column_misses_the_rest_and_a_long_one_is_refused() -> None:
    assert profile([1.0], n=4).moments.nulls == 3
    with pytest.raises(ValueError, match="feature:x has 2 values for 1 events"):
        profile([1.0, 2.0], n=1)


def test_text_in_a_numeric_column_is_refused_with_the_columns_name() -> None:
    with pytest.raises(ValueError, match="feature:x is said to be numeric"):
        profile([1.0, "two"], kind="numeric")


def test_a_reference_of_no_events_is_refused() -> None:
    with pytest.raises(ValueError, match="of m 1 would be of no events: give it some rows"):
        build("m", "1", {"score": []}, n=0, start_ms=0, end_ms=0)


def test_a_million_different_texts_are_250_names_and_the_rest() -> None:
    categories = profile([f"{i:06}" for i in range(1_000_000)]).categories
    assert len(categories) == MAX_CATEGORIES + 1
    assert categories[OTHER_CATEGORY] == 1_000_000 - MAX_CATEGORIES


def test_a_text_that_is_too_long_for_a_name_is_among_the_rest() -> None:
    assert profile(["x" * 200, "y"]).categories == {"y": 1, OTHER_CATEGORY: 1}


@pytest.mark.parametrize("name", ["__proto__", "constructor", "a.b", "ü", "\x1f"])
def test_a_feature_may_have_any_name(name: str) -> None:
    made = build("m", "1", {f"feature:{name}": [1.0, 2.0]}, n=2, start_ms=0, end_ms=1)
    assert msgspec.json.decode(msgspec.json.encode(made), type=Reference).signals[f"feature:{name}"].moments.n == 2


def test_times_and_segments_are_those_of_all_events() -> None:
    with pytest.raises(ValueError, match="times_ms has 1 values for 2 events"):
        build("m", "1", {}, n=2, start_ms=0, end_ms=1, times_ms=np.array([1]))
    with pytest.raises(ValueError, match="country has 1 values for 2 events"):
        build("m", "1", {}, n=2, start_ms=0, end_ms=1, segments={"country": ["AT"]})


def reference(values: list[float], description: str = "") -> Reference:
    return build("m", "1", {"score": values}, n=len(values), start_ms=0, end_ms=9, description=description)


def test_the_id_follows_the_content_and_not_the_description() -> None:
    assert reference([1.0, 2.0]).id == reference([1.0, 2.0], "January").id
    assert reference([1.0, 2.0]).id != reference([1.0, 3.0]).id
    assert len(reference([1.0]).id) == 16


def test_a_reference_survives_the_topic() -> None:
    made = reference([0.1, 0.2, 1e308])
    assert msgspec.json.decode(msgspec.json.encode(made), type=Reference) == made


def test_a_reference_whose_parts_do_not_fit_each_other_is_refused() -> None:
    dice = np.random.default_rng(5)
    columns = {f"feature:{name}": dice.standard_normal(2_000) for name in "abc"}
    made = build("m", "1", columns, n=2_000, start_ms=0, end_ms=1)
    assert made.joint is not None
    assert checked(made).id == made.id
    parts: list[dict[str, Any]] = [
        {"means": [0.0]},
        {"waves": []},
        {"signals": ["feature:a", "feature:b", "feature:gone"]},
    ]
    for broken in parts:
        joint = msgspec.structs.replace(made.joint, **broken)
        with pytest.raises(ValueError, match="joint"):
            checked(msgspec.structs.replace(made, joint=joint))
