"""Driftline on a stream: the reference that `build` makes, and what `Detect` says about the windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec
import numpy as np

from driftline_schemas.records import Detection, Prediction
from driftline_schemas.spec import DriftRules, ModelSpec, Reference
from driftline_streams.detectors.detect import Detect
from driftline_streams.ingest import Ingest
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Effects
from driftline_streams.reference.build import build

from ...memory_batch import MemoryBatch
from . import sums
from .streams import DAY_MS, ERRORS, Alarm, Stream

Model = tuple[ModelSpec, Reference]

MODEL, PREFIX = "m", "bench"
AT_ONCE = 12  # windows: a backlog is read in batches of an hour
EVENTS_AT_ONCE = 5_000


def from_windows(stream: Stream, model: Model | None = None, *, rules: DriftRules | None = None) -> list[Alarm]:
    """What is found in the sums of a stream's windows; the reference is built anew unless `model` is given."""
    spec, reference = model or described(stream, rules)
    return alarms(stream, _detect(spec, reference, sums.messages(stream, spec, reference)))


def from_events(stream: Stream, events: Sequence[bytes], model: Model | None = None) -> list[Alarm]:
    """What is found when the events of a stream (see `encoded`) go through `Ingest` first."""
    spec, reference = model or described(stream)
    ingest = Ingest(_catalog(spec, reference), PREFIX)
    now_ms = int(stream.time_ms[-1]) + DAY_MS
    batches = (
        MemoryBatch(events[first : first + EVENTS_AT_ONCE], first, sums.TOPIC)
        for first in range(0, len(events), EVENTS_AT_ONCE)
    )
    partials = (
        message.value or b""
        for batch in batches
        for message in ingest(batch, now_ms).effects.messages
        if message.topic.endswith("partials")
    )
    return alarms(stream, _detect(spec, reference, partials, at_once=1))


def described(stream: Stream, rules: DriftRules | None = None) -> Model:
    """The default spec, and the reference that follows from what came before the stream."""
    columns = {f"feature:{name}": column for name, column in stream.reference.items() if name != ERRORS}
    reference = build(
        MODEL,
        sums.VERSION,
        columns,
        n=len(next(iter(columns.values()))),
        start_ms=int(stream.time_ms[0]) - 30 * DAY_MS,
        end_ms=int(stream.time_ms[0]),
        times_ms=stream.reference_ms if len(stream.reference_ms) else None,
    )
    return ModelSpec(model=MODEL, drift=rules or DriftRules()), reference


def encoded(stream: Stream) -> list[bytes]:
    """The events of a stream as a model's server would send them, in JSON."""
    names = list(stream.columns)
    columns = [
        [None if value != value else value for value in column.tolist()]  # noqa: PLR0124 - NaN
        for column in stream.columns.values()
    ]
    encode = msgspec.json.Encoder().encode
    return [
        encode(
            Prediction(
                prediction_id=f"{number:09}",
                model=MODEL,
                version=sums.VERSION,
                timestamp=at_ms,
                prediction="yes",
                features=dict(zip(names, values, strict=True)),
            )
        )
        for number, (at_ms, *values) in enumerate(zip(stream.time_ms.tolist(), *columns, strict=True))
    ]


def alarms(stream: Stream, found: Iterable[Detection]) -> list[Alarm]:
    """Each finding once, when the window that it was found in had been read; what is no feature is the errors."""
    first = {each.id: each for each in reversed(list(found))}.values()
    at = np.searchsorted(stream.time_ms, [each.end_ms for each in first]).tolist()
    said = [
        Alarm(
            place, each.signal.removeprefix("feature:") if each.signal.startswith("feature:") else ERRORS, each.method
        )
        for place, each in zip(at, first, strict=True)
    ]
    return sorted(said)


def _catalog(spec: ModelSpec, reference: Reference) -> Catalog:
    catalog = Catalog()
    catalog.update(spec)
    catalog.update(reference)
    return catalog


def _detect(
    spec: ModelSpec, reference: Reference, messages: Iterable[bytes], at_once: int = AT_ONCE
) -> Iterator[Detection]:
    detect, state = Detect(_catalog(spec, reference), PREFIX, lateness_ms=0), dict[str, bytes]()
    following = iter(messages)
    while batch := list(islice(following, at_once)):
        yield from _detections(detect(batch, state, 0))


def _detections(effects: Effects) -> Iterator[Detection]:
    for message in effects.messages:
        if message.topic.endswith("detections"):
            yield msgspec.json.decode(message.value or b"", type=Detection)
