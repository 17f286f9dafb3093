"""What models and label sources publish in one run: all of it follows from the seed and the hour it starts at.

Event times lie ahead of the wall clock, within one day. So the clocks that idle partitions send say nothing, and
windows close by the events alone, at the same place in every run. Within a partition no event is further behind the
newest than `LATENESS_S`, but for those of `stray`, of which nothing but sums is expected.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from driftline_schemas.spec import ModelSpec, Reference

from .message import PARTITIONS, Message
from .models import DAY_MS, SPECS, VERSIONS, event, quarters, references
from .refused import bad_labels, bad_predictions

LATENESS_S = 15.0  # of the workers
JITTER_S = 6.0
SPAN_S = 3_600.0  # of event time
CODA_S = 7_200.0  # the last events of all, which close every window before them
HOUR_MS = 3_600_000
SOURCES = ("", "audit", "back office", "clicks", "a guess")  # of labels, trusted differently by each model


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
    predictions = [
        *_everywhere(rng, "first", begin_ms, 0.0),  # a partition on which a model was never seen is not waited for
        *_predictions(rng, events, begin_ms),
        *_everywhere(rng, "last", begin_ms + int(CODA_S * 1000), 1.0),
    ]
    messages = [*predictions, *_labels(rng, predictions)]
    messages += [*bad_predictions(rng, events // 40, begin_ms), *bad_labels(rng, events // 60)]
    return Traffic(SPECS, references(begin_ms), sorted(messages, key=lambda message: message.at))


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
        made = event(rng, model, version, role, place)
        made["prediction_id"] = f"{model}-{i}"
        text = rng.random() < 0.1
        message = _message(made, time_ms, 0.98 * place, int(rng.integers(PARTITIONS)), text=text)
        yield message
        if rng.random() < 0.005:  # told twice
            yield message


def _message(made: dict[str, Any], time_ms: int, at: float, partition: int, *, text: bool = False) -> Message:
    made["timestamp"] = time_ms
    if text:
        made["timestamp"] = dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")
    key = made["prediction_id"].encode()
    return Message("predictions", partition, at, key, msgspec.json.encode(made), made, time_ms)


def _everywhere(rng: np.random.Generator, name: str, time_ms: int, at: float) -> Iterator[Message]:
    """One event of every model version on every partition."""
    for model, versions in VERSIONS.items():
        for version, role, _ in versions:
            for partition in range(PARTITIONS):
                made = event(rng, model, version, role, at)
                made["prediction_id"] = f"{model}-{version}-{name}-{partition}"
                yield _message(made, time_ms, at, partition)


# --- labels


def _labels(rng: np.random.Generator, predictions: list[Message]) -> Iterator[Message]:
    flooded = next(message for message in predictions if message.record["model"] == "fraud" and message.at > 0.1)
    for prediction in predictions:
        told = prediction.record
        model = told["model"]
        if model == "stray" or rng.random() < 0.08 or prediction.at >= 1.0:
            continue
        delay_ms = int(rng.exponential(600_000)) + 60_000
        chance = rng.random()
        early = chance < 0.03
        at = prediction.at - 0.03 if early else min(0.999, prediction.at + rng.exponential(0.05))
        time_ms = prediction.time_ms + (-1000 if early else delay_ms)
        if chance < 0.005:  # too early for any prediction
            time_ms -= DAY_MS
        first = _label(rng, told, time_ms, max(0.0, at))
        yield first
        if chance > 0.97:  # told twice
            yield replace(first, at=min(0.999, at + 0.02))
        elif chance > 0.87:  # corrected, in either order, perhaps by a source that is trusted less
            moved = rng.uniform(-0.02, 0.05)
            later_ms = int(rng.choice([-5000, 0, 5000]))
            yield _label(rng, told, time_ms + later_ms, min(0.999, max(0.0, at + moved)), weight=2.0)
        if rng.random() < 0.01:  # about nothing
            yield _label(rng, {**told, "prediction_id": f"ghost-{told['prediction_id']}"}, time_ms, max(0.0, at))
    for _ in range(
        200
    ):  # more about one prediction than about others, before it and after, within and out of its times
        time_ms = flooded.time_ms + int(rng.choice([-2 * DAY_MS, -1000, 5000, 60_000]))
        yield _label(rng, flooded.record, time_ms, float(rng.uniform(0.0, 0.2)))


def _truth(rng: np.random.Generator, told: dict[str, Any]) -> Any:
    model, prediction = told["model"], told.get("prediction")
    if model == "eta":
        return quarters((prediction or 30.0) + rng.normal(0, 4))
    if model == "topics":
        return prediction if prediction is not None and rng.random() < 0.7 else "arts"
    if model == "brief":
        return str(rng.choice(["yes", "no"]))
    if model == "shop":
        clicks: list[Any] = [True, False, 1.0, 0.0, 2.5]
        return clicks[rng.integers(len(clicks))]
    right = rng.random() < (0.95 if told["version"] == "1" else 0.5)
    value = bool(prediction) == right
    return float(value) if rng.random() < 0.2 else value


def _label(rng: np.random.Generator, told: dict[str, Any], time_ms: int, at: float, weight: float = 1.0) -> Message:
    model = told["model"]
    if model == "brief":
        time_ms += 60_000
    record = {
        "prediction_id": told["prediction_id"],
        "model": model,
        "label": _truth(rng, told),
        "timestamp": time_ms,
    }
    if weight != 1.0:
        record["weight"] = weight
    source = SOURCES[rng.integers(len(SOURCES))]
    if source:
        record["source"] = source
    if model == "shop" and rng.random() < 0.9:
        record["position"] = int(rng.integers(1, 11))
    key = record["prediction_id"].encode()
    return Message("labels", zlib.crc32(key) % PARTITIONS, at, key, msgspec.json.encode(record), record, time_ms)
