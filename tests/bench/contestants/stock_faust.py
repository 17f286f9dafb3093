"""Faust as its documentation has it, one event at a time: a windowed table, or the plain dict that costs less.

The table holds counts, errors, sum and maximum of latencies, and nothing else. A single worker sees all partitions, so
it needs no repartition. What `Table` writes to its changelog belongs to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import faust

from .marks import Task
from .running import time_ms
from .work import WINDOW_MS, Key

Sums = list[float]  # events, errors, sum and maximum of latencies
NAMES = ("n", "errors", "latency_sum", "latency_max")


class Prediction(faust.Record, serializer="json"):
    """An event."""

    prediction_id: str
    model: str
    version: str
    timestamp: str
    latency_ms: float
    status: str
    features: dict[str, Any]
    segment: dict[str, str]


class TimedPrediction(Prediction, coerce=True, serializer="json"):
    """An event whose time Faust reads, for `relative_to_field`."""

    timestamp: datetime  # type: ignore[assignment]


class Dict:
    """A dict of one's own."""

    record: type[Prediction] = Prediction

    def __init__(self) -> None:
        self.sums: dict[Key, Sums] = {}

    def add(self, event: Prediction) -> None:
        """Add an event."""
        key = event.model, event.version, time_ms(event.timestamp) // WINDOW_MS * WINDOW_MS
        self.sums[key] = _added(self.sums.get(key, _nothing()), event)

    def found(self) -> Mapping[Key, Sums]:
        """All windows."""
        return self.sums


class Table:
    """A tumbling table."""

    record: type[Prediction] = TimedPrediction

    def __init__(self, app: faust.App, partitions: int) -> None:
        self._table = app.Table("windows", default=_nothing, partitions=partitions)
        tumbling = self._table.tumbling(timedelta(milliseconds=WINDOW_MS), expires=timedelta(hours=1))
        field: Any = TimedPrediction.timestamp
        self._windows = tumbling.relative_to_field(field)

    def add(self, event: Prediction) -> None:
        """Add an event."""
        key = f"{event.model}|{event.version}"
        self._windows[key] = _added(self._windows[key].value(), event)

    def found(self) -> Mapping[Key, Sums]:
        """All windows."""
        items: Any = self._table.items()
        return {(*key.split("|"), int(start_s * 1000)): sums for (key, (start_s, _)), sums in items}


def _nothing() -> Sums:
    return [0, 0, 0.0, 0.0]


def _added(sums: Sums, event: Prediction) -> Sums:
    n, errors, total, most = sums
    return [n + 1, errors + (event.status == "error"), total + event.latency_ms, max(most, event.latency_ms)]


def _agent(task: Task, add: Callable[[Prediction], None], finish: Callable[[], None]) -> Callable[[Any], Any]:
    async def watch(stream: Any) -> None:
        read = 0
        async for event in stream:
            if not read:
                task.ready()
            add(event)
            read += 1
            if read == task.events:
                finish()

    return watch


def main() -> None:
    """Run a worker until it has seen every event."""
    task = Task.of_arguments()
    app = faust.App(
        f"{task.topic}-{task.out.parent.name}",
        broker=f"kafka://{task.bootstrap}",
        store="memory://",
        topic_partitions=task.partitions,
        web_enabled=False,
    )
    windows = Table(app, task.partitions) if task.variant == "table" else Dict()

    def finish() -> None:
        named = [(key, dict(zip(NAMES, sums, strict=True))) for key, sums in windows.found().items()]
        task.done(task.events, [{"model": m, "version": v, "window": at, **sums} for (m, v, at), sums in named])
        os._exit(0)  # what it would do to stop is not measured

    app.agent(app.topic(task.topic, value_type=windows.record))(_agent(task, windows.add, finish))
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main()
