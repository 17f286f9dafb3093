"""Events that went through `ingest` into the real ClickHouse."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec
import pytest

from driftline_streams.ingest import Ingest
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.model_topic import Entry, rows
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.migrations import migrate

from ..memory_batch import MemoryBatch

MONDAY_MS = 1_736_121_600_000  # 2025-01-06
NOW_MS = 1_790_000_000_000
_BATCHES = count()  # what was inserted once under a name is not inserted again, in an emptied table either


class Store:
    """A database, and the catalog that events are ingested with."""

    def __init__(self, database: ClickHouse) -> None:
        self.database = database
        self.catalog = Catalog()

    async def take(self, *events: dict[str, Any]) -> None:
        """Ingest events of which only what matters is given: they are those of version 1 of model m."""
        full = [
            {
                "prediction_id": f"p{i}",
                "model": "m",
                "version": "1",
                "timestamp": MONDAY_MS,
                "prediction": "a",
                **event,
            }
            for i, event in enumerate(events)
        ]
        batch = MemoryBatch([msgspec.json.encode(event) for event in full], next(_BATCHES) * 1_000_000)
        result = Ingest(self.catalog, "t")(batch, NOW_MS)
        assert not result.rejected
        await self.database.insert(result.effects.rows, f"{batch.topic}:{batch.first}-{batch.last}")

    async def mirror(self, entry: Entry) -> None:
        """An entry of the models topic, as `app.py` mirrors it."""
        await self.database.insert(rows([entry]), f"models:{next(_BATCHES)}")


@pytest.fixture(scope="module")
def migrated(clickhouse: Any) -> Iterator[ClickHouse]:
    """A database for the tests of one file: a second to make."""
    database = ClickHouse(
        Settings(
            clickhouse_host=clickhouse.host, clickhouse_port=clickhouse.port, clickhouse_database=clickhouse.database()
        )
    )
    migrate(database)
    yield database
    database.close()


@pytest.fixture
def store(migrated: ClickHouse) -> Store:
    """The database, empty."""
    for table in ("predictions", "windows", "features", "models", "audit"):
        migrated.command(f"TRUNCATE TABLE {table}")
    return Store(migrated)
