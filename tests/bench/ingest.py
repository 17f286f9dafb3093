"""Microseconds an event of the ingest stage, by part; run with `python -m tests.bench.ingest [events]`.

ClickHouse and Kafka are not part of it. Times are CPU times of this process, the best of several rounds.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable

import msgspec
import numpy as np

from driftline_streams.ingest import Ingest
from driftline_streams.ingest.cells import Segments
from driftline_streams.ingest.event import Event
from driftline_streams.ingest.features import FeatureSums
from driftline_streams.ingest.issues import repeated
from driftline_streams.ingest.partials import Source, encode, spans
from driftline_streams.ingest.raw import raw_rows
from driftline_streams.ingest.read import AT_A_TIME, Reader
from driftline_streams.ingest.signals import Watchlists
from driftline_streams.ingest.windows import WindowSums
from driftline_streams.kernel.joined import Joined
from driftline_streams.transport.worker import settle_memory

from ..memory_batch import MemoryBatch
from .events import START_MS, catalog, events

_decode = msgspec.json.Decoder(Event).decode  # the least that reading can cost
NOW_MS = START_MS + 60_000


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
    settle_memory()
    values, known = events(n, span_s=n / 20_000), catalog()
    batch = MemoryBatch(values)
    print(f"{n} events of {sum(map(len, values)) / n:.0f} bytes")
    gc.freeze()
    read = Reader(known)
    read(values, NOW_MS)
    reading = read(values, NOW_MS)
    assert reading.columns is not None
    columns = reading.columns
    watchlists = Watchlists()
    ids = Joined(columns.ids)
    segments, nothing = Segments.of(columns), repeated(columns, ids)
    windows = WindowSums.of(columns, segments)
    features = FeatureSums.of(columns, segments, watchlists, nothing)
    offset = np.arange(n)
    source = Source(batch.topic, 0, 0, n - 1)
    stage = Ingest(known, "driftline")
    chunks = [values[first : first + AT_A_TIME] for first in range(0, n, AT_A_TIME)]
    parts: dict[str, Callable[[], object]] = {
        "limit": lambda: [_decode_all(chunk) for chunk in chunks],
        "read": lambda: read(values, NOW_MS),
        "raw rows": lambda: raw_rows(columns, Joined(columns.ids), (batch.topic, 0), offset, NOW_MS),
        "windows": lambda: WindowSums.of(columns, segments).rows(),
        "features": lambda: FeatureSums.of(columns, segments, watchlists, repeated(columns, ids)).rows(),
        "partials": lambda: encode(source, offset, windows, features, spans(columns)),
        "whole stage": lambda: stage(batch, NOW_MS),
    }
    for name, run in parts.items():
        print(f"{name:14} {best_us(n, run):6.2f} µs/event")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
