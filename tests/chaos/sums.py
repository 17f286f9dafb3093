"""Sums over windows and features, one event at a time."""

from __future__ import annotations

import bisect
import math
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from driftline_schemas.spec import FeatureSpec, ModelSpec, Profile, Reference

from .message import Message
from .rows import Row, Table, named

GAMMA = 1.01 / 0.99


def windows(predictions: Collection[Message], specs: dict[str, ModelSpec]) -> Table:
    cells: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for message in predictions:
        event = message.record
        spec = specs.get(event["model"], ModelSpec(model=event["model"]))
        slices = [("", "", spec.window_s)]
        for key in spec.segments:
            value = event.get("segment", {}).get(key)
            if value is not None:
                slices.append((key, value, max(spec.window_s, spec.feature_window_s)))
        for dim, value, width_s in slices:
            start_s = message.time_ms // 1000 // width_s * width_s
            cells[event["model"], event["version"], start_s, width_s, dim, value].append(event)
    return {key: _load(events, specs) for key, events in cells.items()}


def _load(events: list[Row], specs: dict[str, ModelSpec]) -> Row:
    latencies = _numbers(events, "latency_ms")
    scores, confidences = _numbers(events, "score"), _numbers(events, "confidence")
    spec = specs.get(events[0]["model"])
    regression = spec is not None and spec.kind == "regression"
    answers = [event["prediction"] for event in events if event.get("prediction") is not None]
    return {
        "n": len(events),
        "errors": sum(event.get("status") == "error" for event in events),
        "latency": dict(Counter(map(bucket, latencies))),
        "latency_n": len(latencies),
        "latency_sum": math.fsum(latencies),
        "latency_max": max(latencies, default=0.0),
        "score_n": len(scores),
        "score_sum": math.fsum(scores),
        "confidence_n": len(confidences),
        "confidence_sum": math.fsum(confidences),
        "classes": {} if regression else dict(Counter(map(named, answers))),
    }


def _numbers(events: list[Row], name: str) -> list[float]:
    return [event[name] for event in events if event.get(name) is not None]


def bucket(value: float) -> int:
    """The bucket of a DDSketch of 1 %: i holds (g**(i-1), g**i], -32768 the zeros."""
    return -32768 if value == 0 else math.ceil(math.log(value) / math.log(GAMMA))


@dataclass
class _Signal:
    """Sums over one signal of one cell."""

    nulls: int = 0
    numbers: list[float] = field(default_factory=list)
    texts: int = 0
    mistyped: int = 0
    outside: int = 0
    bins: Counter[str] = field(default_factory=Counter)


def features(
    predictions: Collection[Message],
    specs: dict[str, ModelSpec],
    references: dict[tuple[str, str], Reference],
) -> Table:
    cells: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for message in predictions:
        event = message.record
        spec = specs.get(event["model"], ModelSpec(model=""))
        start_s = message.time_ms // 1000 // spec.feature_window_s * spec.feature_window_s
        segment = event.get("segment", {})
        slices = [(key, segment[key]) for key in spec.segments if segment.get(key) is not None]
        for dim, value in [("", ""), *slices]:
            cells[event["model"], event["version"], start_s, spec.feature_window_s, dim, value].append(event)
    out: Table = {}
    for key, events in cells.items():
        model, version = key[:2]
        reference = references.get((model, version))
        signals = _signals(events, specs.get(model, ModelSpec(model=model)), reference, sliced=bool(key[4]))
        out[*key, reference.id if reference is not None else ""] = _sums(len(events), signals)
    return out


def _signals(events: list[Row], spec: ModelSpec, reference: Reference | None, *, sliced: bool) -> dict[str, _Signal]:
    profiles = reference.signals if reference is not None else {}
    out: dict[str, _Signal] = defaultdict(_Signal)
    for event in events:
        for name in ("score", "confidence"):
            _count(out[name], event.get(name), "numeric", profiles.get(name), sliced=sliced)
        kind = "numeric" if spec.kind == "regression" else "categorical"
        _count(out["prediction"], event.get("prediction"), kind, profiles.get("prediction"), sliced=sliced)
        features = event.get("features", {})
        if spec.features:
            names = expected = {name for name, feature in spec.features.items() if feature.monitor}
        else:
            expected = {name.removeprefix("feature:") for name in profiles if name.startswith("feature:")}
            names = expected | features.keys()
        for name in names:
            if name not in expected and name not in features:
                continue
            profile = profiles.get(f"feature:{name}")
            described = spec.features.get(name)
            kind = (described and described.type) or (profile.type if profile is not None else "as sent")
            signal = out[f"feature:{name}"]
            _count(signal, features.get(name), kind, profile, sliced=sliced)
            signal.outside += _outside(features.get(name), described)
    return dict(out)


def _count(signal: _Signal, value: Any, kind: str, profile: Profile | None, *, sliced: bool) -> None:
    number = isinstance(value, float)
    if value is None or (kind == "numeric" and not number):
        signal.nulls += 1
        signal.mistyped += value is not None
    elif number and kind != "categorical":
        signal.numbers.append(value)
        if profile is not None and profile.type == "numeric" and kind == "numeric":
            index = bisect.bisect_right(profile.edges, value)
            signal.bins[str(_leading(profile.counts)[index] if sliced else index)] += 1
    else:
        signal.texts += 1
        signal.bins[named(value)] += 1


def _outside(value: Any, described: FeatureSpec | None) -> bool:
    if described is None or not isinstance(value, float):
        return False
    return not (described.min or -math.inf) <= value <= (described.max or math.inf)


def _leading(counts: list[int]) -> list[int]:
    """For each bin, the first in the same tenth of the reference: segments count in it."""
    before = [sum(counts[:place]) for place in range(len(counts))]
    tenth = [min(9, int((b + c / 2) * 10 / sum(counts))) for b, c in zip(before, counts, strict=True)]
    return [tenth.index(each) for each in tenth]


def outliers(predictions: dict[tuple[int, int], Message], references: dict[tuple[str, str], Reference]) -> Table:
    """All events that may be among the outliers of their batch: some number is more than 8 deviations off."""
    out: Table = {}
    for (partition, offset), message in predictions.items():
        event = message.record
        reference = references.get((event["model"], event["version"]))
        values = {f"feature:{name}": value for name, value in event.get("features", {}).items()} | event
        reasons = {}
        for signal, profile in reference.signals.items() if reference is not None else ():
            value = values.get(signal)
            if signal in {"latency_ms", "error_rate"} or profile.type != "numeric" or not isinstance(value, float):
                continue
            sums = profile.moments
            mean = sums.sum / sums.n
            z = (value - mean) / math.sqrt((sums.sum_squares - sums.n * mean**2) / (sums.n - 1))
            if abs(z) > 8:
                reasons[signal] = round(z, 6)
        if reasons:
            out[partition, offset] = {
                "prediction_id": event["prediction_id"],
                "score": max(map(abs, reasons.values())),
                "reasons": reasons,
            }
    return out


def _sums(n: int, signals: dict[str, _Signal]) -> Row:
    """As the table has them, without what is zero."""
    numeric = {name: signal.numbers for name, signal in signals.items() if signal.numbers}
    return {
        "n": n,
        "present": _nonzero({name: len(signal.numbers) + signal.texts for name, signal in signals.items()}),
        "nulls": _nonzero({name: signal.nulls for name, signal in signals.items()}),
        "sums": _nonzero({name: math.fsum(numbers) for name, numbers in numeric.items()}),
        "sum_squares": _nonzero({name: math.fsum(x * x for x in numbers) for name, numbers in numeric.items()}),
        "mins": {name: min(numbers) for name, numbers in numeric.items()},
        "maxs": {name: max(numbers) for name, numbers in numeric.items()},
        "bins": {
            f"{name}\x1f{label}": count for name, signal in signals.items() for label, count in signal.bins.items()
        },
        "issues": _nonzero(
            {f"mistyped\x1f{name}": signal.mistyped for name, signal in signals.items()}
            | {f"outside\x1f{name}": signal.outside for name, signal in signals.items()}
        ),
    }


def _nonzero(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
