"""What the tables must hold, worked out from the published events one at a time: slow, plain, and without the pipeline.

A table is a dict from what names a row to its values. Events are the records that were published, not what a decoder
made of them; an offset is the place of a message in its partition. Sums are exact (see `traffic`), so they are compared
as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from .message import Message
from .rows import Table, label, raw
from .sums import features, outliers, windows
from .traffic import Traffic
from .truth import below_limit, join, performance


@dataclass(frozen=True, slots=True)
class Expected:
    """The tables by name, and what becomes of the labels."""

    tables: dict[str, Table]
    labels: dict[str, int]  # by fate, as the ledger counts them
    below_limit: set[tuple[str, str, str]]  # model, version and role whose accuracy breaks its limit


def expect(traffic: Traffic) -> Expected:
    """What must stand in ClickHouse when everything has been read."""
    specs = {spec.model: spec for spec in traffic.specs}
    references = {(reference.model, reference.version): reference for reference in traffic.references}
    predictions = _good(traffic, "predictions")
    labels = _good(traffic, "labels")
    joined = join(predictions.values(), labels, specs)
    judged = performance(predictions.values(), joined.outcomes)
    return Expected(
        tables={
            "predictions": {place: raw(message.record, message.time_ms) for place, message in predictions.items()},
            "windows": windows(predictions.values(), specs),
            "features": features(predictions.values(), specs, references),
            "outliers": outliers(predictions, references),
            "labels": {
                place: label(message.record, message.time_ms, specs[message.record["model"]].label_sources)
                for place, message in labels.items()
            },
            "outcomes": joined.outcomes,
            "performance": judged,
            "rejected": _rejected(traffic),
        },
        labels=joined.fates,
        below_limit=below_limit(judged, specs),
    )


def _good(traffic: Traffic, topic: str) -> dict[tuple[int, int], Message]:
    return {
        (partition, offset): message
        for partition, messages in enumerate(traffic.partitions(topic))
        for offset, message in enumerate(messages)
        if message.reason is None
    }


def _rejected(traffic: Traffic) -> Table:
    return {
        (topic, partition, offset): {"reason": message.reason.value, "payload": _evidence(message.value)}
        for topic in ("predictions", "labels")
        for partition, messages in enumerate(traffic.partitions(topic))
        for offset, message in enumerate(messages)
        if message.reason is not None
    }


def _evidence(value: bytes | None) -> str:
    return (value or b"")[:4096].decode(errors="replace")
