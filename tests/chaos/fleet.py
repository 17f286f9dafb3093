"""The processes of one run: broker, ClickHouse and workers, each of which can be made to fail.

Workers are started as users start them, one command each with settings in the environment. Whatever ends this process
ends all of them.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from driftline_streams import model_topic
from driftline_streams.embedded import services
from driftline_streams.embedded.guard import Guard
from driftline_streams.embedded.processes import Process
from driftline_streams.embedded.services import Services
from driftline_streams.errors import Unavailable
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.migrations import migrate
from driftline_streams.transport.topics import create_all

from .message import PARTITIONS
from .schedule import STAYING, Fault
from .traffic import LATENESS_S, Traffic

# So small that a run has hundreds of batches. A worker that starts has one of these, so that nobody cuts a batch again
# as it was by accident: only the name that is on record can tell where it ended.
BATCH_EVENTS = (50, 80, 120, 170)
BATCH_AGE_S = 0.1
STARTED = "--- started"
STOP_S = 30.0  # what Kubernetes grants a worker

WORKER = ("-m", "tests.chaos.worker")


class Fleet:
    """Everything that runs, under one directory."""

    def __init__(self, directory: Path, running: Services, command: Sequence[str], guard: Guard, seed: int) -> None:
        self.directory = directory
        self.settings = Settings(
            kafka_bootstrap=running.kafka_bootstrap,
            clickhouse_host=running.clickhouse_host,
            clickhouse_port=running.clickhouse_port,
            data_dir=directory,
            partitions=PARTITIONS,
            batch_age_s=BATCH_AGE_S,
            lateness_s=LATENESS_S,
            idle_s=2.0,
            worker_id="chaos",
        )
        self.clickhouse = ClickHouse(self.settings)
        self.repeated = 0  # inserts that ClickHouse dropped
        self.died: list[str] = []  # workers that ended without being told to
        self._services = running
        self._command = command
        self._guard = guard
        self._sizes = random.Random(seed)  # noqa: S311 - of batches, nothing secret
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._changing = threading.Lock()
        self._suffering: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def prepare(self, traffic: Traffic) -> None:
        """Create topics and tables, and say what is known of the models."""
        create_all(self.settings)
        migrate(self.clickhouse)
        model_topic.publish(self.settings, [*traffic.specs, *traffic.references])

    # --- workers

    def start(self, who: str) -> None:
        """Start a worker."""
        own = {"DRIFTLINE_WORKER_ID": who, "DRIFTLINE_BATCH_EVENTS": str(self._sizes.choice(BATCH_EVENTS))}
        environment = {**os.environ, **self.settings.environment(), **own}
        with self.log_of(who).open("ab") as log:
            log.write(f"{STARTED} at {time.time():.3f}\n".encode())
            log.flush()
            process = subprocess.Popen(
                [sys.executable, *self._command], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self._guard.watch(Process.of(process.pid))
        self._workers[who] = process

    def kill(self, who: str) -> None:
        """Crash a worker."""
        process = self._taken(who)
        if process is not None:
            process.kill()
            process.wait()

    def stop(self, who: str) -> None:
        """Tell a worker to stop, and wait until it did."""
        process = self._taken(who)
        if process is None:
            return
        process.terminate()
        try:
            code = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.died.append(f"{who} did not stop within {STOP_S:.0f} s of SIGTERM")
        else:
            if code not in {0, -signal.SIGTERM}:  # the latter before it has started: it does not listen yet
                self.died.append(f"{who} was told to stop and ended with exit code {code}")

    def freeze(self, who: str, lasts_s: float) -> None:
        """Stop a worker's time for a while."""
        process = self._workers.get(who)
        if process is None:
            return
        process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(lasts_s)
        finally:
            process.send_signal(signal.SIGCONT)

    def running(self) -> list[str]:
        """The workers that run; those that ended by themselves are noted."""
        with self._changing:
            for who, process in list(self._workers.items()):
                if process.poll() is not None:
                    del self._workers[who]
                    if self._gave_up(who):
                        self.start(who)
                    else:
                        self.died.append(f"{who} ended by itself with exit code {process.returncode}")
            return sorted(self._workers)

    def log_of(self, who: str) -> Path:
        """Where a worker's log is kept."""
        return self.directory / f"worker-{who}.log"

    def _gave_up(self, who: str) -> bool:
        """Whether a worker only found nobody to talk to when it started, and said so: it may be started again."""
        last = self.log_of(who).read_text(errors="replace").rpartition(STARTED)[2]
        return "does not answer" in last and " reading " not in last and "Traceback" not in last

    def _taken(self, who: str) -> subprocess.Popen[bytes] | None:
        """A worker's process, which is ours to end now; `None` when it ended by itself."""
        self.running()
        with self._changing:
            return self._workers.pop(who, None)

    def await_work(self, within_s: float) -> None:
        """Wait until something is being stored: a fault that finds everything at rest is none."""
        deadline = time.monotonic() + within_s
        sql = "SELECT (SELECT count() FROM predictions) + (SELECT count() FROM labels) AS n"
        before: int | None = None
        while time.monotonic() < deadline:
            try:
                stored = self.clickhouse.query_rows(sql)[0]["n"]
            except Unavailable:
                return
            if before is not None and stored > before:
                return
            before = stored

    def count_repeated(self) -> None:
        """Add the inserts that ClickHouse has dropped since it was started, for it had seen them."""
        sql = "SELECT value FROM system.events WHERE event = 'DuplicatedInsertedBlocks'"
        with suppress(Unavailable):
            self.repeated += sum(row["value"] for row in self.clickhouse.query_rows(sql)) // 2  # it counts each twice

    # --- faults

    def suffer(self, fault: Fault) -> None:
        """Do what a line of the schedule says; returns when it is healed. Faults of one target wait for each other."""
        with self._suffering[fault.who]:
            self._suffer(fault)

    def _suffer(self, fault: Fault) -> None:
        match fault.kind:
            case "kill" | "stop":
                (self.kill if fault.kind == "kill" else self.stop)(fault.who)
                time.sleep(fault.lasts_s)
                self.start(fault.who)
            case "freeze":
                self.freeze(fault.who, fault.lasts_s)
            case "join":
                self.start(fault.who)
                time.sleep(fault.lasts_s)
                (self.kill if fault.hard else self.stop)(fault.who)
            case "broker" | "clickhouse":
                service = self._services.kafka if fault.kind == "broker" else self._services.clickhouse
                if fault.kind == "clickhouse":
                    self.count_repeated()
                service.kill()
                time.sleep(fault.lasts_s)
                service.restart()

    def heal(self) -> None:
        """See to it that the workers that stay run."""
        running = self.running()
        for who in STAYING:
            if who not in running:
                self.start(who)

    def rest(self) -> None:
        """Stop all workers in good order."""
        for who in self.running():
            self.stop(who)


@contextmanager
def fleet(directory: Path, command: Sequence[str], seed: int) -> Iterator[Fleet]:
    """Broker and ClickHouse on new data in `directory`; all processes end with the block."""
    guard = Guard()
    try:
        with services.up(directory, detach=False) as running:
            made = Fleet(directory, running, command, guard, seed)
            try:
                yield made
            finally:
                for who in made.running():
                    made.kill(who)
                made.clickhouse.close()
    finally:
        guard.close()
