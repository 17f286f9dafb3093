"""How a contestant and the stopwatch talk: arguments, two marks on standard output, a file with what was counted."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WINDOW_MS = 10_000


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
        print("ready", flush=True)

    def done(self, read: int, windows: Iterable[dict[str, Any]] = ()) -> None:
        """Everything was read and counted: the stopwatch stops.

        A window has `model`, `version`, `window` (start in epoch ms), `n` and `errors`, and as far as it was computed
        `latency_sum`, `latency_max`, `quantiles` (three) and `means` by feature.
        """
        print("done", flush=True)
        self.out.write_text(json.dumps({"read": read, "windows": list(windows)}))
