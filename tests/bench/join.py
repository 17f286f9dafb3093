"""Labels per second through the join, hot and cold: `python -m tests.bench.join [labels]`, on the embedded ClickHouse.

Not part of the suite. Everything of a batch is counted: decoding, look-up, outcomes, their rows and messages; for
"stored" also the inserts.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from typing import Any

import msgspec
import numpy as np

from driftline_streams.ingest.stage import Ingest
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Rows
from driftline_streams.outcomes.join import Join
from driftline_streams.outcomes.lookup import Lookup
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.migrations import migrate

from ..memory_batch import MemoryBatch
from .services import started

BATCH = 20_000
NOW_MS = int(time.time() * 1000)


def batches(topic: str, messages: list[bytes]) -> list[MemoryBatch]:
    return [MemoryBatch(messages[i : i + BATCH], i, topic) for i in range(0, len(messages), BATCH)]


def events(n: int) -> tuple[list[bytes], list[bytes]]:
    """Predictions and their labels, in random order."""
    rng = np.random.default_rng(0)
    ids = [uuid.UUID(bytes=rng.bytes(16)).hex for _ in range(n)]
    scores = np.round(rng.random(n), 4).tolist()
    encode = msgspec.json.Encoder().encode
    served = [
        encode(
            {
                "prediction_id": prediction_id,
                "model": "m",
                "version": "v1",
                "timestamp": NOW_MS - 60_000 + i // 100,
                "latency_ms": 12.5,
                "prediction": score > 0.5,
                "score": score,
                "features": {"amount": 12.5, "country": "DE"},
                "segment": {"carrier": "UA", "country": "DE"},
                "request_id": f"r{i}",
            }
        )
        for i, (prediction_id, score) in enumerate(zip(ids, scores, strict=True))
    ]
    labels = [
        encode({"prediction_id": ids[i], "model": "m", "label": bool(i % 3), "timestamp": NOW_MS})
        for i in rng.permutation(n).tolist()
    ]
    return served, labels


async def measure(database: ClickHouse, n: int) -> None:
    served, labels = events(n)
    catalog = Catalog()
    ingest = Ingest(catalog, "t")
    rows: list[Rows] = []
    for number, batch in enumerate(batches("p", served)):
        effects = ingest(batch, NOW_MS).effects
        rows += [part for part in effects.rows if part.table == "predictions"]
        await database.insert(effects.rows, f"p{number}")

    async def run(join: Join, what: str, *, stored: bool) -> None:
        joined, wall, cpu = 0, time.perf_counter(), time.process_time()
        for number, batch in enumerate(batches("l", labels)):
            result = await join(batch, NOW_MS)
            joined += result.joined
            if stored:
                await database.insert(result.effects.rows, f"{what} {number}")
                await database.insert(result.outcomes.rows, f"{what} {result.outcomes_name}")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{what:12} {joined:>9,} joined  {n / wall:>9,.0f}/s wall  {n / cpu:>9,.0f}/s of this process' CPU")

    cold: Any = Join(catalog, "t", Lookup(database))
    await run(cold, "cold", stored=False)
    hot = Join(catalog, "t", Lookup(database))
    started = time.perf_counter()
    for part in rows:
        hot.remember(part)
    took = time.perf_counter() - started
    print(f"remember     {n / took:>9,.0f}/s, {hot.recent.nbytes / n:.0f} bytes each")
    await run(hot, "hot", stored=False)
    await run(hot, "hot stored", stored=True)


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with started() as running:
        address: dict[str, Any] = {
            "clickhouse_host": running.clickhouse_host,
            "clickhouse_port": running.clickhouse_port,
        }
        database = ClickHouse(Settings(**address, data_dir=running.data_dir))
        database.create_database()
        migrate(database)
        asyncio.run(measure(database, n))
        database.close()


if __name__ == "__main__":
    main()
