"""Who takes part, and over how many events: those who are slow get fewer, over the same span of event time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from . import ours, programs
from .course import Course, Run


@dataclass(frozen=True, slots=True)
class Contestant:
    """One line of the report."""

    key: str  # of its figures
    title: str
    does: str
    run: Callable[[Course, int], Run]
    share: float = 1.0  # of the events


LIMIT, OURS = "limit.typed", "driftline"

FIELD = [
    Contestant(
        LIMIT,
        "limit",
        "librdkafka `consume(10_000)`, msgspec into Structs that know each model's fields; nothing else",
        partial(programs.run, name="limit", variant="typed"),
    ),
    Contestant(
        "limit.generic",
        "limit for any model",
        "the same with one Struct whose features are a dict",
        partial(programs.run, name="limit", variant="generic"),
    ),
    Contestant(
        OURS,
        "**Driftline, everything on**",
        "validation, raw rows, windows with sketches, feature histograms, slices by two segments, partials, detectors",
        ours.run,
    ),
    Contestant(
        "driftline.frames_100",
        "**Driftline, frames of 100**",
        "the same, from column frames of up to 100 events of one model version",
        partial(ours.run, frame_events=100),
    ),
    Contestant(
        "driftline.frames_1000",
        "**Driftline, frames of 1,000**",
        "the same, from column frames of up to 1,000 events of one model version",
        partial(ours.run, frame_events=1_000),
    ),
    Contestant(
        "handwritten.typed",
        "hand-written loop, three known models",
        "confluent-kafka, msgspec, numpy: windows with sketches and feature means",
        partial(programs.run, name="handwritten", variant="typed"),
    ),
    Contestant(
        "handwritten.generic",
        "hand-written loop, any model",
        "the same with features as a dict",
        partial(programs.run, name="handwritten", variant="generic"),
    ),
    Contestant(
        "bytewax.chunks",
        "Bytewax, numpy on chunks",
        "the same sums of each batch of its source with numpy, merged by `fold_window`",
        partial(programs.run, name="bytewax", variant="chunks", environment="bytewax"),
    ),
    Contestant(
        "bytewax.windows",
        "Bytewax, as documented",
        "`fold_window` on an `EventClock` that waits 10 s, one event at a time: sketch and feature means",
        partial(programs.run, name="bytewax", variant="windows", environment="bytewax"),
        share=0.25,
    ),
    Contestant(
        "quix.dict",
        "Quix Streams, own dict",
        "`sdf.update` into a dict: sketch and feature means; nothing survives a restart",
        partial(programs.run, name="quix", variant="dict", environment="quix"),
        share=0.25,
    ),
    Contestant(
        "quix.windows",
        "Quix Streams, as documented",
        "`tumbling_window().agg(…).final()`: sketch as a custom aggregator, feature means; topic keyed by model",
        partial(programs.run, name="quix", variant="windows", environment="quix", keyed=True),
        share=0.05,
    ),
    Contestant(
        "faust.dict",
        "stock Faust, own dict",
        "an agent, one event at a time: counts, errors, sum and maximum of latencies; nothing survives a restart",
        partial(programs.run, name="stock_faust", variant="dict"),
        share=0.1,
    ),
    Contestant(
        "faust.table",
        "stock Faust, as documented",
        "the same in a tumbling table relative to the event's timestamp",
        partial(programs.run, name="stock_faust", variant="table"),
        share=0.02,
    ),
]
