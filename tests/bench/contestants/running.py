"""Windows one event at a time, in plain Python: what the contestants have in common that never see a chunk.

Latency is a DDSketch of 1 % relative accuracy, as counters by bucket.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .work import GAMMA, MODELS, QUANTILES, Key

_LOG_GAMMA = math.log(GAMMA)


def time_ms(timestamp: str) -> int:
    """Epoch ms of an RFC 3339 timestamp."""
    return round(datetime.fromisoformat(timestamp).timestamp() * 1000)


def bucket(latency_ms: float) -> int:
    """The bucket of the sketch."""
    return math.ceil(math.log(max(latency_ms, 1e-9)) / _LOG_GAMMA)


def quantiles(counts: Mapping[int, int]) -> list[float]:
    """The latencies at `QUANTILES` in ms, of at least one event."""
    found: list[float] = []
    passed, rank = 0, sum(counts.values())
    for place in sorted(counts):
        passed += counts[place]
        while len(found) < len(QUANTILES) and passed >= QUANTILES[len(found)] * rank:
            found.append(2 * GAMMA**place / (GAMMA + 1))
    return found


class Running:
    """Sums of one window of one model version."""

    __slots__ = ("errors", "latency", "model", "n", "present", "sums")

    def __init__(self, model: str) -> None:
        self.model = model
        self.n = 0
        self.errors = 0
        self.latency: dict[int, int] = {}
        self.sums = dict.fromkeys(MODELS[model][0], 0.0)
        self.present = dict.fromkeys(MODELS[model][0], 0)

    def add(self, event: Mapping[str, Any]) -> None:
        """Add an event as its JSON says it."""
        self.n += 1
        self.errors += event["status"] == "error"
        place = bucket(event["latency_ms"])
        self.latency[place] = self.latency.get(place, 0) + 1
        features = event["features"]
        for name in self.sums:
            if (value := features[name]) is not None:
                self.sums[name] += value
                self.present[name] += 1

    def result(self, key: Key) -> dict[str, Any]:
        """The numbers that a person would look at."""
        return {
            "model": key[0],
            "version": key[1],
            "window": key[2],
            "n": self.n,
            "errors": self.errors,
            "quantiles": quantiles(self.latency),
            "means": {name: self.sums[name] / self.present[name] for name in self.sums},
        }
