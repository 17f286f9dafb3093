"""What the typed decoder promises: it is faster, and nobody can tell."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline_streams.ingest import Ingest, IngestResult
from driftline_streams.ingest.decode import decode
from driftline_streams.ingest.event import Event
from driftline_streams.ingest.typed import MAX_MODELS, Learner
from driftline_streams.kernel.catalog import Catalog

from .batches import NOW_MS, batch_of, event, partials_of, rejects_of, rows_of
from .strategies import catalogs, events
from .test_accounting import nearly_events


def learned(*shapes: dict[str, Any]) -> Learner:
    """A learner that has seen enough of each of these events."""
    learner = Learner()
    learner.learn(decode(batch_of(*shapes * 60).values()).events)
    return learner


def what_follows(result: IngestResult) -> str:
    """All effects and counts, in an order that does not depend on that of names within an event."""
    rows = {table: rows_of(result, table) for table in ("predictions", "windows", "features", "rejected")}
    partials = [msgspec.to_builtins(partial) for partial in partials_of(result)]
    counts = (result.stored, result.rejected, result.unknown_fields, result.models, result.dropped_features)
    return repr(_sorted([rows, partials, rejects_of(result), counts]))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=60, deadline=None)
@given(
    events(),
    events(),
    st.lists(nearly_events() | events().map(msgspec.json.encode), min_size=1, max_size=12),
    catalogs(),
)
def test_a_stage_that_has_learned_shapes_does_the_same_as_one_that_has_not(
    first: dict[str, Any], second: dict[str, Any], messages: list[bytes], catalog: Catalog
) -> None:
    stage = Ingest(catalog, "driftline")
    stage(batch_of(*[first, second] * 60), NOW_MS)
    batch = batch_of(*messages, first, second)
    assert what_follows(stage(batch, NOW_MS)) == what_follows(Ingest(catalog, "driftline")(batch, NOW_MS))


def test_events_of_a_learned_shape_are_read_by_it() -> None:
    shape = event(features={"a b": 1.0, "c": "x", "d": True, "e": None}, segment={"country": "DE"})
    learner = learned(shape)
    assert learner.decode is not None
    found = learner.decode(msgspec.json.encode(shape | {"prediction_id": "p2"}))
    assert isinstance(found.features, msgspec.Struct)
    assert msgspec.structs.astuple(found.features) == (1.0, "x", True, None)
    assert (found.model, found.prediction_id) == ("delays", "p2")


@pytest.mark.parametrize(
    "other",
    [
        event(model="unknown", features={"a": 1.0}),
        event(features={}),
        event(features={"a": 1.0, "b": 2.0}),
        event(features={"a": "x"}),
        event(features={"a": True}),
        event(features={"a": 1.0}, segment={"country": "DE"}),
        event(features={"a": 1.0}, odd=1),
    ],
)
def test_events_of_another_shape_are_read_the_general_way(other: dict[str, Any]) -> None:
    learner = learned(event(features={"a": 1.0}))
    read = decode(batch_of(other, event(features={"a": 2.0}), other).values(), 0, learner.decode)
    assert [type(found.features) is dict for found in read.events] == [True, False, True]
    assert read.refused == []


def test_a_model_that_changes_its_shape_is_learned_anew_and_one_that_never_settles_is_left() -> None:
    learner = learned(event(features={"a": 1.0}))
    for name in "bc":
        events = decode(batch_of(*[event(features={name: 1.0})] * 60).values(), 0, learner.decode).events
        assert all(type(found.features) is dict for found in events)
        learner.learn(events)
        (found,) = decode(batch_of(event(features={name: 1.0})).values(), 0, learner.decode).events
        assert type(found.features) is not dict
    learner.learn(decode(batch_of(*[event(features={"d": 1.0})] * 60).values(), 0, learner.decode).events)
    assert learner.decode is None, "three shapes are enough: it rests instead"


def test_a_decoder_that_mostly_fails_rests() -> None:
    learner = learned(event(features={"a": 1.0}))
    mixed = [Event(prediction_id="p", model=f"m{i}", version="1", timestamp=NOW_MS) for i in range(100)]
    learner.learn(mixed)
    assert learner.decode is None


def test_no_more_models_are_learned_than_stated() -> None:
    learner = learned(*(event(model=f"m{i}", features={"a": 1.0}) for i in range(MAX_MODELS + 1)))
    batch = batch_of(*(event(model=f"m{i}", features={"a": 1.0}) for i in range(MAX_MODELS + 1)))
    read = decode(batch.values(), 0, learner.decode).events
    assert sum(type(found.features) is dict for found in read) == 1
