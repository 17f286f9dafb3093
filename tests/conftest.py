"""One real Kafka and one real ClickHouse for the whole run, started when the first test asks for them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
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
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from driftline_streams.embedded import services
from driftline_streams.embedded.services import Services
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse as Sink
from driftline_streams.sinks.migrations import migrate

from . import class_archive

T = TypeVar("T")

# Where a file takes long, for its tests start processes. These files come first, so that what is left for the end are
# small ones, and the processes of xdist finish together. Beside the year of the demo stand those that mostly wait.
LONG = ("demo", "sdk", "embedded", "transport", "pipeline", "chaos", "dashboard", "bench")

# What a developer exported for a worker must not reach the tests.
for _name in [name for name in os.environ if name.startswith("DRIFTLINE_")]:
    del os.environ[_name]

# How long an example takes says how busy the machine is.
hypothesis_settings.register_profile("driftline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("driftline")

# Of a wait for what must come. How soon it comes is not what is tested, and others use the machine as well.
PATIENCE_S = 90

_NUMBERS = count(1)
_RUN = uuid4().hex[:6]


_ARCHIVING = pytest.StashKey[subprocess.Popen[bytes]]()


def pytest_configure(config: pytest.Config) -> None:
    """Let brokers start from an archive of their classes; the first run of the suite makes it beside its tests."""
    archive = config.cache.mkdir("classes") / class_archive.name()
    os.environ["JAVA_TOOL_OPTIONS"] = class_archive.options(archive)
    of_the_suite = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if of_the_suite and not archive.exists():
        config.stash[_ARCHIVING] = subprocess.Popen([sys.executable, class_archive.__file__, archive])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave no process behind."""
    if (process := config.stash.get(_ARCHIVING, None)) is not None:
        process.terminate()
        process.wait()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of `LONG` first, in that order."""
    here = Path(__file__).parent
    places = {here / name: place for place, name in enumerate(LONG)}

    def place(item: pytest.Item) -> int:
        return next((places[parent] for parent in item.path.parents if parent in places), len(LONG))

    items.sort(key=place)


def _unique(word: str) -> str:
    return f"{word}_{_RUN}_{next(_NUMBERS)}"


def _wait(condition: Callable[[], T], *, within_s: float = PATIENCE_S, every_s: float = 0.05) -> T:
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
        _wait(lambda: self._led(name) == partitions)
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

    def __call__(self, condition: Callable[[], T], *, within_s: float = PATIENCE_S, every_s: float = 0.05) -> T: ...


@pytest.fixture(scope="session")
def embedded() -> Iterator[Services]:
    """The services of this run, in a directory of their own; gone, with their data, when it ends."""
    with (
        tempfile.TemporaryDirectory(prefix="driftline-tests-", ignore_cleanup_errors=True) as directory,
        services.up(Path(directory), detach=False) as running,
    ):
        yield running
        for service in (running.kafka, running.clickhouse):
            service.kill()  # to write everything down takes them seconds, and it is thrown away


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


class Databases:
    """Databases with all tables and views. One that a test has done with is emptied for the next.

    Tables that a test has written to are made anew: what was inserted once under a name is not inserted again, in an
    emptied table either.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._free: list[str] = []
        self._statements: dict[str, str] = {}  # by table and view

    def take(self) -> str:
        """The name of one that is empty."""
        if self._free:
            return self._free.pop()
        here, name = self._clickhouse, self._clickhouse.database()
        store = Sink(Settings(clickhouse_host=here.host, clickhouse_port=here.port, clickhouse_database=name))
        migrate(store)
        store.close()
        with here.client(name) as client:
            self._statements = self._described(client, name)
        return name

    def give_back(self, name: str) -> None:
        """Empty a database for another test; one whose tables a test has changed is left alone."""
        with self._clickhouse.client(name) as client:
            if self._described(client, name) != self._statements:
                return
            used = client.query(
                "SELECT DISTINCT table FROM system.parts "
                "WHERE database = {name:String} AND table != 'schema_migrations'",
                {"name": name},
            )
            for (table,) in used.result_rows:
                client.command(f"DROP TABLE {table} SYNC")
                client.command(self._statements[table])
        self._free.append(name)

    def _described(self, client: Client, name: str) -> dict[str, str]:
        found = client.query(
            "SELECT name, create_table_query FROM system.tables WHERE database = {name:String}", {"name": name}
        )
        return {table: re.sub(rf"\b{name}\.", "", statement) for table, statement in found.result_rows}


@pytest.fixture(scope="session")
def databases(clickhouse: ClickHouse) -> Databases:
    """The run's databases with all tables and views."""
    return Databases(clickhouse)


@pytest.fixture
def database(databases: Databases, settings: MakeSettings) -> Iterator[Sink]:
    """An empty database with all tables and views, as stages reach it."""
    store = Sink(settings(clickhouse_database=databases.take()))
    yield store
    store.close()
    databases.give_back(store.database)


@pytest.fixture
def migrated(database: Sink, clickhouse: ClickHouse) -> Iterator[Client]:
    """An ordinary client on an empty database with all tables and views."""
    with clickhouse.client(database.database) as client:
        yield client
