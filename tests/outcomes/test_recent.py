"""What the memory of recent predictions promises: the first of equal ids, stated bounds, every field as it came."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftline_streams.kernel.effects import Coded, Column, Rows
from driftline_streams.outcomes.recent import Recent

from .conftest import predictions

KEYS = st.tuples(st.sampled_from(["m", "k"]), st.integers(0, 8).map(str))


@given(st.lists(st.lists(KEYS, min_size=1, max_size=6), max_size=12), st.integers(1, 30))
def test_it_finds_what_the_kept_batches_held_first(batches: list[list[tuple[str, str]]], max_events: int) -> None:
    recent = Recent(max_events=max_events)
    kept: list[list[tuple[str, str, int]]] = []
    for number, batch in enumerate(batches):
        known = {key[:2] for other in kept for key in other}
        # The one that came first stays the one that counts, so a later batch does not own an id that was known.
        kept.append([(*key, number) for key in dict.fromkeys(batch) if key not in known])
        rows = [{"prediction_id": i, "model": m, "version": str(number)} for m, i in batch]
        recent.remember(predictions(0, *rows))
        sizes = [len(b) for b in batches[: number + 1]]
        while sum(sizes[number + 1 - len(kept) :]) > max_events:
            kept.pop(0)
        assert len(recent) == sum(sizes[number + 1 - len(kept) :])
    owned = {(m, i): str(number) for other in kept for m, i, number in other}
    for model in ("m", "k"):
        for i in map(str, range(9)):
            found = recent.find(model, i)
            assert (found.version if found else None) == owned.get((model, i))


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
            },
        )
    )
    found = recent.find("k", "b")
    assert found is not None
    assert (found.version, found.timestamp_ms, found.answered, found.prediction) == ("2", 7, False, "3")
    assert (found.prediction_value, found.role, found.request_id) == (3.0, "shadow", "r")
    assert np.isnan(found.score)
    assert found.segment == {"x": "2", "y": "3"}
    assert recent.find("m", "b") is None
    assert (recent.hits, recent.misses) == (1, 1)


def test_rows_that_name_few_columns_hold_the_defaults_of_the_rest() -> None:
    recent = Recent()
    columns: dict[str, Column] = {
        "prediction_id": ["a"],
        "model": Coded.constant("m", 1),
        "timestamp": np.array([5], np.int64),
    }
    recent.remember(Rows("predictions", 1, columns))
    found = recent.find("m", "a")
    assert found is not None
    assert (found.answered, found.role, found.prediction, found.segment) == (True, "champion", "", {})


def test_memory_stays_within_its_bound_and_the_estimate_near_the_truth() -> None:
    recent = Recent(max_bytes=4_000_000)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for batch in range(40):
            rows = [
                {"prediction_id": f"{batch:012x}7{i:019x}", "request_id": f"request {batch} {i}", "segment": {"x": "y"}}
                for i in range(1000)
            ]
            recent.remember(predictions(0, *rows))
        del rows
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert recent.nbytes <= 4_000_000
    assert recent.evicted > 0
    assert 0.67 < used / recent.nbytes < 1.34
