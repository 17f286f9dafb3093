"""Ends services that must not outlive their starter: `python -m driftline_streams.embedded.guard`.

Every line of standard input names a process: its id and its start time. When the input ends, because the starter
closed it or was killed, the named processes are stopped. This works on every Unix and for every program, a JVM too.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import IO

from driftline_streams.embedded.processes import Process
from driftline_streams.errors import Unavailable


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
        """Let `process` not outlive this one."""
        with self._lock:
            pipe = self._pipe()
            pipe.write(f"{process.pid} {process.started_at}\n")
            pipe.flush()

    def close(self) -> None:
        """End what it watches, and itself."""
        self._pipe().close()
        self._watcher.wait()

    def _pipe(self) -> IO[str]:
        if self._watcher.stdin is None:
            raise Unavailable("the guard of the embedded services has no input")
        return self._watcher.stdin


def main() -> None:
    """Wait for the end of the input, then stop what it named."""
    named = []
    for line in sys.stdin:
        pid, started_at = line.split()
        named.append(Process(int(pid), float(started_at)))
    with ThreadPoolExecutor(max(1, len(named))) as at_once:
        list(at_once.map(Process.stop, named))


if __name__ == "__main__":
    main()
