"""A worker on the real broker: batches come in order, under their names, and nothing is lost."""

from __future__ import annotations

import asyncio
from typing import Any

from driftline_streams.kernel.effects import Message
from driftline_streams.transport.app import build
from driftline_streams.transport.batch import Batch
from driftline_streams.transport.producer import Producer


async def test_smoke(settings: Any, kafka: Any) -> None:
    chosen = settings(batch_events=1000, batch_age_s=0.2)
    topic = kafka.topic(4)
    producer = Producer(chosen)
    await producer.send([Message(topic, str(i).encode(), partition=i % 4) for i in range(10_000)])
    app = build(chosen)
    got: list[Batch] = []
    done = asyncio.Event()

    async def handler(batch: Batch) -> None:
        got.append(batch)
        if sum(map(len, got)) == 10_000:
            done.set()

    app.on_batches(topic, handler)
    await app.start()
    await asyncio.wait_for(done.wait(), 30)
    await app.stop()
    print([b.name for b in got])
