"""What a person reads of runs: a table on the terminal, a table in Markdown, and everything about a failure."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import psutil
from rich.table import Table

from .run import Result
from .schedule import Kind

TITLES: dict[Kind, str] = {
    "kill": "SIGKILL",
    "stop": "SIGTERM",
    "freeze": "SIGSTOP",
    "join": "joins",
    "broker": "broker",
    "clickhouse": "ClickHouse",
}
COLUMNS = (
    *("seed", *TITLES.values()),
    *("events", "labels", "detections", "alerts", "batches", "repeats", "seconds", "verdict"),
)


def row(result: Result) -> dict[str, str]:
    """One run, by column."""
    counts = result.plan.count()
    numbers = (
        *(result.seed, *(counts.get(kind, 0) for kind in TITLES)),
        *(result.events, result.labels, result.detections, result.alerts, result.batches, result.repeated),
        round(result.seconds),
    )
    return dict(zip(COLUMNS, [*(f"{number:,}" for number in numbers), verdict(result)], strict=True))


def verdict(result: Result) -> str:
    """One word, or how many."""
    n = len(result.problems)
    return f"{n} difference{'s' if n > 1 else ''}" if n else "exact"


def table(results: Sequence[Result]) -> Table:
    """All runs, for the terminal: all faults in one column, and what is found left out."""
    columns = [column for column in COLUMNS if column not in {*TITLES.values(), "detections", "alerts"}]
    made = Table(box=None, pad_edge=False, header_style="dim")
    for column in (columns[0], "faults", *columns[1:]):
        made.add_column(column, justify="left" if column == "verdict" else "right")
    for result in results:
        cells = row(result)
        faults = str(len(result.plan.faults))
        style = "red" if result.problems else ""
        made.add_row(cells[columns[0]], faults, *(cells[column] for column in columns[1:]), style=style)
    return made


def failure(result: Result, again: str) -> str:
    """Everything that is known about a run that was not right."""
    lines = [f"seed {result.seed} was not exact. Again: {again}", "", "  The schedule as it happened:"]
    lines += [f"    {line}" for line in result.did]
    lines += ["", "  What differs:"]
    lines += [f"    - {problem}" for problem in result.problems]
    return "\n".join([*lines, "", f"  Logs of all processes, and their data: {result.directory}"])


def markdown(results: Sequence[Result], command: str) -> str:
    """The report of some runs as Markdown."""
    memory_gb = psutil.virtual_memory().total / 1e9
    lines = [
        f"- Command: `{command}`",
        f"- Date: {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        f"- Machine: {os.cpu_count()} cores, {memory_gb:.0f} GB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}",
        f"- Result: {sum(not result.problems for result in results)} of {len(results)} runs exact",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'|'.join('---' if column == 'verdict' else '---:' for column in COLUMNS)}|",
        *(f"| {' | '.join(row(result).values())} |" for result in results),
    ]
    for result in results:
        lines += ["", *(f"- seed {result.seed}: {problem}" for problem in result.problems)] if result.problems else []
    return "\n".join(lines) + "\n"


def write(path: Path, results: Sequence[Result], command: str) -> None:
    """Write the report, or put it in place of the last one: between the two marks of a document that has them."""
    begin, end = "<!-- measured -->", "<!-- /measured -->"
    text = markdown(results, command)
    old = path.read_text() if path.exists() else ""
    if begin in old and end in old:
        before, rest = old.split(begin, 1)
        text = f"{before}{begin}\n\n{text}\n{end}{rest.split(end, 1)[1]}"
    path.write_text(text)
