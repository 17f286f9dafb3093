"""Ends services that must not outlive their starter: `python -m driftline_streams.embedded.guard`.

Every line of standard input names a process: its id and its start time. When the input ends, because the starter
closed it or was killed, the named processes are stopped; the line `dismissed` lets them live. This works on every Unix
and for every program, a JVM too.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import IO

from driftline_streams.embedded.processes import Process
from driftline_streams.errors import BrokenInvariant

DISMISSED = "dismissed"


class Guard:
    """A process that stops services when this one ends, however it ends."""

    def __init__(self) -> None:
        self._watcher = subprocess.Popen(
            [sys.executable, "-m", "driftline_streams.embedded.guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        self._lock = Lock()

    def watch(self, process: Process) -> None:
        """Let `process` not outlive this one; after `dismiss` it may."""
        with self._lock:
            if not self._pipe.closed:
                self._pipe.write(f"{process.pid} {process.started_at}\n")
                self._pipe.flush()

    def close(self) -> None:
        """End what it watches, and itself."""
        with self._lock:
            self._pipe.close()
        self._watcher.wait()

    def dismiss(self) -> None:
        """End only itself: what it watched may live."""
        with self._lock:
            self._pipe.write(f"{DISMISSED}\n")
        self.close()

    @property
    def _pipe(self) -> IO[str]:
        if self._watcher.stdin is None:
            raise BrokenInvariant("the guard was started with a pipe as its input, and has none")
        return self._watcher.stdin


def main() -> None:
    """Wait for the end of the input, then stop what it named."""
    named = []
    for line in sys.stdin:
        if line.strip() == DISMISSED:
            return
        pid, started_at = line.split()
        named.append(Process(int(pid), float(started_at)))
    with ThreadPoolExecutor(max(1, len(named))) as at_once:
        list(at_once.map(Process.stop, named))


if __name__ == "__main__":
    main()
