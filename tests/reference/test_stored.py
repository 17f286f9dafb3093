"""A reference of stored predictions is the one that their own events would have made."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from driftline_schemas.spec import FeatureSpec, ModelSpec, Reference
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.reference import stored
from driftline_streams.reference.build import build

from .conftest import MONDAY_MS, Store


def sent(n: int) -> list[dict[str, Any]]:
    dice = np.random.default_rng(1)
    return [
        {
            "timestamp": int(MONDAY_MS + dice.integers(0, 2 * DAY_MS)),
            "latency_ms": None if i % 20 == 0 else float(dice.lognormal(3)),
            **({"status": "error", "prediction": None} if i % 10 == 0 else {"prediction": bool(i % 3)}),
            "score": None if i % 10 == 0 else round(float(dice.random()), 6),
            "features": {
                "distance": None if i % 7 == 0 else float(dice.normal()),
                "carrier": "UA" if i % 4 else "DL",
                "direct": bool(i % 2),
                "__proto__": float(i % 5),
                **({"mixed": "odd"} if i % 9 == 0 else {"mixed": 1.0}),
            },
            "segment": {"origin": ["JFK", "EWR", None][i % 3], "other": "x"},
        }
        for i in range(n)
    ]


SPEC = ModelSpec(model="m", segments=["origin"])


async def drawn(store: Store, spec: ModelSpec = SPEC, begin: int = 0, end: int = 2 * DAY_MS) -> Reference:
    sample = await stored.sample(store.database.query, spec, "1", MONDAY_MS + begin, MONDAY_MS + end)
    return sample.reference("1", source="range", description="")


async def test_all_signals_are_those_of_the_events(store: Store) -> None:
    events = sorted(sent(2_000), key=lambda event: event["timestamp"])
    await store.take(*events)
    await store.take(*[{"version": "2", "features": {"distance": 99.0}}] * 10)
    made = await drawn(store)
    features = [event["features"] for event in events]
    columns = {
        "latency_ms": [event["latency_ms"] for event in events],
        "score": [event["score"] for event in events],
        "prediction": [event["prediction"] for event in events],
        "error_rate": [float(event.get("status") == "error") for event in events],
        **{f"feature:{name}": [each[name] for each in features] for name in ("distance", "carrier", "direct")},
        "feature:__proto__": [each["__proto__"] for each in features],
        "feature:mixed": [each["mixed"] if each["mixed"] == 1 else None for each in features],
    }
    times = np.array([event["timestamp"] for event in events])
    segments = [event["segment"]["origin"] for event in events]
    expected = build(
        "m",
        "1",
        columns,
        n=2_000,
        start_ms=int(times[0]),
        end_ms=int(times[-1]),
        times_ms=times,
        segments={"origin": segments},
    )
    assert (made.n, made.start_ms, made.end_ms, made.source) == (2_000, times[0], times[-1], "range")
    assert set(made.signals) == set(expected.signals)
    for name, profile in expected.signals.items():
        mine = made.signals[name]
        assert (mine.type, mine.edges, mine.counts, mine.categories) == (
            profile.type,
            profile.edges,
            profile.counts,
            profile.categories,
        ), name
        assert mine.moments.sum == pytest.approx(profile.moments.sum), name  # added up in another order
        assert (mine.moments.n, mine.moments.nulls) == (profile.moments.n, profile.moments.nulls), name
    assert {value: piece.n for value, piece in made.segments["origin"].items()} == {
        value: piece.n for value, piece in expected.segments["origin"].items()
    }
    assert made.segments["origin"]["JFK"].bins == expected.segments["origin"]["JFK"].bins


async def test_the_same_events_are_drawn_each_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "MAX_ROWS", 500)
    monkeypatch.setattr(stored, "MIN_ROWS", 500)
    await store.take(*sent(3_000))
    one, other = await drawn(store), await drawn(store)
    assert one == other
    assert 400 < one.n < 600
    assert one.drawn_from == 3_000
    monkeypatch.setattr(stored, "PAGE_VALUES", 600)  # in many pages
    assert (await drawn(store)).signals["score"].counts == one.signals["score"].counts


async def test_of_very_many_events_blocks_are_drawn_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "MAX_ROWS", 500)
    monkeypatch.setattr(stored, "MIN_ROWS", 500)
    monkeypatch.setattr(stored, "SCANNED_ROWS", 2_900)
    await store.take(*sent(3_000))
    assert 400 < (await drawn(store)).n < 600


async def test_only_the_range_counts(store: Store) -> None:
    await store.take(*({"timestamp": MONDAY_MS + hour * 3_600_000, "score": hour / 100} for hour in range(48)))
    made = await drawn(store, begin=10 * 3_600_000, end=20 * 3_600_000)
    assert (made.n, made.signals["score"].moments.min, made.signals["score"].moments.max) == (10, 0.1, 0.19)


async def test_types_are_those_of_the_spec_and_what_is_not_monitored_is_left_out(store: Store) -> None:
    await store.take(*sent(500))
    features = {"__proto__": FeatureSpec(type="categorical"), "mixed": FeatureSpec(type="categorical")}
    secret = {"distance": FeatureSpec(monitor=False), "never": FeatureSpec()}
    made = await drawn(store, ModelSpec(model="m", kind="regression", features={**features, **secret}))
    assert made.signals["feature:__proto__"].categories == {str(i): 100 for i in range(5)}
    assert made.signals["feature:mixed"].categories == {"1": 444, "odd": 56}
    assert set(made.signals) == {"feature:__proto__", "feature:mixed", "score", "latency_ms", "error_rate"}


async def test_without_events_there_is_nothing_to_build_from(store: Store) -> None:
    with pytest.raises(ValueError, match="would be of no events"):
        await drawn(store)


async def test_a_reference_of_stored_events_survives_the_topic(store: Store) -> None:
    await store.take(*sent(200))
    made = await drawn(store)
    assert msgspec.json.decode(msgspec.json.encode(made), type=Reference) == made
