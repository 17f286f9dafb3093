"""What the memory of recent predictions promises: the first of equal ids, stated bounds, every field as it came."""

from __future__ import annotations

import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline_streams.kernel.effects import Coded, Column, Rows
from driftline_streams.outcomes import recent as recent_module
from driftline_streams.outcomes.recent import Recent

from .conftest import predictions

KEYS = st.tuples(st.sampled_from(["m", "k"]), st.integers(0, 8).map(str))
ALL = [(model, str(i)) for model in ("m", "k") for i in range(9)]


def find(recent: Recent, model: str, prediction_id: str) -> dict[str, Any] | None:
    """The fields of one prediction."""
    rows, served = recent.find([model], [prediction_id])
    return {name: column[0] for name, column in served._asdict().items()} if len(rows) else None


@given(
    st.lists(st.tuples(st.lists(KEYS, min_size=1, max_size=6), st.booleans()), max_size=16),
    st.integers(1, 30),
)
def test_it_finds_what_the_kept_batches_held_first(
    batches: list[tuple[list[tuple[str, str]], bool]], max_events: int
) -> None:
    recent = Recent(max_events=max_events)
    for number, (batch, asked) in enumerate(batches):
        rows = [{"prediction_id": i, "model": m, "version": f"{number}.{row}"} for row, (m, i) in enumerate(batch)]
        recent.remember(predictions(0, *rows))
        kept = number + 1
        while kept and sum(len(b) for b, _ in batches[kept - 1 : number + 1]) <= max_events:
            kept -= 1
        here = list(enumerate(batches))[kept : number + 1]
        assert len(recent) == sum(len(b) for _, (b, _) in here)
        if asked or number + 1 == len(batches):
            first: dict[tuple[str, str], str] = {}
            for n, (held, _) in here:
                for row, key in enumerate(held):
                    first.setdefault(key, f"{n}.{row}")
            found, served = recent.find([model for model, _ in ALL], [i for _, i in ALL])
            assert {ALL[row]: version for row, version in zip(found, served.version, strict=True)} == first


def test_an_id_is_not_taken_for_another_with_the_same_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_module, "hashes", lambda models, ids: np.zeros(len(ids), np.int64))
    recent = Recent()
    recent.remember(predictions(0, {"prediction_id": "a"}, {"prediction_id": "b"}))
    rows, served = recent.find(["m", "m", "k"], ["a", "b", "a"])
    assert (rows.tolist(), served.n) == ([0], 1)  # the join asks elsewhere for b


def test_every_field_comes_back_as_it_went_in() -> None:
    recent = Recent()
    recent.remember(
        predictions(
            0,
            {"prediction_id": "a", "segment": {"x": "1"}},
            {
                "prediction_id": "b",
                "model": "k",
                "version": "2",
                "timestamp": 7,
                "status": "error",
                "prediction": "3",
                "prediction_value": 3.0,
                "score": np.nan,
                "role": "shadow",
                "request_id": "r",
                "segment": {"x": "2", "y": "3"},
                "confidence": 0.5,
                "probabilities": {"3": 0.5, "4": 0.25},
            },
        )
    )
    found = find(recent, "k", "b")
    assert found is not None
    assert np.isnan(found.pop("score"))
    assert found == {
        "version": "2",
        "timestamp_ms": 7,
        "answered": False,
        "prediction": "3",
        "prediction_value": 3.0,
        "confidence": 0.5,
        "role": "shadow",
        "request_id": "r",
        "segment": {"x": "2", "y": "3"},
        "probabilities": {"3": 0.5, "4": 0.25},
    }
    assert find(recent, "m", "b") is None
    assert (recent.hits, recent.misses) == (1, 1)


def test_rows_that_name_few_columns_hold_the_defaults_of_the_rest() -> None:
    recent = Recent()
    columns: dict[str, Column] = {
        "prediction_id": ["a"],
        "model": Coded.constant("m", 1),
        "timestamp": np.array([5], np.int64),
    }
    recent.remember(Rows("predictions", 1, columns))
    found = find(recent, "m", "a")
    assert found is not None
    assert (found["answered"], found["role"], found["prediction"]) == (True, "champion", "")
    assert (found["segment"], found["probabilities"]) == ({}, {})


@pytest.mark.parametrize("asked", [False, True])
def test_memory_stays_within_its_bound_and_the_estimate_near_the_truth(asked: bool) -> None:
    recent = Recent(max_bytes=4_000_000)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for batch in range(70):
            rows = [
                {"prediction_id": f"{batch:012x}7{i:019x}", "request_id": f"request {batch} {i}", "segment": {"x": "y"}}
                for i in range(1000)
            ]
            recent.remember(predictions(0, *rows))
            if asked:
                assert find(recent, "m", f"{batch:012x}7{0:019x}")
        del rows
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert recent.nbytes <= 4_000_000
    assert recent.evicted > 0
    assert 0.67 < used / recent.nbytes < 1.34


def test_a_batch_of_one_event_is_estimated_as_well() -> None:
    recent = Recent(max_bytes=1_000_000)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for i in range(400):
            recent.remember(predictions(0, {"prediction_id": f"{i:032x}", "segment": {"x": "y"}}))
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert recent.evicted > 0
    assert 0.67 < used / recent.nbytes < 1.34


def test_a_batch_that_is_larger_than_the_bound_is_not_kept() -> None:
    recent = Recent(max_events=2)
    recent.remember(predictions(0, *({"prediction_id": i} for i in "abc")))
    assert (len(recent), recent.nbytes, recent.evicted) == (0, 0, 3)
    assert find(recent, "m", "a") is None


def test_what_the_columns_of_a_batch_are_views_of_is_not_kept() -> None:
    matrix = np.zeros((3, 1000))
    whole = weakref.ref(matrix)
    rows = predictions(0, *({"prediction_id": i} for i in "abc"))
    columns = {**rows.columns, "score": matrix[:, 7], "timestamp": matrix.view(np.int64)[:, 8]}
    recent = Recent()
    recent.remember(Rows(rows.table, rows.n, columns))
    del rows, columns, matrix
    assert whole() is None
    assert len(recent) == 3
