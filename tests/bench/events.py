"""The events of the benchmarks: what is sent, what is published about its models, and what is true of it.

Events are of about 445 bytes: 3 models of 2 versions, 7 numeric and 3 categorical features, 2 segments, 1 % nulls and
1 % errors, a little out of order, as a service would send them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.reference.build import build

from .contestants.work import MODELS, QUANTILES, WINDOW_MS, Key

START_MS = 1_790_000_000_000  # a full hour's tenth minute; no event is later than this plus the span
VERSIONS = ["v1", "v2"]
SCALE = np.array([50, 300, 3, 10, 0.2, 25, 1000])
LEVEL = np.array([100, 700, 5, 20, 0.5, 40, 3000])
CATEGORIES = ["alpha", "beta", "gamma", "delta", "eps", "zeta"]
SEGMENTS = {"country": ["US", "DE", "FR", "GB", "IN", "BR"], "carrier": ["dhl", "ups", "fedex", "gls", "dpd", "own"]}
_AT_A_TIME = 50_000
_NAMES = list(MODELS)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of one window: counts, latencies at `QUANTILES` in ms, their sum, largest, and means of features."""

    n: int
    errors: int
    latency_sum: float
    latency_max: float
    quantiles: tuple[float, ...]
    means: dict[str, float]  # of the numeric features, without nulls


@dataclass(frozen=True, slots=True)
class Sample:
    """Events as columns, in the order in which they are sent; arrays have shape `(n,)`, or `(n, columns)`."""

    model: Ints  # index into MODELS
    version: Ints  # index into VERSIONS
    time_ms: Ints
    failed: npt.NDArray[np.bool_]
    latency_ms: Floats
    score: Floats
    numbers: Floats  # NaN is null
    categories: Ints  # three features, then two segments

    @classmethod
    def draw(cls, n: int, *, span_s: float, seed: int = 1) -> Sample:
        """`n` events spread evenly over `span_s` seconds of event time."""
        random = np.random.default_rng(seed)
        numbers = np.round(random.normal(0, 1, (n, 7)) * SCALE + LEVEL, 3)
        numbers[random.random((n, 7)) < 0.01] = np.nan
        at_s = np.arange(n) * (span_s / n) - random.exponential(0.3, n)
        return cls(
            model=random.integers(0, len(MODELS), n),
            version=(random.random(n) < 0.2).astype(np.int64),
            time_ms=START_MS + np.floor(at_s * 1000).astype(np.int64),
            failed=random.random(n) < 0.01,
            latency_ms=np.round(random.lognormal(2.5, 0.6, n), 2),
            score=np.round(random.beta(2, 5, n), 4),
            numbers=numbers,
            categories=random.integers(0, 6, (n, 5)),
        )

    def __len__(self) -> int:
        return len(self.model)

    def messages(self, *, keyed: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values as they are sent; the key is the id, or `keyed`, model and version."""
        for first in range(0, len(self), _AT_A_TIME):
            part = slice(first, first + _AT_A_TIME)
            messages = self._messages(part, first)
            if keyed:
                whose = zip(self.model[part].tolist(), self.version[part].tolist(), messages, strict=True)
                messages = ((f"{_NAMES[m]}|{VERSIONS[v]}".encode(), value) for m, v, (_, value) in whose)
            yield from messages

    def _messages(self, part: slice, first: int) -> Iterator[tuple[bytes, bytes]]:
        time_ms, score = self.time_ms[part], self.score[part]
        numbers: npt.NDArray[Any] = self.numbers[part].astype(object)
        numbers[np.isnan(self.numbers[part])] = "null"
        rows = zip(
            self.model[part].tolist(),
            self.version[part].tolist(),
            time_ms.tolist(),
            np.datetime_as_string(time_ms.astype("datetime64[ms]"), unit="ms").tolist(),
            self.failed[part].tolist(),
            self.latency_ms[part].tolist(),
            score.tolist(),
            np.round(np.maximum(score, 1 - score), 4).tolist(),
            numbers.tolist(),
            self.categories[part].tolist(),
            strict=True,
        )
        for i, (model, version, ms, at, failed, latency, positive, confidence, x, c) in enumerate(rows, first):
            key = f"{ms:012x}7{i:019x}"
            if failed:
                answer = '"status":"error","error":{"type":"Timeout","message":"upstream"}'
            else:
                label = "pos" if positive > 0.5 else "neg"
                answer = f'"status":"ok","prediction":"{label}","score":{positive},"confidence":{confidence}'
            features = _FEATURES[model] % (*x, CATEGORIES[c[0]], CATEGORIES[c[1]], CATEGORIES[c[2]])
            value = (
                f'{{"prediction_id":"{key}","model":"{_NAMES[model]}","version":"{VERSIONS[version]}",'
                f'"timestamp":"{at}Z","latency_ms":{latency},{answer},"features":{{{features}}},'
                f'"segment":{{"country":"{_COUNTRIES[c[3]]}","carrier":"{_CARRIERS[c[4]]}"}}}}'
            )
            yield key.encode(), value.encode()

    def truth(self) -> dict[Key, Truth]:
        """What is true of every window of every model version."""
        window = self.time_ms // WINDOW_MS * WINDOW_MS
        groups, group = np.unique(np.stack([self.model, self.version, window]), axis=1, return_inverse=True)
        order = np.argsort(group, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
        return {
            (_NAMES[model], VERSIONS[version], start): self._truth(part, _NAMES[model])
            for (model, version, start), part in zip(groups.T.tolist(), parts, strict=True)
        }

    def _truth(self, part: Ints, model: str) -> Truth:
        latency = self.latency_ms[part]
        return Truth(
            n=len(part),
            errors=int(self.failed[part].sum()),
            latency_sum=float(latency.sum()),
            latency_max=float(latency.max()),
            quantiles=tuple(np.quantile(latency, QUANTILES, method="inverted_cdf").tolist()),
            means=dict(zip(MODELS[model][0], np.nanmean(self.numbers[part], axis=0).tolist(), strict=True)),
        )


_FEATURES = [
    ",".join([f'"{name}":%s' for name in numeric] + [f'"{name}":"%s"' for name in categorical])
    for numeric, categorical in MODELS.values()
]
_COUNTRIES, _CARRIERS = SEGMENTS.values()


def events(n: int, *, span_s: float = 1.0, seed: int = 1) -> list[bytes]:
    """The values of `n` events."""
    return [value for _, value in Sample.draw(n, span_s=span_s, seed=seed).messages()]


def records() -> list[ModelSpec | Reference]:
    """What is published on the models topic: specs that slice by both segments, and a reference for every version.

    Features have the width of the other windows, and drift is tested every 30 s, so that a run of a minute has it all.
    """
    specs: list[ModelSpec | Reference] = [
        ModelSpec(model=model, positive="pos", segments=list(SEGMENTS), feature_window_s=10, test_windows_s=(30,))
        for model in MODELS
    ]
    return specs + [_reference(model, version) for model in MODELS for version in VERSIONS]


def _reference(model: str, version: str, n: int = 20_000) -> Reference:
    sample = Sample.draw(n, span_s=60, seed=7)
    numeric, categorical = MODELS[model]
    answered = ~sample.failed
    columns: dict[str, Any] = {f"feature:{name}": sample.numbers[:, j] for j, name in enumerate(numeric)}
    columns |= {f"feature:{name}": np.array(CATEGORIES)[sample.categories[:, j]] for j, name in enumerate(categorical)}
    columns |= {
        "latency_ms": sample.latency_ms,
        "error_rate": sample.failed.astype(np.float64),
        "score": sample.score[answered],
        "confidence": np.maximum(sample.score, 1 - sample.score)[answered],
    }
    return build(model, version, columns, n=n, start_ms=START_MS - 60_000, end_ms=START_MS)


def catalog() -> Catalog:
    """The same as a worker knows it."""
    known = Catalog()
    for record in records():
        known.update(record)
    return known
