"""What a batch adds to its windows, worked out one event at a time in plain Python: slow, obvious, and the truth."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from driftline_schemas.records import Scalar
from driftline_schemas.spec import ModelSpec
from driftline_streams.ingest.event import Event
from driftline_streams.kernel.catalog import Catalog, class_name
from driftline_streams.kernel.clock import to_ms, window_start
from driftline_streams.kernel.sketch import GAMMA, ZERO


@dataclass
class Tally:
    """Sums over the values of one signal."""

    n: int = 0
    nulls: int = 0
    numbers: list[float] = field(default_factory=list)
    bins: Counter[str] = field(default_factory=Counter)


@dataclass
class WindowTally:
    """Sums over one window, or one segment value of it."""

    n: int = 0
    errors: int = 0
    latency: Counter[int] = field(default_factory=Counter)
    signals: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    classes: Counter[str] = field(default_factory=Counter)


WindowKey = tuple[str, str, int, str, str]  # model, version, start in ms, dim, value
FeatureKey = tuple[str, str, int]


def windows(events: Iterable[Event], catalog: Catalog) -> dict[WindowKey, WindowTally]:
    """Every window, and every slice of the wider windows that slices have."""
    out: dict[WindowKey, WindowTally] = defaultdict(WindowTally)
    for event in events:
        spec = catalog.spec(event.model)
        slices = [("", "")]
        slices += [(key, value) for key, value in event.segment.items() if key in spec.segments and value is not None]
        for dim, value in slices:
            width_s = max(spec.window_s, spec.feature_window_s) if dim else spec.window_s
            start = window_start(to_ms(event.timestamp), width_s * 1000)
            cell = out[event.model, event.version, start, dim, value]
            cell.n += 1
            cell.errors += event.status == "error"
            if event.latency_ms is not None:
                cell.latency[_bucket(event.latency_ms)] += 1
            for name in ("latency_ms", "score", "confidence"):
                _add(cell.signals[name], getattr(event, name), "numeric", None)
            if event.prediction is not None and spec.kind != "regression":
                cell.classes[_class(event.prediction)] += 1
    return dict(out)


def features(events: Iterable[Event], catalog: Catalog) -> dict[FeatureKey, tuple[int, dict[str, Tally]]]:
    """Every feature window: its number of events, and its signals."""
    cells: dict[FeatureKey, list[Event]] = defaultdict(list)
    for event in events:
        start = window_start(to_ms(event.timestamp), catalog.spec(event.model).feature_window_s * 1000)
        cells[event.model, event.version, start].append(event)
    return {key: (len(cell), _signals(cell, catalog)) for key, cell in cells.items()}


def _signals(cell: list[Event], catalog: Catalog) -> dict[str, Tally]:
    spec = catalog.spec(cell[0].model)
    reference = catalog.reference(cell[0].model, cell[0].version)
    profiles = reference.signals if reference is not None else {}
    out: dict[str, Tally] = {}
    for name in ("score", "confidence", "prediction"):
        kind = "categorical" if name == "prediction" and spec.kind != "regression" else "numeric"
        profile = profiles.get(name)
        edges = profile.edges if profile is not None and profile.type == kind else None
        tally = out[name] = Tally()
        for event in cell:
            _add(tally, getattr(event, name), kind, edges)
    for name in _names(cell, spec, [signal for signal in profiles if signal.startswith("feature:")]):
        profile = profiles.get(f"feature:{name}")
        described = spec.features.get(name)
        kind = (described and described.type) or (profile.type if profile is not None else "as sent")
        edges = profile.edges if profile is not None and profile.type == kind else None
        tally = out[f"feature:{name}"] = Tally()
        declared = described is not None if spec.features else profile is not None
        for event in cell:
            if declared or name in event.features:
                _add(tally, event.features.get(name), kind, edges)
    return out


def _names(cell: list[Event], spec: ModelSpec, referenced: list[str]) -> list[str]:
    if spec.features:
        return sorted(name for name, feature in spec.features.items() if feature.monitor)
    return sorted(
        {name for event in cell for name in event.features} | {n.removeprefix("feature:") for n in referenced}
    )


def _add(tally: Tally, value: Scalar, kind: str, edges: list[float] | None) -> None:
    number = isinstance(value, float)
    if value is None or (kind == "numeric" and not number):
        tally.nulls += 1
        return
    tally.n += 1
    if isinstance(value, float) and kind != "categorical":
        tally.numbers.append(max(-1e150, min(value, 1e150)))
        if edges:
            tally.bins[str(bisect_right(edges, value))] += 1
    else:
        tally.bins[_class(value)] += 1


def _class(value: float | str | bool) -> str:
    return class_name(value + 0.0 if isinstance(value, float) else value)  # -0 and 0 are the same class


def _bucket(value: float) -> int:
    if value == 0:
        return ZERO
    return max(-2047, min(math.ceil(math.log(value) * (1 / math.log(GAMMA))), 2047))
