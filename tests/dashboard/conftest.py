"""A seeded database, and dashboards that run as a person would start them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from driftline_streams.embedded.ports import free_ports
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.migrations import migrate

from .seed import seed
from .truth import truth


@pytest.fixture(scope="session")
def on_clickhouse(clickhouse: Any) -> Callable[..., Settings]:
    """Settings on the run's ClickHouse: a database of its own unless one is given."""

    def make(**given: Any) -> Settings:
        chosen = {"clickhouse_host": clickhouse.host, "clickhouse_port": clickhouse.port, **given}
        if "clickhouse_database" not in chosen:
            chosen["clickhouse_database"] = clickhouse.database()
        return Settings(**chosen)

    return make


@pytest.fixture(scope="session")
def seeded(on_clickhouse: Callable[..., Settings], clickhouse: Any) -> Settings:
    """A database with two months of two versions in it. Whoever adds to it adds a model of its own."""
    own = on_clickhouse()
    sink = ClickHouse(own)
    migrate(sink)
    sink.close()
    with clickhouse.client(own.clickhouse_database) as client:
        seed(client)
        truth(client)
    return own


@pytest.fixture(scope="session")
def sql(seeded: Settings, clickhouse: Any) -> Iterator[Client]:
    """An analyst's client on the seeded database."""
    with clickhouse.client(seeded.clickhouse_database) as client:
        yield client


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, eventually: Any) -> Callable[..., Any]:
    """A dashboard with these settings for the length of a `with`; gives its address."""

    @contextmanager
    def serve(settings: Settings) -> Iterator[str]:
        port = free_ports(1)[0]
        log = tmp_path_factory.mktemp("dashboard") / "log"
        command = [sys.executable, "-m", "driftline_streams.cli", "dashboard", "--port", str(port)]
        with log.open("w") as out:
            process = subprocess.Popen(
                command, env={**os.environ, **settings.environment()}, cwd=log.parent, stdout=out, stderr=out
            )
        try:
            address = f"http://127.0.0.1:{port}"
            eventually(lambda: _answers(address, process, log))
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(15)
        said = log.read_text()
        assert code == 0, said
        assert "Traceback" not in said, said

    return serve


def _answers(address: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        with urllib.request.urlopen(f"{address}/alerts", timeout=5) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except OSError:
        return False
