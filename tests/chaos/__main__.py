"""`python -m tests.chaos`: seeds one after another, each in a directory of its own, removed when it was exact."""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from driftline_streams.telemetry import logs

from . import report, worker
from .fleet import WORKER
from .run import FULL, SHORT, Result, run

out = Console()

TRIES = 3  # a kill must hit a batch between its effects and its end


def main(  # noqa: PLR0917 - typer's options
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 1,
    seed_from: Annotated[int, typer.Option("--from", min=0, help="The first of them.")] = 1,
    report_to: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write the table there, as Markdown.")
    ] = None,
    subject: Annotated[
        str, typer.Option("--broken", metavar="HOW", help=f"Try workers that are not exact: {', '.join(worker.HOW)}.")
    ] = "",
    prove: Annotated[
        bool, typer.Option("--prove", help="Then try each of those until it is caught; it is an error if one is not.")
    ] = False,
    short: Annotated[bool, typer.Option("--short", help="Less traffic and fewer faults, as in the suite.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep data and logs of runs that were exact, too.")] = False,
) -> None:
    """Kill the pipeline in every way and see whether its numbers are those of the events.

    Each seed is a run of its own: a broker, ClickHouse and two workers and more, each a process of its own, with
    a schedule of kills, stops, freezes, joins and leaves. After it, every table must equal what was computed from the
    events without the pipeline. A run takes under a minute; the exit code is 1 when one was not exact.

    Example: python -m tests.chaos --seeds 5 --from 100
    """
    if subject and subject not in worker.HOW:
        raise typer.BadParameter(f"choose one of {', '.join(worker.HOW)}", param_hint="--broken")
    logs.configure("console", "error")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that a broker is away now and then is what this is about
    command = _command(subject)
    results: list[Result] = []
    caught = True
    try:
        for seed in range(seed_from, seed_from + seeds):
            results += [_one(seed, command, short=short, keep=keep)]
        if prove:
            caught = set(worker.HOW) == {how for how in worker.HOW if _caught(how, seed_from)}
    finally:
        out.print(report.table(results))
        if report_to is not None and results:
            report.write(report_to, results, f"python -m tests.chaos {' '.join(sys.argv[1:])}")
    raise typer.Exit(not caught or any(result.problems for result in results))


def _command(subject: str) -> tuple[str, ...]:
    return (*WORKER, subject) if subject else WORKER


def _caught(subject: str, seed_from: int) -> bool:
    """Whether workers that are broken are found to be, with one of three seeds."""
    for seed in range(seed_from, seed_from + TRIES):
        directory = Path(tempfile.mkdtemp(prefix=f"driftline-chaos-{subject}-"))
        with out.status(f"broken {subject}, seed {seed}"):
            result = run(seed, directory, FULL, _command(subject), lambda _: None)
        shutil.rmtree(directory)
        if result.problems:
            told = f"broken {subject}: caught with seed {seed}, {report.verdict(result)}: {result.problems[0]}"
            out.print(told, highlight=False, markup=False, soft_wrap=True)
            return True
    out.print(f"broken {subject}: not caught with {TRIES} seeds: this test proves nothing", style="red")
    return False


def _one(seed: int, command: tuple[str, ...], *, short: bool, keep: bool) -> Result:
    directory = Path(tempfile.mkdtemp(prefix=f"driftline-chaos-{seed}-"))
    with out.status(f"seed {seed}") as status:
        result = run(
            seed, directory, SHORT if short else FULL, command, lambda text: status.update(f"seed {seed}: {text}")
        )
    out.print(f"seed {seed}: {report.verdict(result)} in {result.seconds:.0f} s, {len(result.plan.faults)} faults")
    if result.problems:
        again = f"python -m tests.chaos --from {seed}{' --short' if short else ''}"
        out.print(report.failure(result, again), highlight=False, markup=False, soft_wrap=True)
    elif not keep:
        shutil.rmtree(directory)
    return result


if __name__ == "__main__":
    typer.run(main)
