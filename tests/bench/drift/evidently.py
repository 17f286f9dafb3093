"""Evidently on the same windows: in an environment and a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import environments
from ..course import DidNotRun
from .streams import Alarm, Stream

ROOT = Path(__file__).parents[3]
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
    python = environments.python("evidently")
    with tempfile.TemporaryDirectory(prefix="driftline-bench-") as directory:
        home = Path(directory)
        for number, job in enumerate(jobs):
            sides: dict[str, Any] = {f"reference:{name}": column for name, column in job.stream.sample().items()}
            sides |= {f"current:{name}": column for name, column in job.stream.columns.items()}
            np.savez(home / f"{number}.npz", **sides)
        listed = [{"name": f"{number}", "windows": list(job.windows)} for number, job in enumerate(jobs)]
        (home / "jobs.json").write_text(json.dumps(listed))
        ran = subprocess.run(
            [python, "-m", "tests.bench.contestants.evidently", home],
            env={**os.environ, "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1"},
            cwd=home,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if ran.returncode:
            raise DidNotRun(
                f"exit {ran.returncode}: {(ran.stderr.strip().splitlines() or ['no word of why'])[-1][:200]}"
            )
        return [_answer(each) for each in json.loads((home / "out.json").read_text())]


def _answer(out: dict[str, Any]) -> Answer:
    said = [Alarm(window["end"], name) for window in out["windows"] for name in window["drifted"]]
    said += [Alarm(window["end"], WHOLE) for window in out["windows"] if window["whole"]]
    return Answer(sorted(said), out["values"], out["cpu_s"])
