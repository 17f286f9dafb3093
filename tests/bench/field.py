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
]
