"""A migrated database, and a worker's join on it that carries its effects out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import pytest_asyncio

from driftline_schemas.records import AnyOutcome
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Coded, MapColumn, Rows
from driftline_streams.outcomes.join import Join, JoinResult
from driftline_streams.outcomes.lookup import Lookup
from driftline_streams.outcomes.recent import Recent
from driftline_streams.outcomes.waiting import Waiting
from driftline_streams.sinks.clickhouse import ClickHouse

from ..memory_batch import MemoryBatch

NOW_MS = 1_750_000_000_000
DAY_MS = 86_400_000
LABELS = ("t.labels", 0)


def label(prediction_id: str, value: float | str | bool, at_ms: int = NOW_MS, **more: Any) -> bytes:
    """A label message of model m."""
    return msgspec.json.encode(
        {"prediction_id": prediction_id, "model": "m", "label": value, "timestamp": at_ms} | more
    )


def predictions(first_offset: int, *events: dict[str, Any]) -> Rows:
    """Rows as `ingest` makes them; what an event does not say is that of a positive answer of version 1 of model m."""
    n = len(events)
    usual: dict[str, Any] = {
        "model": "m",
        "version": "1",
        "timestamp": NOW_MS - 1000,
        "status": "ok",
        "prediction": "true",
        "prediction_value": np.nan,
        "score": 0.75,
        "confidence": np.nan,
        "probabilities": {},
        "role": "champion",
        "request_id": "",
        "segment": {},
    }
    full = [usual | event for event in events]
    segments = [event["segment"] for event in full]
    models = sorted({event["model"] for event in full})
    return Rows(
        "predictions",
        n,
        {
            "prediction_id": [event["prediction_id"] for event in full],
            "model": Coded(models, np.array([models.index(event["model"]) for event in full], np.uint8)),
            "timestamp": np.array([event["timestamp"] for event in full], np.int64),
            **{name: [event[name] for event in full] for name in ("version", "status", "prediction", "role")},
            "request_id": [event["request_id"] for event in full],
            **{name: np.array([event[name] for event in full]) for name in ("prediction_value", "score", "confidence")},
            "probabilities": MapColumn.of([event["probabilities"] for event in full], np.float64),
            "segment": MapColumn(
                np.cumsum([len(segment) for segment in segments], dtype=np.uint64),
                [key for segment in segments for key in segment],
                [value for segment in segments for value in segment.values()],
            ),
            "topic": Coded.constant("t.predictions", n),
            "partition": np.zeros(n, np.uint32),
            "offset": np.arange(first_offset, first_offset + n).astype(np.uint64),
        },
    )


_batches = itertools.count()


@dataclass
class Worker:
    """What `app.py` does around the join: rows first, then messages."""

    database: ClickHouse
    catalog: Catalog = field(default_factory=Catalog)
    recent: Recent = field(default_factory=Recent)
    waiting: Waiting = field(default_factory=Waiting)

    def __post_init__(self) -> None:
        self.join = Join(self.catalog, "t", Lookup(self.database), recent=self.recent, waiting=self.waiting)
        self.published: list[AnyOutcome] = []
        self.offset = 0

    async def stored(self, rows: Rows, *, remember: bool = True) -> None:
        """Predictions that this worker (`remember`) or another one has ingested."""
        await self.database.insert([rows], f"predictions:{next(_batches)}")
        if remember:
            self.join.remember(rows)

    async def labelled(self, *messages: bytes | None, now_ms: int = NOW_MS) -> JoinResult:
        """The next batch of labels, and the look-up of those that were not in memory."""
        batch = MemoryBatch(messages, self.offset, "t.labels")
        self.offset += len(messages)
        hot = await self.done(self.join(batch, now_ms), f"labels:{batch.first}")
        cold = await self.retried(now_ms)
        joined, unanswered = hot.joined + cold.joined, hot.unanswered + cold.unanswered
        return replace(hot, joined=joined, unanswered=unanswered, waiting=cold.waiting)

    async def retried(self, now_ms: int) -> JoinResult:
        return await self.done(await self.join.retry([LABELS], now_ms), "")

    async def done(self, result: JoinResult, name: str) -> JoinResult:
        await self.database.insert(result.effects.rows, name)
        for told in result.outcomes:
            await self.database.insert(told.effects.rows, told.name)
            values = [message.value or b"" for message in told.effects.messages if message.topic.endswith(".outcomes")]
            self.published += [msgspec.json.decode(value, type=AnyOutcome) for value in values]
        return result

    async def outcomes(self) -> dict[str, str]:
        """Prediction id → latest label, from the table."""
        rows = await self.database.query("SELECT prediction_id, label FROM outcomes FINAL")
        assert len({row["prediction_id"] for row in rows}) == len(rows)
        return {row["prediction_id"]: row["label"] for row in rows}


@pytest_asyncio.fixture
async def worker(database: ClickHouse) -> Worker:
    """A worker that has just started."""
    return Worker(database)
