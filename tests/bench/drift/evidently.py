"""Evidently on the same windows: in an environment and a process of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import environments
from .streams import Alarm, Stream

PATIENCE_S = 1_200.0
WHOLE = "*"  # the signal of an alarm that is about all columns together


@dataclass(frozen=True, slots=True)
class Job:
    """A stream and the windows (first event, end) of it to look at."""

    stream: Stream
    windows: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a job."""

    alarms: list[Alarm]
    values: int
    cpu_s: float


def windows_of(stream: Stream, width_ms: int) -> Job:
    """All windows of a stream, or, where it changes, those that end after it."""
    return Job(stream, [each for each in stream.windows(width_ms) if stream.change is None or each[1] > stream.change])


def ask(jobs: Sequence[Job]) -> list[Answer]:
    """Do all jobs in one process.

    Raises
    ------
    DidNotRun
        If the environment cannot be made, or it fails.
    """
    with tempfile.TemporaryDirectory(prefix="driftline-bench-") as directory:
        home = Path(directory)
        for number, job in enumerate(jobs):
            sides: dict[str, Any] = {f"reference:{name}": column for name, column in job.stream.sample().items()}
            sides |= {f"current:{name}": column for name, column in job.stream.columns.items()}
            np.savez(home / f"{number}.npz", **sides)
        listed = [{"name": f"{number}", "windows": list(job.windows)} for number, job in enumerate(jobs)]
        (home / "jobs.json").write_text(json.dumps(listed))
        environments.run("evidently", home, PATIENCE_S, DO_NOT_TRACK="1")
        return [_answer(each) for each in json.loads((home / "out.json").read_text())]


def _answer(out: dict[str, Any]) -> Answer:
    said = [Alarm(window["end"], name) for window in out["windows"] for name in window["drifted"]]
    said += [Alarm(window["end"], WHOLE) for window in out["windows"] if window["whole"]]
    return Answer(sorted(said), out["values"], out["cpu_s"])
