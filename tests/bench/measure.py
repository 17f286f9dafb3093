"""What a process costs between two marks: CPU time of all its threads, wall time, memory; and of those who serve it.

The same rule for everyone: the clock starts when a process is connected and begins to read, with everything it is going
to read on the broker, and stops when all of it has had its effects. What came before is told as the cost of the start.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from driftline_streams.embedded.services import Services

TICK_S = 0.01  # of the clock in which the kernel counts CPU time


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds and bytes of one process, and the CPU seconds of those who served it meanwhile, by name."""

    cpu_s: float
    wall_s: float
    startup_cpu_s: float
    peak_bytes: int
    beside_s: Mapping[str, float] = field(default_factory=dict)


class Stopwatch:
    """Started when it is made."""

    def __init__(self, pid: int, services: Services) -> None:
        self._pids = {
            "": pid,
            "kafka": services.kafka.running.process.pid,
            "clickhouse": services.clickhouse.running.process.pid,
        }
        self._started = time.monotonic()
        self._stopped: float | None = None
        self._before = self._cpu_s()

    def stop_wall(self) -> None:
        """What follows costs CPU, but nobody waits for it."""
        self._stopped = time.monotonic()

    def stop(self) -> Cost:
        """The cost until now."""
        now = self._stopped or time.monotonic()
        spent = {name: after - self._before[name] for name, after in self._cpu_s().items()}
        return Cost(
            cpu_s=max(TICK_S, spent.pop("")),
            wall_s=now - self._started,
            startup_cpu_s=self._before[""],
            peak_bytes=_peak_bytes(self._pids[""]),
            beside_s=spent,
        )

    def beside_s(self, name: str) -> float:
        """CPU seconds that one of the services has spent until now."""
        return self._cpu_s()[name] - self._before[name]

    def _cpu_s(self) -> dict[str, float]:
        times = {name: psutil.Process(pid).cpu_times() for name, pid in self._pids.items()}
        return {name: found.user + found.system for name, found in times.items()}


def _peak_bytes(pid: int) -> int:
    """The most memory that a process has held: since its start where the kernel tells (Linux), else now."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(psutil.Process(pid).memory_info().rss)


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure of several rounds."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        return cls(statistics.median(figures), min(figures), max(figures))
