"""The demo's worker: one more process of this machine, which may die and whose memory is watched."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import psutil

from driftline_streams.embedded import processes
from driftline_streams.embedded.services import Services
from driftline_streams.errors import Unavailable
from driftline_streams.settings import Settings

STOP_S = 15.0


class Worker:
    """`driftline worker` with these settings, apart from the terminal; it ends with this process at the latest."""

    def __init__(self, settings: Settings, services: Services) -> None:
        home = settings.data_dir / "worker"
        self.log = home / "worker.log"
        with processes.hold(home) as held:
            self._process = processes.start(
                [sys.executable, "-m", "driftline_streams.cli", "worker"],
                log=self.log,
                held=held,
                environment=settings.environment(),
            )
        if services.guard is not None:
            services.guard.watch(self._process)
        self.peak_bytes = 0

    def check(self) -> None:
        """Note how much memory it takes.

        Raises
        ------
        Unavailable
            If it has ended; the message shows the last lines of its log.
        """
        if not self._process.alive():
            raise Unavailable(f"the worker ended early; the last lines of {self.log}:\n{processes.tail(self.log)}")
        with suppress(psutil.NoSuchProcess):
            self.peak_bytes = max(self.peak_bytes, _peak_bytes(self._process.pid))

    def stop(self) -> None:
        """Let it finish its batches and end."""
        self._process.stop(within_s=STOP_S)


def _peak_bytes(pid: int) -> int:
    """The most memory that a process has held: since its start where the kernel tells (Linux), else now."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return int(psutil.Process(pid).memory_info().rss)
