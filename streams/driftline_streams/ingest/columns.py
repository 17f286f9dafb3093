"""The events of a batch as columns, and what the catalog says of the model versions among them.

In the walk: made once a batch; raw rows, windows and features are all computed from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.ingest.entries import Entries, entries_of
from driftline_streams.ingest.event import Event
from driftline_streams.ingest.values import Texts, Values
from driftline_streams.kernel.catalog import Catalog, class_name
from driftline_streams.kernel.histogram import Floats, Ints


@dataclass(frozen=True, slots=True)
class Version:
    """One model version of a batch, as the catalog knows it."""

    model: str
    name: str
    spec: ModelSpec
    reference: Reference | None


@dataclass(frozen=True, slots=True)
class Columns:
    """`n` events by field; every array has shape `(n,)`, missing numbers are NaN, unit and meaning as in `Prediction`.

    `version` is an index into `versions`; `label` is the predicted class as text (none when the model failed), `value`
    the predicted number.
    """

    events: Sequence[Event]
    n: int
    versions: list[Version]
    version: Ints
    time_ms: Ints
    failed: npt.NDArray[np.bool_]
    latency_ms: Floats
    score: Floats
    confidence: Floats
    label: Texts
    value: Floats
    features: Entries
    segment: Entries

    @classmethod
    def of(cls, events: Sequence[Event], time_ms: Ints, catalog: Catalog) -> Columns:
        """The columns of `events`, which happened at `time_ms` (shape `(n,)`)."""
        pairs = [(event.model, event.version) for event in events]
        places = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        predictions = Values.of([event.prediction for event in events])
        return cls(
            events=events,
            n=len(events),
            versions=[Version(m, v, catalog.spec(m), catalog.reference(m, v)) for m, v in places],
            version=np.fromiter(map(places.__getitem__, pairs), np.int64, len(pairs)),
            time_ms=time_ms,
            failed=np.fromiter((event.status == "error" for event in events), np.bool_, len(events)),
            latency_ms=np.array([event.latency_ms for event in events], np.float64),  # None becomes NaN
            score=np.array([event.score for event in events], np.float64),
            confidence=np.array([event.confidence for event in events], np.float64),
            label=named(predictions),
            value=predictions.number,
            features=entries_of([event.features for event in events]),
            segment=entries_of([event.segment for event in events]),
        )


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
