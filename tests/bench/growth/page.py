"""The report: `docs/growth.md`."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..report import circumstances
from .stages import Cost
from .traffic import Traffic
from .workers import Run

DOCS = Path(__file__).parents[3] / "docs"
MILLION = 1_000_000
BATCH, PARTITIONS_A_WORKER, EVENT_BYTES = 40_000, 2, 450


@dataclass(frozen=True, slots=True)
class Line:
    """A kind of traffic, in batches of `size` events, and what an event of it costs."""

    traffic: Traffic
    size: int
    cost: Cost


def write(wishes: argparse.Namespace, stages: Mapping[str, Sequence[Line]], runs: Mapping[str, Sequence[Run]]) -> None:
    """Write the report."""
    text = "\n".join([*_head(wishes.rounds), *_stages(stages), *(_workers(wishes, runs) if wishes.events else [])])
    (DOCS / "growth.md").write_text(re.sub("\n{3,}", "\n\n", text + "\n"))


def _head(rounds: int) -> Iterable[str]:
    here = circumstances(" ".join(["python -m tests.bench.growth", *sys.argv[1:]]), rounds)
    yield "# Growth"
    yield from _paragraph(
        f"`{here['command']}` on {here['date']}: {here['machine']}; {here['system']}; {rounds} rounds."
    )
    yield from _paragraph(
        "What an event costs should not depend on how many others of its kind there are. First the stages of a worker, "
        "fed with batches in memory: microseconds of CPU an event in `ingest`, in making the bodies of the inserts and "
        "in `detect`; and the rows that are written beside the event's own. The lines of a table take turns, and the "
        "best round of each counts."
    )


def _paragraph(text: str) -> Iterable[str]:
    yield ""
    yield textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)
    yield ""


def _stages(stages: Mapping[str, Sequence[Line]]) -> Iterable[str]:
    yield f"## Models ({stages['models'][0].size:,} events a batch, 10 features)"
    yield from _table(["models"], [([f"{line.traffic.models}"], line.cost) for line in stages["models"]])
    yield "## Features (3 models; microseconds for each feature value)"
    yield from _table(
        ["features", "events a batch"],
        [
            ([f"{line.traffic.features}", f"{line.size:,}"], _divided(line.cost, line.traffic.features))
            for line in stages["features"]
        ],
        digits=3,
    )
    yield "## From dense to sparse (1 model; a backlog, so that batches are full)"
    yield from _table(
        ["events in 10 s", "windows"],
        [([f"{line.traffic.a_window:,.0f}", f"{line.traffic.window_s} s"], line.cost) for line in stages["sparse"]],
    )
    yield "## Detectors (3 models; a batch is 10 s of traffic)"
    yield ""
    yield "| events in 10 s | `detect`, milliseconds for each 10 s |"
    yield "|---|---|"
    for line in stages["busy"]:
        yield f"| {line.size:,} | {line.cost.detect_us * line.size / 1000:.2f} |"
    yield ""


def _divided(cost: Cost, by: int) -> Cost:
    return Cost(cost.ingest_us / by, cost.insert_us / by, cost.detect_us / by, cost.rows / by)


def _table(names: Sequence[str], lines: Sequence[tuple[Sequence[str], Cost]], digits: int = 2) -> Iterable[str]:
    yield ""
    yield f"| {' | '.join(names)} | ingest | inserts | detect | all | of the first | rows |"
    yield "|---" * (len(names) + 6) + "|"
    for labels, cost in lines:
        figures = (cost.ingest_us, cost.insert_us, cost.detect_us, cost.us)
        told = " | ".join(f"{figure:.{digits}f}" for figure in figures)
        yield f"| {' | '.join(labels)} | {told} | {cost.us / lines[0][1].us:.2f} | {cost.rows:.3f} |"
    yield ""


def _workers(wishes: argparse.Namespace, runs: Mapping[str, Sequence[Run]]) -> Iterable[str]:
    partitions, sparse = runs["partitions"], runs["sparse"]
    yield f"## Partitions (a whole worker, {wishes.events:,} events on the broker, 3 models)"
    yield ""
    yield "| partitions | worker, µs an event | of the first | ClickHouse | Kafka | events/s |"
    yield "|---|---|---|---|---|---|"
    for run in partitions:
        share = run.worker_us / partitions[0].worker_us
        yield (
            f"| {run.partitions} | {run.worker_us:.2f} | {share:.2f} | {run.clickhouse_us:.2f} | {run.kafka_us:.2f} "
            f"| {run.events / run.wall_s:,.0f} |"
        )
    yield ""
    yield f"## One event a window (a whole worker, {sparse[0].events:,} events of one model, 4 partitions)"
    yield ""
    yield "| events in 10 s | windows | worker, µs an event | of the first | ClickHouse | rows written | rows kept |"
    yield "|---|---|---|---|---|---|---|"
    for run in sparse:
        share = run.worker_us / sparse[0].worker_us
        kept = sum(run.rows.get(table, 0) for table in ("predictions", "windows", "features")) / run.events
        yield (
            f"| {run.traffic.a_window:,.0f} | {run.traffic.window_s} s | {run.worker_us:.2f} | {share:.2f} "
            f"| {run.clickhouse_us:.2f} | {run.rows_written / run.events:.2f} | {kept:.2f} |"
        )
    yield from _paragraph(
        "Rows are counted for each event, with its own row in `predictions`: as they are written, and when they are "
        "merged. A window costs the same with one event or a thousand, so a model of few events wants wide ones: "
        "`window_s` and `feature_window_s` in its spec."
    )
    yield from _million(next(run for run in partitions if run.partitions == 4))


def _million(run: Run) -> Iterable[str]:
    day = 86_400 * MILLION
    cores, inserts = run.worker_us, MILLION / BATCH
    workers = cores / 0.7
    raw = run.bytes_on_disk["predictions"] / run.events
    sums = sum(run.bytes_on_disk.get(table, 0) for table in ("windows", "features"))
    yield "## A million events a second"
    for text in (
        "From the line of 4 partitions above, on cores like these.",
        f"**Workers.** {run.worker_us:.1f} µs of CPU an event are {cores:.0f} cores, or {workers:.0f} workers of which "
        f"each fills 70 % of a core. With {PARTITIONS_A_WORKER} partitions for each that are "
        f"{PARTITIONS_A_WORKER * workers:.0f} partitions of {MILLION / PARTITIONS_A_WORKER / workers:,.0f} events a "
        "second.",
        f"**Inserts.** With `DRIFTLINE_BATCH_EVENTS={BATCH}` and a `DRIFTLINE_BATCH_AGE_S` long enough to fill it "
        f"({BATCH * PARTITIONS_A_WORKER * workers / MILLION:.1f} s), {inserts:.0f} batches a second make "
        f"{3 * inserts:.0f} inserts a second: one into each of `predictions`, `windows` and `features`.",
        f"**ClickHouse.** {run.clickhouse_us:.1f} µs of CPU an event for inserts and merges are "
        f"{run.clickhouse_us:.0f} cores, in batches of 20,000 at most; larger ones are cheaper.",
        f"**Disk.** A row of `predictions` takes {raw:.0f} bytes when merged: {raw * day / 1e12:.1f} TB a day and "
        f"replica, {raw * day * 30 / 1e12:.0f} TB with a TTL of 30 days. The sums took {sums / 1e6:.1f} MB for this "
        "run; they grow with models and windows, not with events.",
        f"**Kafka.** {EVENT_BYTES} bytes an event are {EVENT_BYTES * MILLION / 1e9:.2f} GB a second in, before "
        f"compression, and {EVENT_BYTES * day / 1e12:.0f} TB for a day of retention. The broker spent "
        f"{run.kafka_us:.1f} µs an event on being read.",
        "**`detect`** gets one message for each batch and model version, however many events it sums: its share grows "
        "with models and batches, not with traffic.",
    ):
        yield from _paragraph(text)
