"""A batch of label messages, read: truths to be joined, rows to be kept, and what could not be used.

In the walk: the first step of `join`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from driftline_schemas.records import Label, Reason
from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.catalog import Catalog, class_name
from driftline_streams.kernel.clock import to_ms
from driftline_streams.kernel.decoding import decode_all, out_of_time
from driftline_streams.kernel.effects import Coded, Rows
from driftline_streams.kernel.limits import EARLIEST_MS, FUTURE_MS
from driftline_streams.kernel.refused import Reject
from driftline_streams.outcomes.truth import Truths, trust

_DECODER = msgspec.json.Decoder(Label)

# How a missing value looks that was made text on its way; no class is called so.
_NOT_A_NUMBER = frozenset({"NaN", "nan", "NAN"})

Problem = tuple[Reason, str]


def read(
    values: Sequence[bytes | None],
    offsets: Sequence[int],
    *,
    topic: str,
    partition: int,
    catalog: Catalog,
    now_ms: int,
) -> tuple[Truths, list[Reject]]:
    """The labels of one batch in order, and the rejects in order."""
    labels, indices, rejects = decode_all(_DECODER, values)
    problems = _problems(labels, catalog, now_ms)
    if problems:
        rejects += [Reject(indices[i], *problem) for i, problem in problems.items()]
        rejects.sort(key=lambda reject: reject.index)
        good = [i for i in range(len(labels)) if i not in problems]
        labels, indices = [labels[i] for i in good], [indices[i] for i in good]
    n = len(labels)
    models, sources = [label.model for label in labels], [label.source or "" for label in labels]
    trusted = {
        pair: trust(pair[1], catalog.spec(pair[0]).label_sources) for pair in set(zip(models, sources, strict=True))
    }
    told = [label.label for label in labels]
    columns: dict[str, list[Any]] = {
        "model": models,
        "prediction_id": [label.prediction_id for label in labels],
        "label": [value if type(value) is str else class_name(value) for value in told],
        "value": [value if type(value) is float else math.nan for value in told],
        "timestamp_ms": _times_ms(labels),
        "weight": [label.weight for label in labels],
        "source": sources,
        "trust": [trusted[pair] for pair in zip(models, sources, strict=True)],
        "position": [label.position for label in labels],  # `None` becomes NaN
        "topic": [topic] * n,
        "partition": [partition] * n,
        "offset": [offsets[index] for index in indices],
        "ingested_ms": [now_ms] * n,
    }
    return Truths.by_column(columns), rejects


def rows(truths: Truths, topic: str, partition: int) -> Rows:
    """What is kept of the labels of one batch, in the table `labels`."""
    n = truths.n
    return Rows(
        "labels",
        n,
        {
            "prediction_id": truths.prediction_id,
            "model": truths.model,
            "label": truths.label,
            "label_value": truths.value,
            "timestamp": truths.timestamp_ms,
            "weight": truths.weight,
            "source": truths.source,
            "trust": truths.trust,
            "position": truths.position,  # NaN is NULL
            "topic": Coded.constant(topic, n),
            "partition": np.full(n, partition, np.uint32),
            "offset": truths.offset.view(np.uint64),
            "ingested_at": truths.ingested_ms,
        },
    )


def _problems(labels: Sequence[Label], catalog: Catalog, now_ms: int) -> dict[int, Problem]:
    """What is wrong with labels that could be read, by index; nearly always nothing, which costs little to see."""
    times_ms, told = _times_ms(labels), [label.label for label in labels]
    sorts = [(label.model, type(label.label), label.position is None) for label in labels]
    described = catalog.described()
    unfit = {sort: _unfit(catalog.spec(sort[0]), *sort[1:]) if sort[0] in described else None for sort in set(sorts)}
    kinds = {kind for _, kind, _ in unfit}
    binary = {model for model in {sort[0] for sort in unfit} & described if catalog.spec(model).kind == "binary"}
    if (
        not any(unfit.values())
        and EARLIEST_MS <= min(times_ms, default=now_ms) <= max(times_ms, default=now_ms) <= now_ms + FUTURE_MS
        and not (str in kinds and not _NOT_A_NUMBER.isdisjoint(told))
        and "\0" not in "".join([label.prediction_id for label in labels])
        and not any("\0" in sort[0] for sort in unfit)
        and not (binary and float in kinds and any(value % 1 for value in told if type(value) is float))
    ):
        return {}
    problems: dict[int, Problem] = {}
    for i, (label, time_ms, sort) in enumerate(zip(labels, times_ms, sorts, strict=True)):
        value = label.label
        late = out_of_time(time_ms, now_ms)
        if late is not None:
            problems[i] = Reason.TIMESTAMP_OUT_OF_RANGE, f"timestamp {late}"
        elif (wrong := unfit.get(sort)) is not None:
            problems[i] = Reason.WRONG_KIND, wrong
        elif type(value) is float and label.model in binary and value % 1:
            problems[i] = Reason.WRONG_KIND, f"the spec of {label.model} says binary: {value} is no class"
        elif type(value) is str and value in _NOT_A_NUMBER:
            problems[i] = Reason.OUT_OF_RANGE, f"{value} is no label: send one when the truth is known"
        elif "\0" in label.prediction_id or "\0" in label.model:
            problems[i] = Reason.OUT_OF_RANGE, "prediction_id and model must not contain NUL characters"
    return problems


def _times_ms(labels: Sequence[Label]) -> list[int]:
    times = [label.timestamp for label in labels]
    return [time if type(time) is int else to_ms(time) for time in times]


def _unfit(spec: ModelSpec, kind: type, unplaced: bool) -> str | None:
    """Why no label of this kind, with or without (`unplaced`) a position, can be one of the model; `None` if it can."""
    said = f"the spec of {spec.model} says {spec.kind}"
    name = {str: "a string", bool: "a boolean", float: "a number"}[kind]
    if spec.kind == "regression" and kind is not float:
        return f"{said}: expected a number as label, got {name}"
    if spec.kind == "ranking" and kind is str:
        return f"{said}: expected true, false or a grade as label, got {name}"
    if spec.kind != "ranking" and not unplaced:
        return f"{said}: only what a ranking model put into a list has a position"
    return None
