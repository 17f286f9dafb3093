"""The events of a batch as columns, and what the catalog says of the model versions among them.

In the walk: made by `read`, some events at a time, and joined; raw rows, windows and features are all computed from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
from msgspec import Raw

from driftline_schemas.records import PredictionError
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.ingest.decode import Admitted
from driftline_streams.ingest.entries import Labels, Numbers, entries_of
from driftline_streams.ingest.event import NO_CONTEXT, OPTIONAL_TEXTS, Event
from driftline_streams.ingest.values import NO_TEXT, Texts, Values
from driftline_streams.kernel.catalog import Catalog, class_name
from driftline_streams.kernel.histogram import Floats, Ints


@dataclass(frozen=True, slots=True)
class Version:
    """One model version of a batch, as the catalog knows it."""

    model: str
    name: str
    spec: ModelSpec
    reference: Reference | None

    @classmethod
    def of(cls, model: str, name: str, catalog: Catalog) -> Version:
        """What the catalog says of a version."""
        return cls(model, name, catalog.spec(model), catalog.reference(model, name))


@dataclass(frozen=True, slots=True)
class Columns:
    """`n` events by field; every array has shape `(n,)`, missing numbers are NaN, unit and meaning as in `Prediction`.

    `version` is an index into `versions`; `label` is the predicted class as text (none when the model failed), `value`
    the predicted number.
    """

    n: int
    index: Ints  # which message of the batch each was in
    position: npt.NDArray[np.uint32]  # where in that message
    frame_size: npt.NDArray[np.uint32]  # of how many
    versions: list[Version]
    version: Ints
    time_ms: Ints
    failed: npt.NDArray[np.bool_]
    latency_ms: Floats
    score: Floats
    confidence: Floats
    label: Texts
    value: Floats
    numbers: Numbers  # features that are numbers, and nulls that may be
    labels: Labels  # features that are texts
    segment: Labels
    probabilities: Numbers
    stored: dict[str, Texts | list[str]]  # texts that nothing is computed from; a field that no event has is not there

    @classmethod
    def of(cls, admitted: Admitted, catalog: Catalog) -> Columns:
        """The columns of the events that were admitted."""
        events = admitted.events
        pairs = [(event.model, event.version) for event in events]
        places = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        predictions = Values.of([event.prediction for event in events])
        numbers, labels = entries_of([event.features for event in events])
        return cls(
            n=len(events),
            index=admitted.index,
            position=np.zeros(len(events), np.uint32),
            frame_size=np.ones(len(events), np.uint32),
            versions=[Version.of(model, name, catalog) for model, name in places],
            version=np.fromiter(map(places.__getitem__, pairs), np.int64, len(pairs)),
            time_ms=admitted.time_ms,
            failed=np.array([event.status == "error" for event in events], np.bool_),
            latency_ms=np.array([event.latency_ms for event in events], np.float64),  # None becomes NaN
            score=np.array([event.score for event in events], np.float64),
            confidence=np.array([event.confidence for event in events], np.float64),
            label=named(predictions),
            value=predictions.number,
            numbers=numbers,
            labels=labels,
            segment=entries_of([event.segment for event in events])[1],
            probabilities=entries_of([event.probabilities or {} for event in events])[0],
            stored=_stored(events),
        )

    @classmethod
    def join(cls, parts: Sequence[Columns]) -> Columns:
        """The events of one part (at least one part) after the other; versions are in order of their names."""
        found = {(version.model, version.name): version for part in parts for version in part.versions}
        versions = dict(sorted(found.items()))
        places = {pair: place for place, pair in enumerate(versions)}
        renumbered = [np.array([places[v.model, v.name] for v in part.versions])[part.version] for part in parts]
        return cls(
            n=sum(part.n for part in parts),
            index=np.concatenate([part.index for part in parts]),
            position=np.concatenate([part.position for part in parts]),
            frame_size=np.concatenate([part.frame_size for part in parts]),
            versions=list(versions.values()),
            version=np.concatenate(renumbered),
            time_ms=np.concatenate([part.time_ms for part in parts]),
            failed=np.concatenate([part.failed for part in parts]),
            latency_ms=np.concatenate([part.latency_ms for part in parts]),
            score=np.concatenate([part.score for part in parts]),
            confidence=np.concatenate([part.confidence for part in parts]),
            label=Texts.join([part.label for part in parts]),
            value=np.concatenate([part.value for part in parts]),
            numbers=Numbers.join([part.numbers for part in parts]),
            labels=Labels.join([part.labels for part in parts]),
            segment=Labels.join([part.segment for part in parts]),
            probabilities=Numbers.join([part.probabilities for part in parts]),
            stored={name: _joined(name, parts) for name in dict.fromkeys(chain.from_iterable(p.stored for p in parts))},
        )

    @property
    def ids(self) -> list[str]:
        """The ids of the predictions."""
        stored = self.stored["prediction_id"]
        return stored if isinstance(stored, list) else [stored.values[code] for code in stored.code.tolist()]

    def take(self, rows: Ints) -> Columns:
        """The events at `rows` (ascending); all versions stay, also those without events."""
        return Columns(
            n=len(rows),
            index=self.index[rows],
            position=self.position[rows],
            frame_size=self.frame_size[rows],
            versions=self.versions,
            version=self.version[rows],
            time_ms=self.time_ms[rows],
            failed=self.failed[rows],
            latency_ms=self.latency_ms[rows],
            score=self.score[rows],
            confidence=self.confidence[rows],
            label=self.label.take(rows),
            value=self.value[rows],
            numbers=self.numbers.take(rows),
            labels=self.labels.take(rows),
            segment=self.segment.take(rows),
            probabilities=self.probabilities.take(rows),
            stored={
                name: column.take(rows) if isinstance(column, Texts) else [column[row] for row in rows.tolist()]
                for name, column in self.stored.items()
            },
        )


def _stored(events: Sequence[Event]) -> dict[str, Texts | list[str]]:
    stored: dict[str, Texts | list[str]] = {
        "prediction_id": [event.prediction_id for event in events],
        "role": Texts.of([event.role for event in events]),
        **errors([event.error for event in events]),
    }
    for name in OPTIONAL_TEXTS:
        texts = [getattr(event, name) or "" for event in events]
        if any(texts):
            stored[name] = texts
    if any(event.context is not NO_CONTEXT for event in events):
        stored["context"] = contexts([event.context for event in events])
    return stored


def errors(given: Sequence[PredictionError | None]) -> dict[str, Texts | list[str]]:
    """What is stored of errors."""
    failed = np.flatnonzero(np.fromiter((error is not None for error in given), np.bool_, len(given)))
    found = [error for error in given if error is not None]
    stored: dict[str, Texts | list[str]] = {}
    for name in ("type", "message"):
        texts = Texts.of([getattr(error, name) for error in found])
        code = np.full(len(given), NO_TEXT)
        code[failed] = texts.code
        stored[f"error_{name}"] = Texts(texts.values, code)
    return stored


def contexts(given: Sequence[Raw]) -> list[str]:
    """The JSON of each context; empty without one."""
    return ["" if context is NO_CONTEXT else str(context, "utf-8") for context in given]


def _joined(name: str, parts: Sequence[Columns]) -> Texts | list[str]:
    columns = [part.stored.get(name, Texts.nothing(part.n)) for part in parts]
    if all(isinstance(column, Texts) for column in columns):
        return Texts.join([column for column in columns if isinstance(column, Texts)])
    return list(chain.from_iterable([""] * len(c.code) if isinstance(c, Texts) else c for c in columns))


def named(values: Values) -> Texts:
    """Every value as a class label: texts as they are, numbers by `class_name`, nulls as none."""
    is_number = ~np.isnan(values.number)
    if not is_number.any():
        return values.text
    numbers, place = np.unique(values.number[is_number] + 0.0, return_inverse=True)  # + 0.0: -0 and 0 are one class
    names = Texts.of([*values.text.values, *map(class_name, numbers.tolist())])
    code = values.text.code.copy()
    code[is_number] = names.code[len(values.text.values) + place]
    return Texts(names.values, code)
