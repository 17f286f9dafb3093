"""What the demo has shown, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from rich.table import Table

from driftline_schemas.topics import LABELS, PREDICTIONS
from driftline_streams.demo.judged import Judged, judged, sentences
from driftline_streams.demo.scores import MODEL
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.ledger import Ledger, Line


class Events(msgspec.Struct, frozen=True):
    """One topic's account: `read` = `stored` + `rejected` when the ledger holds."""

    read: int
    stored: int
    rejected: int


class Truths(msgspec.Struct, frozen=True):
    """The account of the labels, and what became of those that were stored."""

    read: int
    stored: int
    rejected: int
    joined: int
    waiting: int
    orphaned: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the demo has counted and measured; `driftline demo --json` prints it."""

    ledger_holds: bool
    problem: str  # empty when there is none
    events: Events  # predictions and labels together
    predictions: Events
    labels: Truths
    judged: Judged
    detections: dict[str, int]  # by kind
    alerts: dict[str, int]  # by kind
    alerts_by_severity: dict[str, int]
    events_per_s: float  # from the first event published to the last one stored and joined
    replay_s: float
    publish_s: float
    publish_cpu_us: float  # of the replay's process, for each event
    model_calls: int
    model_calls_cached: bool
    worker_peak_mb: float
    seconds: float  # the whole demo, from the command to this summary
    data_dir: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What the clocks said during the replay."""

    replay_s: float
    publish_s: float
    publish_cpu_s: float
    model_calls: int
    model_calls_cached: bool
    worker_peak_bytes: int
    seconds: float


def summarise(clickhouse: ClickHouse, ledger: Ledger, problem: str, measured: Measured) -> Summary:
    """Put together what the ledger, ClickHouse and the clocks say."""
    prefix = clickhouse.settings.topic_prefix
    predictions = _events(ledger.lines, PREDICTIONS.full_name(prefix))
    labels = _events(ledger.lines, LABELS.full_name(prefix))
    read = predictions.read + labels.read
    return Summary(
        ledger_holds=ledger.holds,
        problem=problem or ledger.discrepancy,
        events=Events(read, predictions.stored + labels.stored, predictions.rejected + labels.rejected),
        predictions=predictions,
        labels=Truths(
            labels.read,
            labels.stored,
            labels.rejected,
            ledger.labels.joined,
            ledger.labels.waiting,
            ledger.labels.orphaned,
        ),
        judged=judged(clickhouse, MODEL),
        detections=_by(clickhouse, "detections", "kind"),
        alerts=_by(clickhouse, "alerts", "kind"),
        alerts_by_severity=_by(clickhouse, "alerts", "severity"),
        events_per_s=round(read / measured.replay_s) if measured.replay_s else 0,
        replay_s=round(measured.replay_s, 1),
        publish_s=round(measured.publish_s, 1),
        publish_cpu_us=round(measured.publish_cpu_s / read * 1e6, 2) if read else 0,
        model_calls=measured.model_calls,
        model_calls_cached=measured.model_calls_cached,
        worker_peak_mb=round(measured.worker_peak_bytes / 1e6),
        seconds=round(measured.seconds, 1),
        data_dir=str(clickhouse.settings.data_dir),
    )


def table(summary: Summary) -> Table:
    """The summary as a person reads it."""
    predictions, labels = summary.predictions, summary.labels
    out = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    out.add_column(style="bold")
    out.add_row(
        "predictions",
        f"{predictions.read:,} read = {predictions.stored:,} stored + {predictions.rejected:,} rejected",
    )
    out.add_row("labels", f"{labels.read:,} read = {labels.stored:,} stored + {labels.rejected:,} rejected")
    out.add_row("", f"{labels.joined:,} joined, {labels.waiting:,} waiting, {labels.orphaned:,} orphaned")
    said_before = ""
    for about, sentence in sentences(summary.judged):
        out.add_row("" if about == said_before else about, sentence)
        said_before = about
    out.add_row("detections", _listed(summary.detections))
    out.add_row("alerts", f"{_listed(summary.alerts)} ({_listed(summary.alerts_by_severity)})")
    out.add_row("replay", f"{summary.events_per_s:,.0f} events/s: {summary.events.read:,} in {summary.replay_s} s")
    source = "kept from an earlier run" if summary.model_calls_cached else "made in this run"
    out.add_row("model calls", f"{summary.model_calls:,}, {source}")
    out.add_row("worker", f"at most {summary.worker_peak_mb:,.0f} MB of memory")
    out.add_row("time", f"{summary.seconds} s in all")
    holds = "[green]holds[/green]: every event is accounted for once"
    out.add_row("ledger", holds if summary.ledger_holds else "[red]does not hold[/red]")
    if summary.problem:
        out.add_row("problem", f"[red]{summary.problem}[/red]")
    return out


def _events(lines: Sequence[Line], topic: str) -> Events:
    mine = [line for line in lines if line.topic == topic]
    return Events(sum(each.read for each in mine), sum(each.stored for each in mine), sum(e.rejected for e in mine))


def _by(clickhouse: ClickHouse, name: str, column: str) -> dict[str, int]:
    # `name` and `column` are ours, never a person's.
    sql = f"SELECT {column} AS what, uniqExact(id) AS n FROM {name} GROUP BY what ORDER BY what"
    return {str(row["what"]): int(row["n"]) for row in clickhouse.query_rows(sql)}


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {what}" for what, n in counts.items()) or "none"
