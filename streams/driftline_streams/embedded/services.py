"""Kafka and ClickHouse on this machine as a pair: `up`, `down`, `status`, and the file that tells everyone else.

What runs is written down in `<data_dir>/services.json`: the addresses, which `Settings` reads, and for each process its
id and start time, so that after a crash a file that tells of the past is seen as such.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from driftline_streams.embedded.clickhouse import server_name, start_clickhouse
from driftline_streams.embedded.guard import Guard
from driftline_streams.embedded.jars import DownloadProgress
from driftline_streams.embedded.kafka import cluster_id, start_kafka
from driftline_streams.embedded.ports import LOOPBACK
from driftline_streams.embedded.processes import Listening, Process
from driftline_streams.errors import Unavailable, UsageError
from driftline_streams.settings import SERVICES_FILE

Name = Literal["kafka", "clickhouse"]
NAMES: tuple[Name, ...] = ("kafka", "clickhouse")


class Service:
    """One of the two, which a test may kill and start again."""

    def __init__(self, running: Listening, start: Callable[[], Listening]) -> None:
        self.running = running
        self._start = start

    def kill(self) -> None:
        """Crash it: SIGKILL, no goodbye."""
        self.running.process.kill()

    def restart(self) -> None:
        """Start it again on the same data and the same port, killing it before if it still runs.

        Raises
        ------
        Unavailable
            If it does not start, or somebody took its port meanwhile.
        """
        self.kill()
        before = self.running.port
        self.running = self._start()
        if self.running.port != before:
            raise Unavailable(f"port {before} was taken meanwhile; the service now listens on {self.running.port}")


@dataclass(slots=True)
class Services:
    """Both services, ready for use. As a context manager it stops on leaving what it started attached, nothing else."""

    data_dir: Path
    kafka: Service
    clickhouse: Service
    already_ran: bool
    guard: Guard | None = None

    @property
    def kafka_bootstrap(self) -> str:
        """What Kafka clients call `bootstrap.servers`."""
        return f"{LOOPBACK}:{self.kafka.running.port}"

    @property
    def clickhouse_host(self) -> str:
        """Where ClickHouse listens."""
        return LOOPBACK

    @property
    def clickhouse_port(self) -> int:
        """The port of ClickHouse's HTTP interface."""
        return self.clickhouse.running.port

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.guard is not None:
            down(self.data_dir)
            self.guard.close()


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of one service: its address and process, and whether it `runs` and `answers` as itself."""

    name: Name
    address: str
    process: Process
    runs: bool
    answers: bool


def up(data_dir: Path, *, detach: bool, progress: DownloadProgress | None = None) -> Services:
    """Make both services run on the data in `data_dir`; does nothing where they run already.

    Parameters
    ----------
    detach
        Whether services that are started now outlive this process (until `down`), or end with it, also when it is
        killed.
    progress
        Shows the download of Kafka's jars, the first time on a machine.

    Raises
    ------
    UsageError
        If the services cannot work in this directory.
    Unavailable
        If one of them does not start; then the other is stopped as well.
    """
    data_dir = data_dir.resolve()
    if odd := set(str(data_dir)) & set(",?\n"):
        raise UsageError(f"choose a data directory without {' and '.join(map(repr, sorted(odd)))}: {data_dir}")
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"choose a data directory that can be written: {error}") from None
    with _locked(data_dir):
        before = {status.name: status for status in status(data_dir)}
        guard = Guard()  # while they start, also over those that shall outlive us: nobody else knows of them yet
        born: list[Process] = []

        def started(process: Process) -> None:
            born.append(process)
            guard.watch(process)

        starts: dict[Name, Callable[[], Listening]] = {
            "kafka": lambda: start_kafka(data_dir / "kafka", started=started, progress=progress),
            "clickhouse": lambda: start_clickhouse(data_dir / "clickhouse", started=started),
        }
        try:
            with ThreadPoolExecutor(len(NAMES)) as at_once:
                found = {name: at_once.submit(_found_or_started, before.get(name), starts[name]) for name in NAMES}
                running = {name: future.result() for name, future in found.items()}
            _write(data_dir, running)
        except BaseException:  # Ctrl-C, too, leaves nothing behind
            for process in born:
                process.stop()
            guard.close()
            raise
        ours = bool(born) and not detach
        if not ours:
            guard.dismiss()
    services: dict[Name, Service] = {}

    def again(name: Name) -> Listening:
        with _locked(data_dir):
            listening = starts[name]()
            _write(data_dir, {**{n: s.running for n, s in services.items()}, name: listening})
            return listening

    services["kafka"] = Service(running["kafka"], lambda: again("kafka"))
    services["clickhouse"] = Service(running["clickhouse"], lambda: again("clickhouse"))
    return Services(data_dir, services["kafka"], services["clickhouse"], not born, guard if ours else None)


def down(data_dir: Path) -> list[Name]:
    """Stop what `up` started on this directory, and forget it; the data stays. Gives the names of what had run."""
    if not data_dir.is_dir():
        return []
    with _locked(data_dir):
        running = [status for status in status(data_dir) if status.runs]
        with ThreadPoolExecutor(len(NAMES)) as at_once:
            list(at_once.map(lambda each: each.process.stop(), running))
        (data_dir / SERVICES_FILE).unlink(missing_ok=True)
    return [each.name for each in running]


def status(data_dir: Path) -> list[Status]:
    """What is known about the services of this directory; empty when none were started, or `down` stopped them."""
    path = data_dir / SERVICES_FILE
    try:
        processes: Mapping[str, Any] = json.loads(path.read_text())["processes"]
        return [_status(name, processes[name]) for name in NAMES]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        # A damaged file tells nothing that could be stopped or used; `up` writes a new one.
        return []


def _status(name: Name, known: Mapping[str, Any]) -> Status:
    process, port = Process(int(known["pid"]), float(known["started_at"])), int(known["port"])
    runs = process.alive()
    # Its process listens on this port or nobody does: the port alone may be somebody else's by now.
    answers = runs and (cluster_id(port) if name == "kafka" else server_name(port)) is not None
    return Status(name, f"{LOOPBACK}:{port}", process, runs, answers)


def _found_or_started(before: Status | None, start: Callable[[], Listening]) -> Listening:
    if before is not None and before.answers:
        return Listening(before.process, int(before.address.rpartition(":")[2]))
    if before is not None:
        before.process.stop()  # it runs but does not answer: it would hold the data
    return start()


def _write(data_dir: Path, running: Mapping[Name, Listening]) -> None:
    path = data_dir / SERVICES_FILE
    written = path.with_suffix(".new")
    content = {
        "settings": {
            "kafka_bootstrap": f"{LOOPBACK}:{running['kafka'].port}",
            "clickhouse_host": LOOPBACK,
            "clickhouse_port": running["clickhouse"].port,
        },
        "processes": {name: {**asdict(each.process), "port": each.port} for name, each in running.items()},
    }
    written.write_text(json.dumps(content, indent=2) + "\n")
    written.replace(path)  # at once: nobody reads half of it


@contextlib.contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """One `up` or `down` on a directory at a time; the kernel drops the lock when its holder dies."""
    with (data_dir / "services.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
