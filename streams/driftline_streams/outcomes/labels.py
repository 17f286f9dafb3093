"""A batch of label messages, read: truths to be joined, rows to be kept, and what could not be used.

In the walk: the first step of `join`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from driftline_schemas.records import Label, Reason
from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.catalog import Catalog, class_name
from driftline_streams.kernel.clock import to_ms
from driftline_streams.kernel.decoding import decode_all, out_of_time
from driftline_streams.kernel.effects import Coded, Rows
from driftline_streams.kernel.refused import Reject
from driftline_streams.outcomes.truth import Truth, trust

_DECODER = msgspec.json.Decoder(Label)


def read(
    values: Sequence[bytes | None],
    offsets: Sequence[int],
    *,
    topic: str,
    partition: int,
    catalog: Catalog,
    now_ms: int,
) -> tuple[list[Truth], Rows, list[Reject]]:
    """The labels of one batch in order, their rows for the table `labels`, and the rejects in order."""
    labels, indices, rejects = decode_all(_DECODER, values)
    specs: dict[str, ModelSpec] = {}
    truths: list[Truth] = []
    for label, index in zip(labels, indices, strict=True):
        model = label.model
        spec = specs.get(model)
        if spec is None:
            spec = specs[model] = catalog.spec(model)
        time_ms = to_ms(label.timestamp)
        wrong = _unusable(label, time_ms, spec, now_ms)
        if wrong is not None:
            rejects.append(Reject(index, *wrong))
            continue
        value, source = label.label, label.source or ""
        truths.append(
            Truth(
                model=model,
                prediction_id=label.prediction_id,
                label=class_name(value),
                value=value if type(value) is float else math.nan,
                timestamp_ms=time_ms,
                weight=label.weight,
                source=source,
                trust=trust(source, spec.label_sources),
                position=label.position,
                topic=topic,
                partition=partition,
                offset=offsets[index],
                ingested_ms=now_ms,
            )
        )
    rejects.sort(key=lambda reject: reject.index)
    return truths, _rows(truths, topic, partition), rejects


def _unusable(label: Label, time_ms: int, spec: ModelSpec, now_ms: int) -> tuple[Reason, str] | None:
    late = out_of_time(time_ms, now_ms)
    if late is not None:
        return Reason.TIMESTAMP_OUT_OF_RANGE, f"timestamp {late}"
    if spec.kind == "regression" and type(label.label) is not float:
        kind = "a string" if isinstance(label.label, str) else "a boolean"
        detail = f"the spec of {spec.model} says regression: expected a number as label, got {kind}"
        return Reason.WRONG_TYPE, detail
    if "\0" in label.prediction_id or "\0" in label.model:
        return Reason.OUT_OF_RANGE, "prediction_id and model must not contain NUL characters"
    return None


def _rows(truths: Sequence[Truth], topic: str, partition: int) -> Rows:
    n = len(truths)
    return Rows(
        "labels",
        n,
        {
            "prediction_id": [truth.prediction_id for truth in truths],
            "model": [truth.model for truth in truths],
            "label": [truth.label for truth in truths],
            "label_value": np.array([truth.value for truth in truths], np.float64),
            "timestamp": np.array([truth.timestamp_ms for truth in truths], np.int64),
            "weight": np.array([truth.weight for truth in truths], np.float64),
            "source": [truth.source for truth in truths],
            "trust": np.array([truth.trust for truth in truths], np.uint16),
            # `None` becomes NaN, which is NULL.
            "position": np.array([truth.position for truth in truths], np.float64),
            "topic": Coded.constant(topic, n),
            "partition": np.full(n, partition, np.uint32),
            "offset": np.array([truth.offset for truth in truths], np.uint64),
            "ingested_at": np.array([truth.ingested_ms for truth in truths], np.int64),
        },
    )
