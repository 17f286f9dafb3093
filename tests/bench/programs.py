"""Runs a contestant of `tests/bench/contestants` on a lap, between the marks it sets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Timer
from typing import Any

from . import environments
from .course import Course, DidNotRun, Lap, Run
from .measure import Cost, Stopwatch
from .services import PARTITIONS
from .verdict import disagreement

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300.0


def run(
    course: Course, events: int, *, name: str, variant: str = "", environment: str = "", keyed: bool = False
) -> Run:
    """Run `contestants.<name>` in a process of its own, in an environment of its own when that is named.

    Raises
    ------
    DidNotRun
        If it fails, takes longer than `PATIENCE_S`, or its environment cannot be made.
    """
    python = environments.python(environment) if environment else Path(sys.executable)
    lap = course.lap(events, keyed=keyed)
    with tempfile.TemporaryDirectory(prefix="driftline-bench-") as directory:
        home = Path(directory)
        arguments = {
            "--bootstrap": course.services.kafka_bootstrap,
            "--topic": lap.topic,
            "--results-topic": lap.results_topic,
            "--partitions": PARTITIONS,
            "--events": events,
            "--out": home / "out.json",
            "--variant": variant,
        }
        command = [python, "-m", f"tests.bench.contestants.{name}", *(p for pair in arguments.items() for p in pair)]
        with (home / "log").open("w+") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=home,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            cost = _watch(process, course)
            process.communicate()
            log.seek(0)
            if cost is None:
                raise DidNotRun(f"exit {process.returncode}: {_last_line(log.read())}")
        out: dict[str, Any] = json.loads((home / "out.json").read_text())
    return Run(events, cost, _wrong(out, lap, events))


def _wrong(out: dict[str, Any], lap: Lap, events: int) -> str:
    if out["read"] != events:
        return f"read {out['read']:,} of {events:,} events"
    if out["windows"] is None:
        return ""
    return disagreement(out["windows"], lap.truth if out["grace_ms"] is None else lap.closed(out["grace_ms"]))


def _watch(process: subprocess.Popen[str], course: Course) -> Cost | None:
    patience = Timer(PATIENCE_S, process.kill)
    patience.start()
    try:
        if not _marked(process, "ready"):
            return None
        stopwatch = Stopwatch(process.pid, course.services)
        return stopwatch.stop() if _marked(process, "done") else None
    finally:
        patience.cancel()


def _marked(process: subprocess.Popen[str], mark: str) -> bool:
    assert process.stdout is not None
    return any(line.strip() == mark for line in process.stdout)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no word of why"])[-1][:200]
