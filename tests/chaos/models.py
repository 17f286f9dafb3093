"""The models of the crash test: their specs, what they answer at a place (0 to 1) in a run, and how they were before.

Every number is a small multiple of a power of two, so that sums of them and of their squares are exact in doubles: they
do not depend on the order of additions, and a difference from the oracle in the last digit is a difference.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from driftline_schemas.spec import (
    AlertRules,
    DriftRules,
    FeatureSpec,
    ModelSpec,
    Objectives,
    Owners,
    PerformanceRules,
    Reference,
)
from driftline_streams.reference.build import build

DAY_MS = 86_400_000

SPECS = (
    ModelSpec(
        model="fraud",
        kind="binary",
        features={
            "amount": FeatureSpec(type="numeric", importance=0.5),
            "age": FeatureSpec(type="numeric", importance=0.01, max=85.0),
            "device": FeatureSpec(type="categorical", importance=0.2),
            "secret": FeatureSpec(monitor=False),
        },
        segments=["country", "channel"],
        feature_window_s=60,
        test_windows_s=(1200,),
        objectives=Objectives(latency_p99_ms=512.0, error_rate=0.3, min_window_n=4),
        drift=DriftRules(min_n=100),
        performance=PerformanceRules(accuracy=0.8),
        label_sources=["audit", "back office"],
        alerts=AlertRules(cooldown_s=1800, on_critical="rollback"),
        owners=Owners(model="models@example.org", data="data@example.org", system="ops@example.org"),
    ),
    ModelSpec(
        model="eta",
        kind="regression",
        segments=["city"],
        window_s=20,
        feature_window_s=120,
        test_windows_s=(1800,),
        drift=DriftRules(min_n=100),
        alerts=AlertRules(cooldown_s=3600),
    ),
    ModelSpec(model="topics", kind="multiclass", feature_window_s=60, test_windows_s=(600,)),
    ModelSpec(model="shop", kind="ranking", feature_window_s=60, test_windows_s=(600,), label_sources=["clicks"]),
    # Its labels come long after its horizon: all of them are orphans.
    ModelSpec(model="brief", kind="binary", positive="yes", label_horizon_s=2),
)

VERSIONS = {  # model → version, role and share of the events
    "fraud": (("1", "champion", 0.34), ("2", "challenger", 0.18)),
    "eta": (("7", "champion", 0.18),),
    "topics": (("a", "champion", 0.1), ("b", "shadow", 0.06)),
    "shop": (("1", "champion", 0.05),),
    "brief": (("1", "champion", 0.04),),
    "stray": (("0", "champion", 0.05),),  # nobody described it
}


def event(rng: np.random.Generator, model: str, version: str, role: str, place: float) -> dict[str, Any]:
    """What a model answers, without id and time; latency, errors, confidence and features shift on the way."""
    event: dict[str, Any] = {"model": model, "version": version}
    if role != "champion" or rng.random() < 0.5:
        event["role"] = role
    if rng.random() < 0.98:
        slow = 4 if model == "fraud" and version == "1" and 0.5 < place < 0.75 else 1
        event["latency_ms"] = 0.0 if rng.random() < 0.01 else _eighths(slow * rng.lognormal(4, 0.4))
    failing = 0.6 if model == "fraud" and version == "2" and 0.6 < place < 0.66 else 0.02
    if rng.random() < failing:
        event["status"] = "error"
        event["error"] = {"type": str(rng.choice(["Timeout", "KeyError"])), "message": 'it\'s a "test"\n'}
    else:
        answers = {"fraud": _fraud, "eta": _eta, "topics": _topics, "shop": _shop, "brief": _brief, "stray": _stray}
        event |= answers[model](rng, place)
    event["features"] = _features(rng, model, place)
    if rng.random() < 0.3:
        event |= {"request_id": f"r{rng.integers(1 << 30)}", "user_id": "u", "trace_id": "t" * 32, "span_id": "s" * 16}
    if rng.random() < 0.05:
        event["context"] = {"note": "ü", "depth": [1, {"a": None}]}
    if rng.random() < 0.02:
        event["unheard_of"] = {"x": 1}
    return event


def _fraud(rng: np.random.Generator, place: float) -> dict[str, Any]:
    score = _share(rng.beta(2, 4))
    country = str(rng.choice(["de", "fr", "us"], p=[0.5, 0.3, 0.2]))
    return {
        "prediction": bool(score > 0.5),
        "score": None if rng.random() < 0.02 else score,
        "segment": {"country": country, "channel": None if rng.random() < 0.1 else "web", "unsliced": "x"},
    }


def _eta(rng: np.random.Generator, place: float) -> dict[str, Any]:
    return {
        "prediction": quarters(rng.normal(30, 8)),
        "segment": {"city": f"city {rng.integers(5)}"},
    }


def _topics(rng: np.random.Generator, place: float) -> dict[str, Any]:
    names = ["sport", "politics", "arts"]
    first = _share(rng.uniform(0.5, 0.9) - (0.25 if place > 0.6 else 0.0))
    return {
        "prediction": names[rng.integers(3)],
        "confidence": first,
        "probabilities": {"sport": first, "politics": 1 - first},
    }


def _shop(rng: np.random.Generator, place: float) -> dict[str, Any]:
    return {"prediction": quarters(rng.normal(2, 1)), "request_id": f"list {int(place * 300)}"}


def _brief(rng: np.random.Generator, place: float) -> dict[str, Any]:
    return {"prediction": str(rng.choice(["yes", "no"])), "score": _share(rng.random())}


def _stray(rng: np.random.Generator, place: float) -> dict[str, Any]:
    kinds: list[Any] = [True, False, 1.0, 0.0, "late", 2.5]
    return {"prediction": kinds[rng.integers(len(kinds))], "segment": {"nobody": "asked"}}


def _features(rng: np.random.Generator, model: str, place: float) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if model == "fraud":
        out = {
            "amount": _eighths(rng.lognormal(3, 0.5) * (2.0 if place > 0.55 else 1.0)),
            "age": float(rng.integers(18, 90)) if rng.random() < 0.97 else "unknown",
            "device": str(rng.choice(["phone", "desk", "new"] if place > 0.7 else ["phone", "desk"])),
            "secret": 1.0,
            "undeclared": "kept, not monitored",
        }
    elif model == "eta":
        out = {
            "distance": quarters(rng.normal(10 if place < 0.5 else 16, 3)),
            "weather": str(rng.choice(["sun", "rain"], p=[0.8, 0.2] if place < 0.5 else [0.2, 0.8])),
            "indoor": bool(rng.random() < 0.5),
        }
    elif model == "topics":
        out = {"words": float(rng.integers(0, 400)), "language": str(rng.choice(["en", "de"]))}
    elif model == "stray":
        mixed: list[Any] = [1.0, -2.5, "one", True, None]
        out = {"mixed": mixed[rng.integers(len(mixed))], "zero": 0.0}
    for name in list(out):
        chance = rng.random()
        if chance < 0.02:
            out[name] = None
        elif chance < 0.04:
            del out[name]
    return out


def references(begin_ms: int) -> tuple[Reference, ...]:
    """How two of the models were before the shifts."""
    rng = np.random.default_rng(0)  # the same in every run: they are no part of what is tried
    n = 2_000
    fraud = {
        "feature:amount": np.array([_eighths(value) for value in rng.lognormal(3, 0.5, n)]),
        "feature:age": rng.integers(18, 90, n).astype(np.float64),
        "feature:device": rng.choice(["phone", "desk"], n).tolist(),
        "score": np.array([_share(value) for value in rng.beta(2, 4, n)]),
        "latency_ms": np.array([_eighths(value) for value in rng.lognormal(4, 0.4, n)]),
        "error_rate": (rng.random(n) < 0.02).astype(np.float64),
    }
    eta = {
        "feature:distance": np.array([quarters(value) for value in rng.normal(10, 3, n)]),
        "feature:weather": rng.choice(["sun", "rain"], n, p=[0.8, 0.2]).tolist(),
        "prediction": np.array([quarters(value) for value in rng.normal(30, 8, n)]),
    }
    before_ms = begin_ms - DAY_MS
    return (
        build("fraud", "1", fraud, n=n, start_ms=before_ms, end_ms=begin_ms),
        build("eta", "7", eta, n=n, start_ms=before_ms, end_ms=begin_ms),
    )


def _eighths(value: float) -> float:
    return round(8 * value) / 8


def quarters(value: float) -> float:
    """The nearest multiple of 1/4."""
    return round(4 * value) / 4


def _share(value: float) -> float:
    return round(64 * min(1.0, max(0.0, value))) / 64
