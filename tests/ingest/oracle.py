"""What a batch adds to its windows, worked out one event at a time in plain Python: slow, obvious, and the truth."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from driftline_schemas.records import Scalar
from driftline_schemas.spec import ModelSpec, Profile
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


Key = tuple[str, str, int, str, str]  # model, version, start in ms, dim, value


def windows(events: Iterable[Event], catalog: Catalog) -> dict[Key, WindowTally]:
    """Every window, and every slice of the wider windows that slices have."""
    out: dict[Key, WindowTally] = defaultdict(WindowTally)
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


@dataclass
class FeatureTally:
    """Sums over one feature window, or one segment value of it."""

    n: int
    signals: dict[str, Tally]
    issues: Counter[str]


def features(events: Iterable[Event], catalog: Catalog) -> dict[Key, FeatureTally]:
    """Every feature window, and every slice of it; events come in the order in which they were sent."""
    cells: dict[Key, list[tuple[Event, bool]]] = defaultdict(list)
    seen: set[tuple[str, str]] = set()
    for event in events:
        spec = catalog.spec(event.model)
        start = window_start(to_ms(event.timestamp), spec.feature_window_s * 1000)
        again = (event.model, event.prediction_id) in seen
        seen.add((event.model, event.prediction_id))
        slices = [(key, value) for key, value in event.segment.items() if key in spec.segments and value is not None]
        for dim, value in [("", ""), *slices]:
            cells[event.model, event.version, start, dim, value].append((event, again))
    return {
        key: FeatureTally(
            n=len(cell),
            signals=_signals([event for event, _ in cell], catalog, sliced=bool(key[3])),
            issues=_issues(cell, catalog),
        )
        for key, cell in cells.items()
    }


def _signals(cell: list[Event], catalog: Catalog, *, sliced: bool) -> dict[str, Tally]:
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
            _add(tally, getattr(event, name), kind, edges, profile if sliced else None)
    for name in _names(cell, spec, [signal for signal in profiles if signal.startswith("feature:")]):
        profile = profiles.get(f"feature:{name}")
        kind = _kind(name, spec, profile)
        edges = profile.edges if profile is not None and profile.type == kind else None
        tally = out[f"feature:{name}"] = Tally()
        described = spec.features.get(name)
        declared = described is not None if spec.features else profile is not None
        for event in cell:
            if declared or name in event.features:
                _add(tally, event.features.get(name), kind, edges, profile if sliced else None)
    return out


def _kind(name: str, spec: ModelSpec, profile: Profile | None) -> str:
    described = spec.features.get(name)
    return (described and described.type) or (profile.type if profile is not None else "as sent")


def _issues(cell: list[tuple[Event, bool]], catalog: Catalog) -> Counter[str]:
    out: Counter[str] = Counter()
    for event, again in cell:
        spec, reference = catalog.spec(event.model), catalog.reference(event.model, event.version)
        profiles = reference.signals if reference is not None else {}
        out["duplicate"] += again
        out["improper"] += bool(event.probabilities) and abs(sum((event.probabilities or {}).values()) - 1) > 1e-3
        if spec.kind == "regression":
            out["mistyped\x1fprediction"] += isinstance(event.prediction, str | bool)
        for name in _names([event], spec, []):
            value, described = event.features.get(name), spec.features.get(name)
            kind = _kind(name, spec, profiles.get(f"feature:{name}"))
            if kind == "numeric":
                out[f"mistyped\x1ffeature:{name}"] += isinstance(value, str | bool)
            if described is not None and isinstance(value, float) and kind != "categorical":
                low, high = described.min, described.max
                beyond = (low is not None and value < low) or (high is not None and value > high)
                out[f"outside\x1ffeature:{name}"] += beyond
    return +out


def _names(cell: list[Event], spec: ModelSpec, referenced: list[str]) -> list[str]:
    if spec.features:
        return sorted(name for name, feature in spec.features.items() if feature.monitor)
    return sorted(
        {name for event in cell for name in event.features} | {n.removeprefix("feature:") for n in referenced}
    )


def _add(tally: Tally, value: Scalar, kind: str, edges: list[float] | None, coarse: Profile | None = None) -> None:
    number = isinstance(value, float)
    if value is None or (kind == "numeric" and not number):
        tally.nulls += 1
        return
    tally.n += 1
    if isinstance(value, float) and kind != "categorical":
        tally.numbers.append(max(-1e150, min(value, 1e150)))
        if edges:
            index = bisect_right(edges, value)
            tally.bins[str(index if coarse is None else leading(coarse.counts)[index])] += 1
    else:
        tally.bins[_class(value)] += 1


def leading(counts: list[int]) -> list[int]:
    """For each of the bins, the first that lies in the same tenth of the counts, by its middle."""
    tenth, before = [], 0
    for count in counts:
        tenth.append(min(9, int((before + count / 2) * 10 / sum(counts))))
        before += count
    return [tenth.index(each) for each in tenth]


def _class(value: float | str | bool) -> str:
    return class_name(value + 0.0 if isinstance(value, float) else value)  # -0 and 0 are the same class


def _bucket(value: float) -> int:
    if value == 0:
        return ZERO
    return max(-2047, min(math.ceil(math.log(value) * (1 / math.log(GAMMA))), 2047))
