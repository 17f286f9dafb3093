"""Windows from chunks of events with numpy: what the fast contestants have in common.

Latency is a DDSketch of 1 % relative accuracy, as a row of counters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from .types import TYPES
from .work import GAMMA, MODELS, QUANTILES, WINDOW_MS, Key

LOWEST, BUCKETS = -256, 1024  # from 6 µs to 4,000 s


class Window:
    """Additive sums of one window of one model version."""

    def __init__(self, features: int) -> None:
        self.n = 0
        self.errors = 0
        self.latency: npt.NDArray[np.int64] = np.zeros(BUCKETS, np.int64)
        self.sums = np.zeros(features)
        self.present = np.zeros(features)

    def merge(self, other: Window) -> None:
        """Add the sums of a part of the same window."""
        self.n += other.n
        self.errors += other.errors
        self.latency += other.latency
        self.sums += other.sums
        self.present += other.present

    def result(self, key: Key) -> dict[str, Any]:
        """The numbers that a person would look at."""
        model, version, start_ms = key
        return {
            "model": model,
            "version": version,
            "window": start_ms,
            "n": self.n,
            "errors": self.errors,
            "quantiles": [self._quantile(q) for q in QUANTILES],
            "means": dict(zip(MODELS[model][0], (self.sums / self.present).tolist(), strict=True)),
        }

    def _quantile(self, q: float) -> float:
        bucket = int(np.searchsorted(np.cumsum(self.latency), q * self.latency.sum())) + LOWEST
        return float(2 * GAMMA**bucket / (GAMMA + 1))


class Windows:
    """The open windows. Events are of `TYPES`, or `Generic` when told so."""

    def __init__(self, *, generic: bool = False) -> None:
        self.open: dict[Key, Window] = {}
        self._numbers: dict[str, Any] = {
            model: itemgetter(*numeric) if generic else attrgetter(*numeric) for model, (numeric, _) in MODELS.items()
        }
        self._kind: Any = attrgetter("model") if generic else type
        self._model = {model: model for model in MODELS} if generic else {type_: m for m, type_ in TYPES.items()}

    def add(self, events: Iterable[Any]) -> None:
        """Add a chunk of events."""
        parts: dict[Any, list[Any]] = defaultdict(list)
        kind = self._kind
        for event in events:
            parts[kind(event)].append(event)
        for found, part in parts.items():
            self._add(self._model[found], part)

    def close(self, before_ms: int) -> list[dict[str, Any]]:
        """The results of the windows that end at `before_ms` or earlier; they are forgotten."""
        over = [key for key in self.open if key[2] + WINDOW_MS <= before_ms]
        return [self.open.pop(key).result(key) for key in over]

    def _add(self, model: str, events: list[Any]) -> None:
        time_ms = np.array([event.timestamp[:-1] for event in events], "datetime64[ms]").astype(np.int64)
        latency = np.array([event.latency_ms for event in events])
        failed = np.array([event.status == "error" for event in events])
        numbers_of = self._numbers[model]
        numbers = np.array([numbers_of(event.features) for event in events], np.float64)  # None becomes NaN
        missing = np.isnan(numbers)
        numbers[missing] = 0.0
        bucket = np.clip(np.ceil(np.log(np.maximum(latency, 1e-9)) / np.log(GAMMA)), LOWEST, LOWEST + BUCKETS - 1)
        bucket = bucket.astype(np.int64) - LOWEST
        start = time_ms // WINDOW_MS
        versions, version = np.unique([event.version for event in events], return_inverse=True)
        cells, cell = np.unique(start * len(versions) + version, return_inverse=True)
        for place, code in enumerate(cells.tolist()):
            mine = cell == place
            key = (model, str(versions[code % len(versions)]), code // len(versions) * WINDOW_MS)
            window = self.open.get(key) or self.open.setdefault(key, Window(numbers.shape[1]))
            window.n += int(mine.sum())
            window.errors += int(failed[mine].sum())
            window.latency += np.bincount(bucket[mine], minlength=BUCKETS)
            window.sums += numbers[mine].sum(axis=0)
            window.present += (~missing[mine]).sum(axis=0)
