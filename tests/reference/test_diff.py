"""What two references say of each other."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline_schemas.spec import Reference, Rhythm
from driftline_streams.kernel.divergence import coarse_bins, psi
from driftline_streams.kernel.histogram import bin_index
from driftline_streams.reference.build import build
from driftline_streams.reference.check import checked
from driftline_streams.reference.columns import Values
from driftline_streams.reference.diff import Difference, diff

NORMAL = np.random.default_rng(1).standard_normal(20_000)


def made(columns: Mapping[str, Values], n: int | None = None) -> Reference:
    return build("m", "1", columns, n=n or max(map(len, columns.values())), start_ms=0, end_ms=9)


def one(first: Values, second: Values) -> Difference:
    (found,) = diff(made({"x": first}), made({"x": second}))
    return found


@given(st.lists(st.integers(-5, 5) | st.floats(-1e6, 1e6) | st.none(), min_size=1, max_size=80))
def test_nothing_differs_from_itself(values: list[float | None]) -> None:
    found = one(values, values)
    assert found.psi in {0.0, None}
    assert found.deviations in {0.0, None}
    assert found.missing is not None
    assert found.missing[0] == found.missing[1]


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_numbers_differ_by_the_psi_of_their_values(shift: float) -> None:
    other = np.random.default_rng(2).standard_normal(20_000) + shift
    found = one(NORMAL, other)
    first = made({"x": NORMAL}).signals["x"]
    group = coarse_bins(np.array(first.counts))
    coarse = [np.bincount(group[bin_index(values, first.edges)]) for values in (other, NORMAL)]
    assert found.psi == pytest.approx(float(psi(*coarse)), rel=0.03, abs=0.002)
    assert found.deviations == pytest.approx(shift, abs=0.03)


def test_categories_that_are_new_or_gone_are_named() -> None:
    found = one(["a"] * 90 + ["b"] * 10, ["a"] * 90 + ["c"] * 10)
    assert (found.new, found.gone, found.mean) == (("c",), ("b",), None)
    assert found.psi is not None
    assert found.psi > 0.2


def test_what_differs_most_comes_first() -> None:
    first = made({"same": [1.0, 2.0], "lost": [1.0, 2.0], "holes": [1.0, 2.0], "kind": ["a", "b"]})
    second = made({"same": [1.0, 2.0], "new": [1.0, 2.0], "holes": [1.0, None], "kind": [1.0, 2.0]})
    found = diff(first, second)
    assert [each.signal for each in found] == ["kind", "lost", "new", "holes", "same"]
    assert [each.only for each in found] == ["", "first", "second", "", ""]
    assert found[0].type == "categorical → numeric"
    assert found[3].missing == (0.0, 0.5)


def test_an_empty_signal_says_nothing() -> None:
    assert one([None, None], [1.0, 2.0]) == Difference(signal="x", type="numeric", missing=(1.0, 0.0))


def test_a_reference_that_was_built_holds_together_and_keeps_its_id() -> None:
    built = made({"x": NORMAL, "c": ["a"] * 20_000, "empty": []})
    assert checked(built) == built
    edited = msgspec.structs.replace(built, signals={"x": built.signals["x"]})
    assert checked(edited).id != built.id


BUILT = made({"x": [1.0, 2.0], "c": ["a", "b"]})
X = BUILT.signals["x"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"n": 0}, "of no events"),
        ({"end_ms": -1}, "before it starts"),
        ({"signals": {"x": msgspec.structs.replace(X, counts=X.counts[1:])}}, "x: 63 edges and 63 counts"),
        ({"signals": {"x": msgspec.structs.replace(X, edges=[9.0, *X.edges[1:]])}}, "x: its edges do not ascend"),
        ({"signals": {"x": msgspec.structs.replace(X, counts=[-1] * 64)}}, "x: a bin has a negative count"),
        (
            {"rhythm": Rhythm(slots=24, n=[1] * 24, means={}, deviations={}, counts={"y": []})},
            "y has a rhythm but no profile",
        ),
        (
            {"rhythm": Rhythm(slots=24, n=[1] * 24, means={}, deviations={}, counts={"c": [[1, 1]] * 23})},
            "the rhythm of c does not have 24 slots",
        ),
        (
            {"rhythm": Rhythm(slots=24, n=[1] * 24, means={}, deviations={}, counts={"c": [[1]] * 24})},
            "the rhythm of c does not have 2 bins",
        ),
    ],
)
def test_a_reference_that_does_not_hold_together_is_refused(broken: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked(msgspec.structs.replace(BUILT, **broken))
