"""The year as it happened: predictions and truths as records, in the order of their time.

In the walk: what model servers and label sources would have published.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from driftline_schemas.records import Label, Prediction
from driftline_streams.demo.features import CATEGORIES, NUMBERS
from driftline_streams.demo.scores import MODEL

CHUNK = 10_000  # rows that are Python objects at a time
SOURCE = "landings"


def count(table: pa.Table) -> tuple[int, int]:
    """How many predictions and labels `in_order` gives for the table of `Scored`."""
    return len(table), int(np.count_nonzero(table["label_ms"].to_numpy()))


def in_order(table: pa.Table) -> Iterator[Prediction | Label]:
    """All events of the table of `Scored`, by event time; each prediction whose flight landed has one label."""
    landed = np.flatnonzero(table["label_ms"].to_numpy())
    label_ms = table["label_ms"].to_numpy()[landed]
    by_time = np.argsort(label_ms, kind="stable")
    truths = _labels(table.take(pa.array(landed[by_time])))
    answers = _predictions(table)
    # At equal times predictions come first: stable, and they stand first.
    times = np.concatenate([table["timestamp_ms"].to_numpy(), label_ms[by_time]])
    is_label = (np.argsort(times, kind="stable") >= len(table)).tolist()
    for label in is_label:
        yield next(truths) if label else next(answers)


def _predictions(table: pa.Table) -> Iterator[Prediction]:
    names = (*CATEGORIES, *NUMBERS)
    fixed = ("request_id", "version", "role", "timestamp_ms", "latency_ms", "score", "prediction")
    for columns in _chunks(table, (*fixed, *names)):
        features = [dict(zip(names, row, strict=True)) for row in zip(*columns[len(fixed) :], strict=True)]
        for request_id, version, role, at_ms, latency_ms, score, late, feature in zip(
            *columns[: len(fixed)], features, strict=True
        ):
            yield Prediction(
                prediction_id=f"{request_id}-{version}",
                model=MODEL,
                version=version,
                timestamp=at_ms,
                latency_ms=latency_ms,
                prediction=late,
                score=score,
                confidence=score if score >= 0.5 else round(1 - score, 6),
                features=feature,
                segment={"origin": feature["origin"], "carrier": feature["carrier"]},
                role=role,
                request_id=request_id,
            )


def _labels(table: pa.Table) -> Iterator[Label]:
    for columns in _chunks(table, ("request_id", "version", "label_ms", "label")):
        for request_id, version, at_ms, late in zip(*columns, strict=True):
            yield Label(
                prediction_id=f"{request_id}-{version}", model=MODEL, label=late, timestamp=at_ms, source=SOURCE
            )


def _chunks(table: pa.Table, names: tuple[str, ...]) -> Iterator[list[list[object]]]:
    for batch in table.select(names).to_batches(max_chunksize=CHUNK):
        yield [column.to_pylist() for column in batch.columns]
