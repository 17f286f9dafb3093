"""What is found and who is told when nothing goes wrong: the stages as plain functions over the published messages.

No Kafka, no process, no clock: batches of another size than the workers' go through `Ingest`, their partials through
`Detect`, one partition after the other, and the findings through `Notify`. A run under kills must find the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from driftline_schemas.records import Alert, Clock, Detection
from driftline_streams.alerts.notify import Notify
from driftline_streams.detectors.detect import Detect
from driftline_streams.ingest import Ingest
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import ArrayColumn, Coded, MapColumn, Rows, WideInts

from .rows import Table
from .traffic import LATENESS_S, Traffic

PREFIX = "driftline"
NOT_COMPARED = {"stray"}  # its events lie far behind others: which open windows they reach depends on who is quicker


@dataclass(frozen=True, slots=True)
class Found:
    """Detections and alerts by id, and tests of windows by what they are about."""

    detections: dict[str, Detection]
    alerts: dict[str, Alert]
    drift: Table


@dataclass(frozen=True, slots=True)
class _Slice:
    topic: str
    partition: int
    first: int
    messages: list[bytes | None]

    @property
    def last(self) -> int:
        return self.first + len(self.messages) - 1

    def offsets(self) -> list[int]:
        return list(range(self.first, self.last + 1))

    def values(self) -> list[bytes | None]:
        return self.messages


def find(traffic: Traffic, now_ms: int, *, batch: int = 500, order: np.random.Generator | None = None) -> Found:
    """Detections, alerts and tests of the whole traffic, read at `now_ms` in batches of `batch`.

    With an `order`, batches take a random turn among the partitions; else all of them advance together.
    """
    catalog = Catalog()
    for spec in traffic.specs:
        catalog.update(spec)
    for reference in traffic.references:
        catalog.update(reference)
    ingest, notify = Ingest(catalog, PREFIX), Notify(catalog, PREFIX)
    detect = Detect(catalog, PREFIX, lateness_ms=int(LATENESS_S * 1000))
    detections: dict[str, Detection] = {}
    alerts: dict[str, Alert] = {}
    drift: Table = {}
    windows: dict[str, bytes] = {}
    causes: dict[str, bytes] = {}
    topic = f"{PREFIX}.predictions"
    announced = [Clock(topic=topic, partition=p, time_ms=0) for p in range(len(traffic.partitions("predictions")))]
    detect([msgspec.json.encode(clock) for clock in announced], windows, now_ms)
    for part in _slices(traffic, topic, batch, order):
        messages = ingest(part, now_ms).effects.messages
        partials = [message.value or b"" for message in messages if message.topic == f"{PREFIX}.partials"]
        effects = detect(partials, windows, now_ms)
        found = [message.value or b"" for message in effects.messages]
        for detection in (msgspec.json.decode(value, type=Detection) for value in found):
            detections[detection.id] = detection
        alerts |= {alert.id: alert for alert in notify(found, causes, now_ms).to_send}
        for rows in effects.rows:
            if rows.table == "drift":
                drift |= _tests(rows)
    return Found(
        {id_: each for id_, each in detections.items() if each.model not in NOT_COMPARED},
        {id_: each for id_, each in alerts.items() if each.model not in NOT_COMPARED},
        drift,
    )


def _slices(traffic: Traffic, topic: str, batch: int, order: np.random.Generator | None) -> Iterator[_Slice]:
    parts = [
        [
            _Slice(topic, partition, first, [message.value for message in messages[first : first + batch]])
            for first in range(0, len(messages), batch)
        ]
        for partition, messages in enumerate(traffic.partitions("predictions"))
    ]
    turns = [partition for partition, slices in enumerate(parts) for _ in slices]
    if order is None:
        waiting = [iter(slices) for slices in parts]
        while waiting:
            for each in list(waiting):
                part = next(each, None)
                if part is None:
                    waiting.remove(each)
                else:
                    yield part
        return
    order.shuffle(turns)
    rest = [iter(slices) for slices in parts]
    for partition in turns:
        yield next(rest[partition])


def _tests(rows: Rows) -> Table:
    columns: dict[str, list[Any]] = {}
    for name, column in rows.columns.items():
        if isinstance(column, Coded):
            columns[name] = [column.values[code] for code in column.codes.tolist()]
        elif isinstance(column, np.ndarray):
            columns[name] = column.tolist()
        elif not isinstance(column, MapColumn | ArrayColumn | WideInts):
            columns[name] = list(column)
    key = ("model", "version", "window", "width_s", "dim", "value", "signal")
    numbers = ("statistic", "threshold", "effect", "low", "high", "p_value", "n", "n_reference")
    values = ("state", "method", *numbers, "reference")
    return {tuple(columns[name][i] for name in key): {name: columns[name][i] for name in values} for i in range(rows.n)}
