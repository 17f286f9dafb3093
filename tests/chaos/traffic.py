"""What models and label sources publish in one run: all of it follows from the seed and the hour it starts at.

Every number is a small multiple of a power of two, so that sums of them and of their squares are exact in doubles: they
do not depend on the order of additions, and a difference from the oracle in the last digit is a difference.

Event times lie ahead of the wall clock, within one day. So the clocks that idle partitions send say nothing, and
windows close by the events alone, at the same place in every run. Within a partition no event is further behind the
newest than `LATENESS_S`, but for those of `stray`, of which nothing but sums is expected.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec
import numpy as np

from driftline_schemas.records import Reason
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

PARTITIONS = 4
LATENESS_S = 15.0  # of the workers
JITTER_S = 6.0
SPAN_S = 3_600.0  # of event time
CODA_S = 7_200.0  # the last events of all, which close every window before them
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

SPECS = (
    ModelSpec(
        model="fraud",
        kind="binary",
        features={
            "amount": FeatureSpec(type="numeric", importance=0.5),
            "age": FeatureSpec(type="numeric", importance=0.01),
            "device": FeatureSpec(type="categorical", importance=0.2),
            "secret": FeatureSpec(monitor=False),
        },
        segments=["country", "channel"],
        feature_window_s=60,
        test_window_s=1200,
        objectives=Objectives(latency_p99_ms=512.0, error_rate=0.3, min_window_n=4),
        drift=DriftRules(min_n=100),
        performance=PerformanceRules(accuracy=0.8),
        alerts=AlertRules(cooldown_s=1800, on_critical="rollback"),
        owners=Owners(model="models@example.org", data="data@example.org", system="ops@example.org"),
    ),
    ModelSpec(
        model="eta",
        kind="regression",
        segments=["city"],
        window_s=20,
        feature_window_s=120,
        test_window_s=1800,
        drift=DriftRules(min_n=100),
        alerts=AlertRules(cooldown_s=3600),
    ),
    ModelSpec(model="topics", kind="multiclass", feature_window_s=60, test_window_s=600),
    # Its labels come long after its horizon: all of them are orphans.
    ModelSpec(model="brief", kind="binary", positive="yes", label_horizon_s=2),
)

VERSIONS = {  # model → version, role and share of the events
    "fraud": (("1", "champion", 0.34), ("2", "challenger", 0.2)),
    "eta": (("7", "champion", 0.2),),
    "topics": (("a", "champion", 0.1), ("b", "shadow", 0.06)),
    "brief": (("1", "champion", 0.04),),
    "stray": (("0", "champion", 0.06),),  # nobody described it
}


@dataclass(frozen=True, slots=True)
class Message:
    """A message that will be published at `at` (0 to 1) of the run, and what is to become of it.

    `record` is the event as it was encoded and `time_ms` its time; a message that is to be refused has a `reason`
    instead.
    """

    topic: Literal["predictions", "labels"]
    partition: int
    at: float
    key: bytes
    value: bytes | None
    record: dict[str, Any] = field(default_factory=dict)
    time_ms: int = 0
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """One run's messages in the order in which they are published, and what is known of the models before."""

    specs: tuple[ModelSpec, ...]
    references: tuple[Reference, ...]
    messages: list[Message]

    def partitions(self, topic: str) -> list[list[Message]]:
        """What each partition of a topic will hold: the index of a message is its offset."""
        out: list[list[Message]] = [[] for _ in range(PARTITIONS)]
        for message in self.messages:
            if message.topic == topic:
                out[message.partition].append(message)
        return out


def start_ms(now_ms: int) -> int:
    """The first full hour more than half an hour ahead of which all of a run's times fall on one day (UTC)."""
    start = -(-(now_ms + HOUR_MS // 2) // HOUR_MS) * HOUR_MS
    end = start + int(CODA_S * 1000) + HOUR_MS
    return start if start // DAY_MS == end // DAY_MS else -(-start // DAY_MS) * DAY_MS


def make(seed: int, events: int, begin_ms: int) -> Traffic:
    """The traffic of a seed: about `events` predictions, and labels for most of them."""
    rng = np.random.default_rng(seed)
    predictions = [*_predictions(rng, events, begin_ms), *_coda(rng, begin_ms)]
    messages = [*predictions, *_labels(rng, predictions)]
    messages += [*_bad_predictions(rng, events // 40, begin_ms), *_bad_labels(rng, events // 60)]
    return Traffic(SPECS, _references(begin_ms), sorted(messages, key=lambda message: message.at))


# --- predictions


def _predictions(rng: np.random.Generator, n: int, begin_ms: int) -> Iterator[Message]:
    choices = [(model, *version) for model, versions in VERSIONS.items() for version in versions]
    chosen = rng.choice(len(choices), n, p=[choice[3] for choice in choices])
    jitter_s = rng.uniform(-JITTER_S, JITTER_S, n)
    for i in range(n):
        model, version, role, _ = choices[chosen[i]]
        place = i / n
        late_s = rng.uniform(300, 2000) if model == "stray" and rng.random() < 0.3 else 0.0
        time_ms = begin_ms + int(1000 * max(0.0, place * SPAN_S + jitter_s[i] - late_s))
        event = _event(rng, model, version, role, place)
        event["prediction_id"] = f"{model}-{i}"
        text = rng.random() < 0.1
        message = _message(event, time_ms, 0.98 * place, int(rng.integers(PARTITIONS)), text=text)
        yield message
        if rng.random() < 0.005:  # told twice
            yield message


def _message(event: dict[str, Any], time_ms: int, at: float, partition: int, *, text: bool = False) -> Message:
    event["timestamp"] = time_ms
    if text:
        event["timestamp"] = dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")
    key = event["prediction_id"].encode()
    return Message("predictions", partition, at, key, msgspec.json.encode(event), event, time_ms)


def _event(rng: np.random.Generator, model: str, version: str, role: str, place: float) -> dict[str, Any]:
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
        event |= {"fraud": _fraud, "eta": _eta, "topics": _topics, "brief": _brief, "stray": _stray}[model](rng, place)
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
        "prediction": _quarters(rng.normal(30, 8)),
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
            "age": float(rng.integers(18, 90)),
            "device": str(rng.choice(["phone", "desk", "new"] if place > 0.7 else ["phone", "desk"])),
            "secret": 1.0,
            "undeclared": "kept, not monitored",
        }
    elif model == "eta":
        out = {
            "distance": _quarters(rng.normal(10 if place < 0.5 else 16, 3)),
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


def _coda(rng: np.random.Generator, begin_ms: int) -> Iterator[Message]:
    """One event of every model version on every partition, long after all others."""
    for model, versions in VERSIONS.items():
        for version, role, _ in versions:
            for partition in range(PARTITIONS):
                event = _event(rng, model, version, role, 0.99)
                event["prediction_id"] = f"{model}-{version}-coda-{partition}"
                yield _message(event, begin_ms + int(CODA_S * 1000), 1.0, partition)


# --- labels


def _labels(rng: np.random.Generator, predictions: list[Message]) -> Iterator[Message]:
    for prediction in predictions:
        event = prediction.record
        model = event["model"]
        if model == "stray" or rng.random() < 0.08 or prediction.at >= 1.0:
            continue
        truth = _truth(rng, event)
        delay_ms = int(rng.exponential(600_000)) + 60_000
        chance = rng.random()
        early = chance < 0.03
        at = prediction.at - 0.03 if early else min(0.999, prediction.at + rng.exponential(0.05))
        time_ms = prediction.time_ms + (-1000 if early else delay_ms)
        first = _label(event, truth, time_ms, max(0.0, at))
        yield first
        if chance > 0.97:  # told twice
            yield replace(first, at=min(0.999, at + 0.02))
        elif chance > 0.93:  # corrected, in either order
            corrected = _truth(rng, event)
            moved = rng.uniform(-0.02, 0.05)
            yield _label(event, corrected, time_ms + 5000, min(0.999, max(0.0, at + moved)), weight=2.0)
        if rng.random() < 0.01:  # about nothing
            ghost = {**event, "prediction_id": f"ghost-{event['prediction_id']}"}
            yield _label(ghost, truth, time_ms, max(0.0, at))


def _truth(rng: np.random.Generator, event: dict[str, Any]) -> Any:
    model, prediction = event["model"], event.get("prediction")
    if model == "eta":
        return _quarters((prediction or 30.0) + rng.normal(0, 4))
    if model == "topics":
        return prediction if prediction is not None and rng.random() < 0.7 else "arts"
    if model == "brief":
        return str(rng.choice(["yes", "no"]))
    right = rng.random() < (0.95 if event["version"] == "1" else 0.5)
    value = bool(prediction) == right
    return float(value) if rng.random() < 0.2 else value


def _label(event: dict[str, Any], truth: Any, time_ms: int, at: float, weight: float | None = None) -> Message:
    if event["model"] == "brief":
        time_ms += 60_000
    record = {"prediction_id": event["prediction_id"], "model": event["model"], "label": truth, "timestamp": time_ms}
    if weight is not None:
        record |= {"weight": weight, "source": "back office"}
    key = record["prediction_id"].encode()
    return Message("labels", zlib.crc32(key) % PARTITIONS, at, key, msgspec.json.encode(record), record, time_ms)


# --- what is to be refused


def _bad_predictions(rng: np.random.Generator, n: int, begin_ms: int) -> Iterator[Message]:
    good = {"prediction_id": "bad", "model": "fraud", "version": "1", "timestamp": begin_ms, "prediction": True}
    kinds: list[tuple[bytes | None, Reason]] = [
        (b'{"prediction_id": "ba', Reason.MALFORMED_JSON),
        (b"\xff\xfe", Reason.MALFORMED_JSON),
        (b"", Reason.EMPTY),
        (None, Reason.EMPTY),
        (b"[]", Reason.WRONG_TYPE),
        (_without(good, "model"), Reason.MISSING_FIELD),
        (_encoded(good, prediction_id=7), Reason.WRONG_TYPE),
        (_encoded(good, score=1.5), Reason.OUT_OF_RANGE),
        (_encoded(good, latency_ms=-1.0), Reason.OUT_OF_RANGE),
        (_encoded(good, timestamp=1_700_000_000), Reason.TIMESTAMP_OUT_OF_RANGE),
        (_without(good, "prediction"), Reason.NO_PREDICTION),
        (_encoded(good, context=[1]), Reason.WRONG_TYPE),
        (_encoded(good, features={f"f{i}": 1.0 for i in range(2001)}), Reason.TOO_MANY_FEATURES),
    ]
    for _ in range(n):
        value, reason = kinds[rng.integers(len(kinds))]
        yield _bad("predictions", rng, value, reason)
    yield _bad("predictions", rng, b" " * 300_000, Reason.TOO_LARGE)


def _bad_labels(rng: np.random.Generator, n: int) -> Iterator[Message]:
    good = {"prediction_id": "bad", "model": "eta", "label": 3.0, "timestamp": 1_790_000_000_000}
    kinds: list[tuple[bytes | None, Reason]] = [
        (b"{", Reason.MALFORMED_JSON),
        (None, Reason.EMPTY),
        (_without(good, "label"), Reason.MISSING_FIELD),
        (_encoded(good, label="late"), Reason.WRONG_TYPE),
        (_encoded(good, weight=-1.0), Reason.OUT_OF_RANGE),
        (_encoded(good, timestamp=17), Reason.TIMESTAMP_OUT_OF_RANGE),
    ]
    for _ in range(n):
        value, reason = kinds[rng.integers(len(kinds))]
        yield _bad("labels", rng, value, reason)


def _bad(
    topic: Literal["predictions", "labels"], rng: np.random.Generator, value: bytes | None, reason: Reason
) -> Message:
    partition = int(rng.integers(PARTITIONS))
    return Message(topic, partition, float(rng.uniform(0, 0.99)), b"bad", value, reason=reason)


def _encoded(record: dict[str, Any], **replaced: Any) -> bytes:
    return msgspec.json.encode(record | replaced)


def _without(record: dict[str, Any], name: str) -> bytes:
    return msgspec.json.encode({key: value for key, value in record.items() if key != name})


# --- references: how the models were before the shifts


def _references(begin_ms: int) -> tuple[Reference, ...]:
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
        "feature:distance": np.array([_quarters(value) for value in rng.normal(10, 3, n)]),
        "feature:weather": rng.choice(["sun", "rain"], n, p=[0.8, 0.2]).tolist(),
        "prediction": np.array([_quarters(value) for value in rng.normal(30, 8, n)]),
    }
    before_ms = begin_ms - DAY_MS
    return (
        build("fraud", "1", fraud, n=n, start_ms=before_ms, end_ms=begin_ms),
        build("eta", "7", eta, n=n, start_ms=before_ms, end_ms=begin_ms),
    )


def _eighths(value: float) -> float:
    return round(8 * value) / 8


def _quarters(value: float) -> float:
    return round(4 * value) / 4


def _share(value: float) -> float:
    return round(64 * min(1.0, max(0.0, value))) / 64
