"""Events, specs and references as hypothesis draws them: few names and times, so that cells fill up."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from hypothesis import strategies as st

from driftline_schemas.records import Moments
from driftline_schemas.spec import FeatureSpec, ModelSpec, Profile, Reference
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.histogram import bin_index, edges

from .batches import NOW_MS

FEATURES = ("amount", "carrier", "flag", "mixed")
SEGMENTS = ("country", "channel")

NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 2.5, -3.0, 1e200, -1e308]) | st.floats(-1e6, 1e6)
TEXTS = st.sampled_from(["", "a", "b", "1", "true", "other", "\x1eother", "ünï"])
SCALARS = st.none() | NUMBERS | TEXTS | st.booleans()
PROBABILITIES = st.none() | st.floats(0, 1)
TYPES: st.SearchStrategy[Literal["numeric", "categorical"] | None] = st.sampled_from([None, "numeric", "categorical"])
MOMENTS = Moments(0, 0, 0.0, 0.0, 0.0, 0.0)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """One valid event."""
    failed = draw(st.booleans())
    event: dict[str, Any] = {
        "prediction_id": draw(st.sampled_from(["p1", "p2", "p3"])),
        "model": draw(st.sampled_from(["m", "n", "r"])),
        "version": draw(st.sampled_from(["1", "2"])),
        "timestamp": NOW_MS - draw(st.integers(0, 60_000) | st.integers(0, 10**10)),
        "status": "error" if failed else "ok",
        "prediction": None if failed else draw(NUMBERS | TEXTS | st.booleans()),
        "latency_ms": draw(st.none() | st.just(0) | st.floats(1e-9, 1e9)),
        "score": draw(PROBABILITIES),
        "confidence": draw(PROBABILITIES),
        "features": draw(st.dictionaries(st.sampled_from(FEATURES), SCALARS)),
        "probabilities": draw(st.sampled_from([None, {}, {"a": 1.0}, {"a": 0.5, "b": 0.4999}, {"a": 0.5, "b": 0.4}])),
        "segment": draw(st.dictionaries(st.sampled_from((*SEGMENTS, "unasked")), st.none() | TEXTS)),
    }
    optional = ("latency_ms", "score", "confidence", "features", "segment", "prediction", "probabilities")
    return {name: value for name, value in event.items() if name not in optional or value or draw(st.booleans())} | (
        {} if failed else {"prediction": event["prediction"]}
    )


BATCHES = st.lists(events(), min_size=1, max_size=40)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Specs for some models, and references for some of their versions."""
    known = Catalog()
    for model in sorted(draw(st.sets(st.sampled_from(["m", "n", "r"])))):
        described = draw(st.sets(st.sampled_from(FEATURES)))
        known.update(
            ModelSpec(
                model=model,
                kind="regression" if model == "r" else draw(st.sampled_from(["binary", "multiclass"])),
                segments=sorted(draw(st.sets(st.sampled_from(SEGMENTS)))),
                features={
                    name: FeatureSpec(
                        type=draw(TYPES),
                        monitor=draw(st.booleans()),
                        min=draw(st.sampled_from([None, 0.0])),
                        max=draw(st.sampled_from([None, 2.5])),
                    )
                    for name in sorted(described)
                },
                window_s=draw(st.sampled_from([1, 10, 3_600])),
                feature_window_s=draw(st.sampled_from([7, 300, 86_400])),
            )
        )
        if draw(st.booleans()):
            signals = {name: draw(profiles()) for name in ("score", "prediction", "feature:amount", "feature:mixed")}
            known.update(
                Reference(id="r1", model=model, version="1", n=1, start_ms=0, end_ms=1, description="", signals=signals)
            )
    return known


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """A reference of one signal."""
    if draw(st.booleans()):
        return Profile(type="categorical", moments=MOMENTS, categories={"a": 1, "1": 2})
    values = draw(st.lists(st.floats(-10, 10), min_size=1, max_size=100))
    found = edges(values)
    counts = np.bincount(bin_index(values, found), minlength=len(found) + 1)
    return Profile(type="numeric", moments=MOMENTS, edges=found.tolist(), counts=counts.tolist())
