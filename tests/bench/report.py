"""The figures of a run of the benchmark, as JSON with stable keys and as a page for people."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from .contest import Outcome
from .course import Run
from .field import LIMIT, OURS
from .measure import Spread


def _per_cpu_s(run: Run) -> float:
    return run.events / run.cost.cpu_s


def _per_s(run: Run) -> float:
    return run.events / run.cost.wall_s


def figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures by the parts of the contestants' keys: `limit.typed.events_per_cpu_s` and so on.

    Each is the median over the rounds; `…_min` and `…_max` stand beside the rates. Ratios are made within a round.
    """
    limit = next((outcome for outcome in outcomes if outcome.contestant.key == LIMIT), None)
    tree: dict[str, Any] = {}
    for outcome in outcomes:
        place = tree
        for part in outcome.contestant.key.split("."):
            place = place.setdefault(part, {})
        place.update(_figures(outcome, limit.runs if limit else []))
    return tree


def _figures(outcome: Outcome, limit: Sequence[Run]) -> dict[str, Any]:
    if not outcome.runs:
        return {"failed": outcome.failed}
    # A machine that slows down slows down both.
    of_limit = [_per_cpu_s(run) / _per_cpu_s(best) for run, best in zip(outcome.runs, limit, strict=False)]
    wrong = next((run.wrong for run in outcome.runs if run.wrong), "")
    return {
        "events": outcome.runs[0].events,
        **_named("events_per_cpu_s", outcome.spread(_per_cpu_s), 0),
        **_named("events_per_s", outcome.spread(_per_s), 0),
        **(_named("of_limit", Spread.of(of_limit), 4) if of_limit else {}),
        "cpu_us_per_event": round(outcome.spread(lambda run: run.cost.cpu_s / run.events * 1e6).median, 2),
        **{
            f"{name}_cpu_us_per_event": round(outcome.spread(_beside(name)).median, 2)
            for name in outcome.runs[0].cost.beside_s
        },
        "startup_cpu_s": round(outcome.spread(lambda run: run.cost.startup_cpu_s).median, 2),
        "peak_mb": round(max(run.cost.peak_bytes for run in outcome.runs) / 1e6),
        "right": not wrong,
        "wrong": wrong,
    }


def _beside(name: str) -> Callable[[Run], float]:
    return lambda run: run.cost.beside_s[name] / run.events * 1e6


def _named(name: str, spread: Spread, digits: int) -> dict[str, float]:
    figures = {name: spread.median, f"{name}_min": spread.min, f"{name}_max": spread.max}
    return {key: round(value, digits) if digits else round(value) for key, value in figures.items()}


def circumstances(command: str, rounds: int) -> dict[str, Any]:
    """What a reader needs to know to judge the figures, or to measure them again."""
    return {
        "command": command,
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "rounds": rounds,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


PAGE = """\
# Benchmarks

What an event costs, from a full Kafka topic to counted windows. Made by `{command}` on {date} UTC:
{machine}; {system}; {rounds} rounds, in each one contestant after the other; medians, with the range in brackets.

{table}

**How it is measured.** Real Kafka and ClickHouse on this machine. The events are on the broker before the clock starts:
445 bytes of JSON, 3 models, 7 numeric and 3 categorical features, 2 segments, 4 partitions, over 50 s of event time.
Each contestant is one process. Its CPU is user and system time of all its threads, from the moment it is connected and
begins to read until everything it read has had its effects; what it spent before stands under *start*. Slow
contestants get fewer events over the same time. *Right* says whether every window has exactly the events it should
have, with means to nine digits and percentiles within 2 %.

**What Driftline does more** than the others: it validates each event, stores it as a row in ClickHouse, slices windows
and features by two segments, keeps histograms of features, feeds detectors, and proves with a ledger that nothing was
lost or counted twice. Its wall time ends when the last event is stored, its CPU time when the detectors have followed.
{beside}"""

BESIDE = """
Beside it, an event costs ClickHouse {clickhouse_cpu_us_per_event} µs of CPU, {clickhouse_merged_cpu_us_per_event} with
the merges that follow, and Kafka {kafka_cpu_us_per_event} µs.
"""

HEAD = ["", "events per CPU second", "µs", "of the limit", "events a second", "start", "peak", "right", "what it does"]


def page(outcomes: Sequence[Outcome], about: dict[str, Any]) -> str:
    """The page in Markdown."""
    tree = figures(outcomes)
    rows = [HEAD, ["---", *["---:"] * 6, "---", "---"], *(_row(outcome, _at(tree, outcome)) for outcome in outcomes)]
    ours = tree.get(OURS, {})
    beside = BESIDE.format(**ours) if "peak_mb" in ours else ""
    return PAGE.format(**about, table="\n".join(f"| {' | '.join(row)} |" for row in rows), beside=beside)


def _at(tree: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    for part in outcome.contestant.key.split("."):
        tree = tree[part]
    return tree


def _row(outcome: Outcome, found: dict[str, Any]) -> list[str]:
    title, does = outcome.contestant.title, outcome.contestant.does
    if "failed" in found:
        return [title, *["–"] * 6, f"did not run: {found['failed']}", does]
    return [
        title,
        "{events_per_cpu_s:,} ({events_per_cpu_s_min:,} – {events_per_cpu_s_max:,})".format(**found),
        f"{found['cpu_us_per_event']:.2f}",
        "{of_limit:.3f} ({of_limit_min:.3f} – {of_limit_max:.3f})".format(**found) if "of_limit" in found else "–",
        "{events_per_s:,} ({events_per_s_min:,} – {events_per_s_max:,})".format(**found),
        f"{found['startup_cpu_s']:.1f} s",
        f"{found['peak_mb']} MB",
        "yes" if found["right"] else f"wrong: {found['wrong']}",
        does,
    ]
