"""What whole workers cost an event: `driftline worker` on a preloaded topic, with Kafka and ClickHouse beside it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from driftline_schemas.topics import PREDICTIONS
from driftline_streams.embedded.services import Services
from driftline_streams.sinks.clickhouse import ClickHouse

from ..measure import Stopwatch
from ..services import Deployment, send
from .traffic import Traffic

_DISK = (
    "SELECT table, sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts "
    "WHERE active AND database = currentDatabase() GROUP BY table"
)


@dataclass(frozen=True, slots=True)
class Run:
    """Microseconds of CPU an event, of the worker and of those beside it; and what is on the disk, merged."""

    traffic: Traffic
    partitions: int
    events: int
    worker_us: float
    clickhouse_us: float
    kafka_us: float
    wall_s: float
    bytes_on_disk: Mapping[str, int]  # by table
    rows: Mapping[str, int]
    rows_written: int  # into all tables


def run(services: Services, traffic: Traffic, events: int, partitions: int) -> Run:
    """One worker in a deployment of its own, until everything is stored and watched."""
    deployment = Deployment(services, traffic.records(), partitions=partitions)
    try:
        send(deployment.settings.kafka_bootstrap, deployment.topic(PREDICTIONS), traffic.events(events))
        before = _written(deployment)
        with deployment.worker() as worker:
            stopwatch = Stopwatch(worker.process.pid, services)
            deployment.wait_until_stored()
            stopwatch.stop_wall()
            deployment.wait_until_watched()
            cost = stopwatch.stop()
        written = _written(deployment) - before
        with closing(ClickHouse(deployment.settings)) as database:
            for table in ("predictions", "windows", "features"):
                database.command(f"OPTIMIZE TABLE {table} FINAL")
            disk = database.query_rows(_DISK)
        return Run(
            traffic=traffic,
            partitions=partitions,
            events=events,
            worker_us=cost.cpu_s / events * 1e6,
            clickhouse_us=cost.beside_s["clickhouse"] / events * 1e6,
            kafka_us=cost.beside_s["kafka"] / events * 1e6,
            wall_s=cost.wall_s,
            bytes_on_disk={row["table"]: row["bytes"] for row in disk},
            rows={row["table"]: row["rows"] for row in disk},
            rows_written=written,
        )
    finally:
        deployment.drop()


def _written(deployment: Deployment) -> int:
    with closing(ClickHouse(deployment.settings)) as database:
        (row,) = database.query_rows("SELECT sum(value) AS n FROM system.events WHERE event = 'InsertedRows'")
        return int(row["n"])
