"""Microseconds an event of the ingest stage, by part; run with `python -m tests.bench.ingest [events]`.

Events are of about 445 bytes: 3 models, 2 versions, 7 numeric and 3 categorical features, 2 segments. ClickHouse and
Kafka are not part of it. Times are CPU times of this process, the best of several rounds.
"""

from __future__ import annotations

import datetime as dt
import gc
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from driftline_schemas.records import Moments
from driftline_schemas.spec import ModelSpec, Profile, Reference
from driftline_streams.ingest import Ingest
from driftline_streams.ingest.event import Event
from driftline_streams.ingest.features import FeatureSums
from driftline_streams.ingest.partials import Source, encode, spans
from driftline_streams.ingest.raw import raw_rows
from driftline_streams.ingest.read import AT_A_TIME, Reader
from driftline_streams.ingest.windows import WindowSums
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.histogram import edges

_decode = msgspec.json.Decoder(Event).decode  # the least that reading can cost
NOW_MS = 1_790_000_000_000
MODELS = {
    "fraud": (
        ["amount", "age_days", "velocity_1h", "velocity_24h", "ip_risk", "distance_km", "balance"],
        ["channel", "device", "merchant_type"],
    ),
    "churn": (
        ["tenure", "monthly_charge", "tickets_90d", "usage_gb", "nps", "discount", "late_payments"],
        ["plan", "region", "contract"],
    ),
    "eta": (
        ["trip_km", "traffic", "hour_sin", "temp_c", "rain_mm", "driver_rating", "stops"],
        ["vehicle", "zone", "surge"],
    ),
}
SCALE = np.array([50, 300, 3, 10, 0.2, 25, 1000])
LEVEL = np.array([100, 700, 5, 20, 0.5, 40, 3000])
CATEGORIES = ["alpha", "beta", "gamma", "delta", "eps", "zeta"]
SEGMENTS = {"country": ["US", "DE", "FR", "GB", "IN", "BR"], "carrier": ["dhl", "ups", "fedex", "gls", "dpd", "own"]}


@dataclass
class MemoryBatch:
    """A batch that was never on a broker."""

    messages: Sequence[bytes | None]
    topic: str = "driftline.predictions"
    partition: int = 0
    first: int = 0

    @property
    def last(self) -> int:
        return self.first + len(self.messages) - 1

    def offsets(self) -> list[int]:
        return list(range(self.first, self.last + 1))

    def values(self) -> Sequence[bytes | None]:
        return self.messages


def events(n: int, rate: float = 20_000.0, seed: int = 1) -> list[bytes]:
    """`n` events as a service would send them, `rate` a second, a little out of order, 1 % nulls and 1 % errors."""
    random = np.random.default_rng(seed)
    numbers = np.round(random.normal(0, 1, (n, 7)) * SCALE + LEVEL, 3)
    missing = random.random((n, 7)) < 0.01
    categories = random.integers(0, 6, (n, 5))
    latency, score = np.round(random.lognormal(2.5, 0.6, n), 2), np.round(random.beta(2, 5, n), 4)
    at_s = NOW_MS / 1000 + np.arange(n) / rate - random.exponential(0.3, n)
    models = list(MODELS)
    out = []
    for i, model in enumerate(random.integers(0, 3, n)):
        numeric, categorical = MODELS[models[model]]
        features: dict[str, float | str | None] = {
            name: None if missing[i, j] else float(numbers[i, j]) for j, name in enumerate(numeric)
        }
        features |= {name: CATEGORIES[categories[i, j]] for j, name in enumerate(categorical)}
        event = {
            "prediction_id": f"{int(at_s[i] * 1000):012x}7{i:019x}",
            "model": models[model],
            "version": "v2" if random.random() < 0.2 else "v1",
            "timestamp": dt.datetime.fromtimestamp(at_s[i], dt.UTC).isoformat(timespec="milliseconds"),
            "latency_ms": float(latency[i]),
        }
        if random.random() < 0.01:
            event |= {"status": "error", "error": {"type": "Timeout", "message": "upstream"}}
        else:
            answer = {"prediction": "pos" if score[i] > 0.5 else "neg", "score": float(score[i])}
            event |= {"status": "ok", **answer, "confidence": float(max(score[i], 1 - score[i]))}
        segment = {key: values[categories[i, 3 + j]] for j, (key, values) in enumerate(SEGMENTS.items())}
        out.append(msgspec.json.encode(event | {"features": features, "segment": segment}))
    return out


def catalog() -> Catalog:
    """Specs with two segments, and a reference for every version."""
    known = Catalog()
    sample = np.random.default_rng(0).normal(0, 1, (20_000, 7)) * SCALE + LEVEL
    for model, (numeric, categorical) in MODELS.items():
        known.update(ModelSpec(model=model, positive="pos", segments=list(SEGMENTS)))
        moments = Moments(20_000, 0, 0.0, 0.0, 0.0, 0.0)
        signals = {
            f"feature:{name}": Profile(type="numeric", moments=moments, edges=edges(sample[:, j]).tolist())
            for j, name in enumerate(numeric)
        }
        counts = dict.fromkeys(CATEGORIES, 3_000)
        signals |= {
            f"feature:{name}": Profile(type="categorical", moments=moments, categories=counts) for name in categorical
        }
        for version in ("v1", "v2"):
            reference = Reference(
                id=f"{model}-{version}", model=model, version=version, n=20_000, start_ms=0, end_ms=1, description="",
                signals=signals,
            )  # fmt: skip
            known.update(reference)
    return known


def best_us(n: int, run: Callable[[], object], rounds: int = 5) -> float:
    """CPU microseconds an event of the fastest round."""
    times = []
    for _ in range(rounds):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return min(times) / n * 1e6


def _decode_all(chunk: list[bytes]) -> int:
    return len(list(map(_decode, chunk)))


def main(n: int) -> None:
    """Print the parts and the whole."""
    values, known = events(n), catalog()
    batch = MemoryBatch(values)
    print(f"{n} events of {sum(map(len, values)) / n:.0f} bytes")
    gc.freeze()
    read = Reader(known)
    read(values, NOW_MS)
    reading = read(values, NOW_MS)
    assert reading.columns is not None
    columns = reading.columns
    windows, features = WindowSums.of(columns), FeatureSums.of(columns)
    offset = np.arange(n)
    source = Source(batch.topic, 0, 0, n - 1)
    stage = Ingest(known, "driftline")
    chunks = [values[first : first + AT_A_TIME] for first in range(0, n, AT_A_TIME)]
    parts: dict[str, Callable[[], object]] = {
        "limit": lambda: [_decode_all(chunk) for chunk in chunks],
        "read": lambda: read(values, NOW_MS),
        "raw rows": lambda: raw_rows(columns, (batch.topic, 0), offset, NOW_MS),
        "windows": lambda: WindowSums.of(columns).rows(),
        "features": lambda: FeatureSums.of(columns).rows(),
        "partials": lambda: encode(source, offset, windows, features, spans(columns)),
        "whole stage": lambda: stage(batch, NOW_MS),
    }
    for name, run in parts.items():
        print(f"{name:14} {best_us(n, run):6.2f} µs/event")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
