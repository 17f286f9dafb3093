"""Quix Streams: windows as its documentation has them (`windowing.md`, `aggregations.md`), or a dict of one's own.

Its windows are by message key, so it reads a topic that is keyed by model and version; that spares it a repartition.
Windows are published when a later event closes them; the last of each key is still open at the end.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows import Count, Mean, Sum
from quixstreams.dataframe.windows.aggregations import Aggregator

from .marks import Task
from .running import Running, bucket, quantiles, time_ms
from .work import MODELS, WINDOW_MS, Key

GRACE_MS = 5_000


class Sketch(Aggregator):  # type: ignore[misc]
    """A custom aggregator: latencies by bucket."""

    def initialize(self) -> dict[str, int]:
        """Nothing yet."""
        return {}

    def agg(self, old: dict[str, int], new: dict[str, Any], timestamp: int) -> dict[str, int]:
        """One more event; state is JSON, so buckets are texts."""
        place = str(bucket(new["latency_ms"]))
        old[place] = old.get(place, 0) + 1
        return old

    def result(self, value: dict[str, int]) -> list[float]:
        """Percentiles."""
        return quantiles({int(place): n for place, n in value.items()})


def flat(event: dict[str, Any]) -> dict[str, Any]:
    """What the aggregators of the library need: a column for each number."""
    numbers = {f"mean_{i}": event["features"][name] for i, name in enumerate(MODELS[event["model"]][0])}
    return {"failed": int(event["status"] == "error"), "latency_ms": event["latency_ms"], **numbers}


def main() -> None:
    """Read as a Quix application."""
    task = Task.of_arguments()
    app = Application(
        broker_address=task.bootstrap,
        consumer_group=f"{task.topic}-{task.variant}-{task.out.parent.name}",
        auto_offset_reset="earliest",
        state_dir=Path("state"),
        loglevel="WARNING",
    )
    read = 0

    def counted(value: dict[str, Any], *_: Any) -> int:
        nonlocal read
        if not read:
            task.ready()
        read += 1
        if read == task.events:
            app.stop()
        return time_ms(value["timestamp"])

    topic = app.topic(task.topic, timestamp_extractor=counted)
    results = app.topic(task.results_topic)
    events = app.dataframe(topic)
    found: list[dict[str, Any]] = []
    own: dict[Key, Running] = {}

    def closed(value: dict[str, Any], key: bytes, *_: Any) -> None:
        model, version = key.decode().split("|")
        means = {name: value[f"mean_{i}"] for i, name in enumerate(MODELS[model][0])}
        sums = {name: value[name] for name in ("n", "errors", "quantiles")}
        found.append({"model": model, "version": version, "window": value["start"], **sums, "means": means})

    def add(event: dict[str, Any], _: Any, timestamp_ms: int, *__: Any) -> None:
        key = event["model"], event["version"], timestamp_ms // WINDOW_MS * WINDOW_MS
        window = own.get(key)
        if window is None:
            window = own[key] = Running(key[0])
        window.add(event)

    if task.variant == "windows":
        windows = (
            events.apply(flat)
            .tumbling_window(timedelta(milliseconds=WINDOW_MS), grace_ms=timedelta(milliseconds=GRACE_MS))
            .agg(
                n=Count(),
                errors=Sum("failed"),
                quantiles=Sketch(),
                **{f"mean_{i}": Mean(f"mean_{i}") for i in range(7)},
            )
            .final()
        )
        windows.update(closed, metadata=True)
        windows.to_topic(results)
    else:
        events.update(add, metadata=True)
    app.run()
    found += [window.result(key) for key, window in own.items()]
    task.done(read, found, grace_ms=GRACE_MS if task.variant == "windows" else None)


if __name__ == "__main__":
    main()
