"""The real ClickHouse engine on loopback: starts its owner process and makes sure that it is ours that answers."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from driftline_streams.embedded.ports import LOOPBACK, is_free
from driftline_streams.embedded.processes import Listening, Process, hold, start, tail, wait_until
from driftline_streams.errors import Unavailable

OWNER = "driftline_streams.embedded.clickhouse_http"
START_S = 60.0  # 1 s on an idle machine
NAME_HEADER = "X-ClickHouse-Server-Display-Name"
ENVIRONMENT = {
    # As a ClickHouse server in production: times without a zone are UTC, wherever the laptop is.
    "TZ": "UTC",
    # Bodies of some MB come and go in pieces. Given back to the system, their memory is filled with zeros again a page
    # at a time: half of what it cost to receive an insert (0.5 µs an event, and 0.25 when glibc keeps some of it).
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
    "MALLOC_TOP_PAD_": str(16 << 20),
}


def start_clickhouse(directory: Path, *, started: Callable[[Process], None] = lambda _: None) -> Listening:
    """Start the engine on the data in `directory` (created when it is missing) and wait until it takes requests.

    It listens where it listened last time when that port is still free, so that clients find it again after a crash.

    `started` is called with its process at once, before it is ready.

    Raises
    ------
    Unavailable
        If it does not start; the message carries the end of its log.
    """
    log, last = directory / "clickhouse.log", directory / "listening.json"
    with hold(directory) as held:
        name = f"driftline-{uuid4().hex}"
        port = _last_port(last)
        last.unlink(missing_ok=True)
        arguments = {"--directory": directory / "data", "--port": port, "--name": name, "--announce": last}
        process = start(
            [sys.executable, "-m", OWNER, *(str(part) for pair in arguments.items() for part in pair)],
            log=log,
            held=held,
            environment=ENVIRONMENT,
        )
        started(process)
        wait_until(lambda: last.exists() or not process.alive(), within_s=START_S)
        if last.exists():
            port = json.loads(last.read_text())["port"]
            if process.alive() and server_name(port) == name:
                return Listening(process, port)
        process.stop()
    raise Unavailable(f"ClickHouse did not start within {START_S:.0f} s. The end of {log} says:\n{tail(log)}")


def server_name(port: int) -> str | None:
    """What the ClickHouse on `port` calls itself; None while nobody answers there as one."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().getheader(NAME_HEADER)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _last_port(last: Path) -> int:
    try:
        port = int(json.loads(last.read_text())["port"])
    except (FileNotFoundError, ValueError, KeyError):
        return 0
    return port if wait_until(lambda: is_free(port), within_s=0.5) else 0
