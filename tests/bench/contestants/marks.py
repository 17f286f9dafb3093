"""How a contestant and the stopwatch talk: arguments, two marks on standard output, a file with what was counted.

After the second mark a contestant waits until its standard input is closed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Task:
    """What to read, how many events there are, and how to go about it."""

    bootstrap: str
    topic: str
    results_topic: str
    partitions: int
    events: int
    out: Path
    variant: str

    @classmethod
    def of_arguments(cls) -> Task:
        """What the command line says."""
        parser = argparse.ArgumentParser()
        parser.add_argument("--bootstrap", required=True)
        parser.add_argument("--topic", required=True)
        parser.add_argument("--results-topic", required=True)
        parser.add_argument("--partitions", type=int, required=True)
        parser.add_argument("--events", type=int, required=True)
        parser.add_argument("--out", type=Path, required=True)
        parser.add_argument("--variant", default="")
        return cls(**vars(parser.parse_args()))

    def ready(self) -> None:
        """The partitions are known and reading begins: the stopwatch starts."""
        _mark("ready")

    def done(self, read: int, windows: list[dict[str, Any]] | None = None, *, grace_ms: int | None = None) -> None:
        """Everything was read and counted: the stopwatch stops.

        A window has `model`, `version`, `window` (start in epoch ms), `n` and `errors`, and as far as it was computed
        `latency_sum`, `latency_max`, `quantiles` (three) and `means` by feature. With `grace_ms`, there are only those
        that a later event closed. Who counts none has `None`.
        """
        _mark("done")
        sys.stdin.read()  # until the costs have been read, for they go with the process
        self.out.write_text(json.dumps({"read": read, "windows": windows, "grace_ms": grace_ms}))


def _mark(word: str) -> None:
    os.write(1, f"{word}\n".encode())  # frameworks take `sys.stdout` for their logs
