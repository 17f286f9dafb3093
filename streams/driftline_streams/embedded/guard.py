"""Ends services that must not outlive their starter: `python -m driftline_streams.embedded.guard`.

Every line of standard input names a process: its id and its start time. When the input ends, because the starter
closed it or was killed, the named processes are stopped. This works on every Unix and for every program, a JVM too.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from driftline_streams.embedded.processes import Process


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
