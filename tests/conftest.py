"""One real Kafka and one real ClickHouse for the whole run, started when the first test asks for them."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import uuid4

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from driftline_streams.embedded import services
from driftline_streams.embedded.services import Services
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse as Sink
from driftline_streams.sinks.migrations import migrate

T = TypeVar("T")

# What a developer exported for a worker must not reach the tests.
for _name in [name for name in os.environ if name.startswith("DRIFTLINE_")]:
    del os.environ[_name]

_NUMBERS = count(1)
_RUN = uuid4().hex[:6]


def _unique(word: str) -> str:
    return f"{word}_{_RUN}_{next(_NUMBERS)}"


def _wait(condition: Callable[[], T], *, within_s: float = 10, every_s: float = 0.05) -> T:
    deadline = time.monotonic() + within_s
    while True:
        failed: AssertionError | None = None
        try:
            if found := condition():
                return found
        except AssertionError as error:
            failed = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {failed or condition}") from failed
        time.sleep(every_s)


@dataclass(frozen=True)
class Kafka:
    """The run's broker: `bootstrap` is what clients call `bootstrap.servers`."""

    bootstrap: str
    admin: AdminClient

    def topic(self, partitions: int = 1, *, name: str | None = None, **config: str) -> str:
        """Create a topic (under a name that nobody else uses when none is given) and wait until it has its leaders."""
        name = name or _unique("topic")
        self.admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(timeout=30)
        # The answer comes from the controller, which is some milliseconds ahead of the broker.
        _wait(lambda: self._led(name) == partitions, within_s=30)
        return name

    def _led(self, topic: str) -> int:
        found = self.admin.list_topics(topic, timeout=10).topics[topic]
        return sum(partition.leader >= 0 for partition in found.partitions.values())


@dataclass(frozen=True)
class ClickHouse:
    """The run's ClickHouse, on `host` and `port`."""

    host: str
    port: int

    def database(self) -> str:
        """Create a database that nobody else uses; gives its name."""
        name = _unique("db")
        with self.client("default") as client:
            client.command(f"CREATE DATABASE {name} ENGINE = Atomic")
        return name

    def client(self, database: str = "default") -> Client:
        """An ordinary clickhouse-connect client on `database`."""
        return clickhouse_connect.get_client(
            host=self.host, port=self.port, database=database, autogenerate_session_id=False
        )


class MakeSettings(Protocol):
    """Settings on the run's services; what is given replaces what the fixture would choose."""

    def __call__(self, **given: Any) -> Settings: ...


class Eventually(Protocol):
    """Ask `condition` until it gives something true, and give that back; fail the test after `within_s` seconds.

    An `AssertionError` in the condition counts as "not yet", and is shown if it stays that way.
    """

    def __call__(self, condition: Callable[[], T], *, within_s: float = 10, every_s: float = 0.05) -> T: ...


@pytest.fixture(scope="session")
def embedded() -> Iterator[Services]:
    """The services of this run, in a directory of their own; gone, with their data, when it ends."""
    with (
        tempfile.TemporaryDirectory(prefix="driftline-tests-", ignore_cleanup_errors=True) as directory,
        services.up(Path(directory), detach=False) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def kafka(embedded: Services) -> Kafka:
    """The run's broker."""
    admin = AdminClient({"bootstrap.servers": embedded.kafka_bootstrap})
    return Kafka(embedded.kafka_bootstrap, admin)


@pytest.fixture(scope="session")
def clickhouse(embedded: Services) -> ClickHouse:
    """The run's ClickHouse."""
    return ClickHouse(embedded.clickhouse_host, embedded.clickhouse_port)


@pytest.fixture
def settings(kafka: Kafka, clickhouse: ClickHouse, tmp_path: Path) -> MakeSettings:
    """Make settings: own topics, own group, own (existing, empty) database and own data directory for each call."""

    def make(**given: Any) -> Settings:
        name = _unique("test")
        chosen: dict[str, Any] = {
            "kafka_bootstrap": kafka.bootstrap,
            "topic_prefix": name,
            "group": name,
            "clickhouse_host": clickhouse.host,
            "clickhouse_port": clickhouse.port,
            "data_dir": tmp_path / name,
            "worker_id": name,
        }
        if "clickhouse_database" not in given:
            chosen["clickhouse_database"] = clickhouse.database()
        return Settings(**{**chosen, **given})

    return make


@pytest.fixture(scope="session")
def eventually() -> Eventually:
    """Wait for a condition instead of sleeping."""

    return _wait


@pytest.fixture
def migrated(settings: MakeSettings) -> Iterator[Client]:
    """A client on a database of its own with all tables and views."""
    own = settings()
    migrate(Sink(own))
    with clickhouse_connect.get_client(
        host=own.clickhouse_host,
        port=own.clickhouse_port,
        database=own.clickhouse_database,
        autogenerate_session_id=False,
    ) as client:
        yield client
