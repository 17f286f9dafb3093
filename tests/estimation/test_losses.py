"""Trees in numpy find what features say, and the error they expect is the one that labels show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from driftline_streams.estimation import losses, table, trees
from driftline_streams.estimation.losses import Sample
from driftline_streams.estimation.table import Table


def uneven(dice: np.random.Generator, n: int, *, middle: float = 0.0) -> tuple[Table, Any]:
    """Events, and the error of a model that is worse for large `a`, and for `kind` c."""
    a, b, kind = dice.normal(middle, 1, n), dice.normal(0, 1, n), dice.choice(list("abc"), n, p=(0.5, 0.4, 0.1))
    errors = np.abs(dice.standard_normal(n)) * np.exp(0.5 * a - 0.2 * b) * (1 + (kind == "c"))
    return Table(n, {"a": a, "b": b}, {"kind": kind.tolist()}), errors


def test_trees_find_what_several_features_say_together() -> None:
    dice = np.random.default_rng(1)
    x, unseen = dice.normal(0, 1, (2, 4_000, 4))
    truths = [each[:, 0] * each[:, 1] + np.sin(2 * each[:, 2]) for each in (x, unseen)]
    y = truths[0] + 0.5 * dice.standard_normal(4_000)
    named = [Table(4_000, {f"x{i}": each[:, i] for i in range(4)}, {}) for each in (x, unseen)]
    encoder = table.encoder(named[0], y)
    found = trees.fit(encoder.bins(named[0]), y).predict(encoder.bins(named[1]))
    assert np.mean(np.square(found - truths[1])) < 0.2 * truths[1].var()


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 60), st.integers(1, 3))), st.floats(-10, 10))
@settings(deadline=None, max_examples=15)
def test_trees_of_a_constant_are_that_constant(bins: Any, value: float) -> None:
    assert trees.fit(bins, np.full(len(bins), value)).predict(bins) == pytest.approx(value)


def test_what_is_missing_or_new_has_a_bin() -> None:
    known = Table(4, {"a": np.array([1.0, 2.0, 3.0, np.nan])}, {"kind": ["x", "y", "x", ""]})
    encoder = table.encoder(known, np.arange(4.0))
    new = Table(3, {"a": np.array([np.nan, -9.0, 9.0])}, {"kind": ["", "z", "x"]})
    bins = encoder.bins(new)
    assert bins[0].tolist() == [table.MISSING, table.MISSING]
    assert bins[1, 1] == table.MISSING
    assert bins[1, 0] < bins[2, 0]
    assert encoder.strange(new) == {"a": pytest.approx(2 / 3), "kind": pytest.approx(1 / 3)}
    assert encoder.bins(Table(2, {}, {})).tolist() == [[table.MISSING] * 2] * 2


def test_tables_with_other_features_add_up() -> None:
    both = table.concatenate([Table(1, {"a": np.array([1.0])}, {}), Table(1, {}, {"kind": ["x"]})])
    assert (both.n, both.texts["kind"]) == (2, ["", "x"])
    assert both.numbers["a"].tolist() == [1.0, pytest.approx(np.nan, nan_ok=True)]


def test_the_expected_error_is_that_of_the_day_whose_inputs_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "ROUNDS", 40)
    dice = np.random.default_rng(2)
    learned = losses.learn([Sample(day, *uneven(dice, 500)) for day in range(12)])
    held, off = [], []
    for _ in range(40):
        events, errors = uneven(dice, 500, middle=0.7)
        found = losses.of_day(learned, events, 500)
        truth = {"mae": errors.mean(), "rmse": np.sqrt(np.square(errors).mean())}
        held += [found[name].low <= truth[name] <= found[name].high for name in truth]
        off.append(abs(found["mae"].value - truth["mae"]) / abs(learned.mean - truth["mae"]))
    assert 0.8 <= np.mean(held) <= 1
    assert np.mean(off) < 0.35  # of what it would be off without looking at the inputs
    assert learned.strange(events) == []
    assert learned.strange(uneven(dice, 500, middle=6.0)[0]) == ["a"]
