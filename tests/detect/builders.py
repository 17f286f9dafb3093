"""Synthetic partials, and a worker that applies them, for the scenarios of this folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from driftline_schemas.records import Buckets, Clock, Detection, Errors, FeatureCell, Moments, Partial, WindowCell
from driftline_streams.detectors.detect import Detect
from driftline_streams.kernel import histogram, moments, sketch
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Effects

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
TOPIC = "driftline.predictions"


def buckets(values: np.ndarray) -> Buckets:
    index, counts = np.unique(sketch.bucket_index(values), return_counts=True)
    return Buckets(
        counts=dict(zip(index.tolist(), counts.tolist(), strict=True)),
        n=len(values),
        sum=float(values.sum()),
        max=float(values.max(initial=0.0)),
    )


def window(start_ms: int, latency_ms: Sequence[float] | np.ndarray, errors: int = 0) -> WindowCell:
    values = np.asarray(latency_ms, np.float64)
    return WindowCell(
        window_ms=start_ms,
        n=len(values),
        errors=errors,
        latency=buckets(values),
        signals={"latency_ms": moments.of_values(values)},
    )


def features(start_ms: int, values: dict[str, np.ndarray], edges: dict[str, list[float]] | None = None) -> FeatureCell:
    """A feature window; texts are categories, numbers with `edges` get bins."""
    sums: dict[str, Moments] = {}
    bins: dict[str, dict[str, int]] = {}
    for signal, column in values.items():
        if column.dtype.kind == "U":
            names, counts = np.unique(column, return_counts=True)
            sums[signal] = Moments(len(column), 0, 0.0, 0.0, 0.0, 0.0)
            bins[signal] = dict(zip(names.tolist(), counts.tolist(), strict=True))
            continue
        sums[signal] = moments.of_values(column)
        if edges and signal in edges:
            index, counts = np.unique(histogram.bin_index(column, edges[signal]), return_counts=True)
            bins[signal] = {str(i): int(c) for i, c in zip(index, counts, strict=True)}
    n = max((len(column) for column in values.values()), default=0)
    return FeatureCell(window_ms=start_ms, n=n, moments=sums, bins=bins)


def partial(
    batch: int,
    windows: Sequence[WindowCell] = (),
    wide: Sequence[FeatureCell] = (),
    *,
    partition: int = 0,
    version: str = "1",
    model: str = "m",
    width_ms: int = 10 * SECOND,
    feature_width_ms: int = 300 * SECOND,
    watermark_ms: int | None = None,
    reference: str = "",
) -> Partial:
    """The `batch`-th partial of a source partition; its events reach to the end of its last window."""
    ends = [cell.window_ms + width_ms for cell in windows] or [cell.window_ms + feature_width_ms for cell in wide]
    return Partial(
        model=model,
        version=version,
        topic=TOPIC,
        partition=partition,
        first=batch * 100,
        last=batch * 100 + 99,
        watermark_ms=max(ends) - 1 if watermark_ms is None else watermark_ms,
        window_ms=width_ms,
        feature_window_ms=feature_width_ms,
        reference=reference,
        windows=list(windows),
        features=list(wide),
    )


def clock(time_ms: int, partition: int = 0, *, busy: bool = False) -> Clock:
    return Clock(topic=TOPIC, partition=partition, time_ms=time_ms, busy=busy)


class Worker:
    """Applies messages to a state of its own and keeps what was found."""

    def __init__(self, catalog: Catalog | None = None, lateness_ms: int = 0) -> None:
        self.catalog = catalog or Catalog()
        self.lateness_ms = lateness_ms
        self.detect = Detect(self.catalog, "driftline", lateness_ms)
        self.state: dict[str, bytes] = {}
        self.effects: list[Effects] = []

    def restart(self) -> None:
        """Forget everything but the stored state."""
        self.detect = Detect(self.catalog, "driftline", self.lateness_ms)

    def apply(self, records: Iterable[Partial | Clock | Errors | bytes]) -> list[Detection]:
        encoded = [r if isinstance(r, bytes) else msgspec.json.encode(r) for r in records]
        effects = self.detect(encoded, self.state, 1_700_000_000_000)
        self.effects.append(effects)
        return detections_of(effects)

    def apply_each(self, records: Iterable[Partial | Clock | Errors]) -> list[Detection]:
        return [found for record in records for found in self.apply([record])]


def detections_of(effects: Effects) -> list[Detection]:
    return [
        msgspec.json.decode(message.value or b"", type=Detection)
        for message in effects.messages
        if message.topic == "driftline.detections"
    ]
