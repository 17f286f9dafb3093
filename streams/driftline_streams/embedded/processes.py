"""Processes that outlive a call: started apart from the terminal, recognised after a restart, stopped within a bound.

A process id alone says nothing after a crash, because the kernel gives it to somebody else; together with its start
time it names one process for ever.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from driftline_streams.errors import Unavailable

STOP_S = 20.0  # a broker under load needs some seconds to write its state down; after this it is killed
LOG_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Process:
    """One process of this machine: its id and when it started (seconds since the epoch, as the kernel says)."""

    pid: int
    started_at: float

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this id now.

        Raises
        ------
        Unavailable
            If there is none.
        """
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            raise Unavailable(f"process {pid} ended as soon as it was started") from None

    def alive(self) -> bool:
        """Whether exactly this process runs (a zombie does not, nor does another one with the same id)."""
        return self._find() is not None

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would; returns when it is gone, also when it was gone before."""
        self._end(signal.SIGKILL, within_s=STOP_S)

    def stop(self, *, within_s: float = STOP_S) -> None:
        """End it in good order (SIGTERM), by force after `within_s` seconds; does nothing when it is gone already."""
        if not self._end(signal.SIGTERM, within_s=within_s):
            self.kill()

    def _find(self) -> psutil.Process | None:
        try:
            found = psutil.Process(self.pid)
            # Start times are read with the resolution of a clock tick: 10 ms.
            same = abs(found.create_time() - self.started_at) < 0.05
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def _end(self, sign: signal.Signals, *, within_s: float) -> bool:
        found = self._find()
        if found is None:
            return self._gone()
        with contextlib.suppress(psutil.NoSuchProcess):
            found.send_signal(sign)
        return wait_until(self._gone, within_s=within_s)

    def _gone(self) -> bool:
        try:
            # Of a child of ours this is certain only when it is reaped: a killed JVM already looks like a zombie
            # while its last threads still hold the port.
            done, _ = os.waitpid(self.pid, os.WNOHANG)
            return done == self.pid
        except ChildProcessError:
            return not self.alive()


@dataclass(frozen=True, slots=True)
class Listening:
    """A service that runs and takes requests on `port` of 127.0.0.1."""

    process: Process
    port: int


@contextlib.contextmanager
def hold(directory: Path) -> Iterator[int]:
    """Take `directory` (created when it is missing) for oneself and for the process that gets this descriptor.

    Two brokers on one directory destroy each other's metadata before Kafka's own lock stops the second. This lock is
    inherited: it lasts until the last process that has it is gone, however it ends.

    Raises
    ------
    Unavailable
        If a living process holds the directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:

        def taken() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        # A moment of patience for one that was killed just now.
        if not wait_until(taken, within_s=1.0):
            raise Unavailable(
                f"another process works on {directory}: stop it (`driftline down`), or choose another data directory"
            )
        yield lock.fileno()


def start(command: Sequence[str], *, log: Path, held: int, environment: Mapping[str, str] | None = None) -> Process:
    """Start `command` in a session of its own, so that Ctrl-C in the terminal reaches us and not it.

    What it prints goes to the file `log`, which starts empty; the log of the start before is kept as `<log>.1`. The
    process inherits `held`, the descriptor from `hold`.
    """
    with contextlib.suppress(FileNotFoundError):
        log.replace(log.with_name(log.name + ".1"))
    with log.open("wb") as out:
        child = subprocess.Popen(  # noqa: S603 - our own command line
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(held,),
            env={**os.environ, **(environment or {})},
        )
    child.returncode = 0  # `Process` reaps it; this keeps Popen from doing so and from warning
    return Process.of(child.pid)


def wait_until(condition: Callable[[], bool], *, within_s: float, every_s: float = 0.02) -> bool:
    """Ask `condition` until it holds (True) or `within_s` seconds are over (False)."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def tail(log: Path, *, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of a log file, indented for an error message; says so when the file is empty or missing."""
    try:
        return without_frames(log.read_text(errors="replace"), lines=lines)
    except FileNotFoundError:
        return without_frames("")


def without_frames(output: str, *, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of what a program printed, indented, without the stack frames of Java that hide the reason."""
    told = [line for line in output.splitlines() if not line.lstrip().startswith("at ")][-lines:]
    return "\n".join(f"    {line}" for line in told) or "    (nothing)"
