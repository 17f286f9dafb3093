"""The report: `docs/freshness.md` and its chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from driftline_streams.settings import Settings

from ..report import circumstances
from .chart import Panel, svg
from .results import Events, Found, Seconds
from .stream import SHIFTED, Sent

DOCS = Path(__file__).parents[3] / "docs"
ROW_LIMIT_S, ALERT_LIMIT_S = 2.0, 5.0


@dataclass(frozen=True, slots=True)
class Run:
    """All that was measured."""

    command: str
    sent: Sent
    events: Events
    found: list[Found]
    planned: int  # shifts
    other_alerts: int
    looks_s: Seconds  # how long each look for new rows took
    cpu: Mapping[str, float]  # CPU seconds a second, by process
    settings: Settings


def write(run: Run) -> None:
    """Write both files."""
    alert_s = np.array([each.to_alert_s for each in run.found])
    panels = [
        Panel("event to queryable row", run.events.to_row_s, ROW_LIMIT_S),
        Panel("end of the detecting window to alert", alert_s, ALERT_LIMIT_S),
    ]
    (DOCS / "freshness.svg").write_text(svg(panels))
    (DOCS / "freshness.md").write_text(page(run))


def page(run: Run) -> str:
    """The report as Markdown."""
    sent, settings = run.sent, run.settings
    here = circumstances(run.command, rounds=1)
    row_s, alert_s = run.events.to_row_s, np.array([each.to_alert_s for each in run.found])
    lost = int(np.isnan(row_s).sum())
    cpu = ", ".join(f"{name} {share:.2f}" for name, share in run.cpu.items())
    look_ms, late_look_ms = np.quantile(run.looks_s, [0.5, 0.99]) * 1000
    return f"""# Freshness

`{here["command"]}` on {here["date"]}: {here["machine"]}; {here["system"]}. Kafka, ClickHouse, one worker with
the default settings, the producer and the two clients that measure share the machine.

![How old rows and alerts are](freshness.svg)

{sent.n:,} events of {sent.size / sent.n:.0f} B in {sent.seconds:.0f} s, {sent.n / sent.seconds:,.0f} a second (at
most {sent.behind_s * 1000:.0f} ms behind the plan), {settings.partitions} partitions. The timestamp of an event is the
moment of sending. Seconds:

| | n | p50 | p95 | p99 | max | limit of p99 |
|---|---|---|---|---|---|---|
{_line("**event to queryable row**", row_s, ROW_LIMIT_S)}
{_line("of it: until `ingest` has the batch", run.events.to_batch_s)}
{_line("**shift to alert, beyond the detector's own delay**", alert_s, ALERT_LIMIT_S)}
{_line("of it: until `detect` has closed the window", np.array([each.to_detection_s for each in run.found]))}
{_line("of it: until `notify` has the detection", np.array([each.to_notify_s for each in run.found]))}
{_line("the detector's own delay", np.array([each.own_s for each in run.found]))}

- **Queryable**: a client asks `max(offset)` of each partition every 50 ms over HTTP; an event is there when the answer
  is, {look_ms:.0f} ms after the question (p99 {late_look_ms:.0f} ms). The wait for the next look is part of the
  figures. Every event counts{f"; {lost} never came" if lost else ""}.
- **Alert**: {SHIFTED} further models get a tenth of the events. Each changes its latency or a feature once, by three
  deviations: {run.planned} shifts, {len(run.found)} of them alerted; {run.other_alerts} other alerts. Their windows are
  1 s wide, so that a minute has enough of them to learn a level. The detector's own delay ends with the window that
  convinced it (`end` of the detection); all that comes after it is counted until the message can be read on
  `driftline.alerts`, with the {settings.lateness_s:g} s for which a window waits for late events.
- CPU seconds a second: {cpu}.
"""


def _line(what: str, seconds: Seconds, limit_s: float | None = None) -> str:
    seconds = seconds[~np.isnan(seconds)]
    if not len(seconds):
        return f"| {what} | 0 | | | | | |"
    p50, p95, p99, most = np.quantile(seconds, [0.5, 0.95, 0.99, 1.0])
    limit = "" if limit_s is None else f"{limit_s:g}"
    return f"| {what} | {len(seconds):,} | {p50:.2f} | {p95:.2f} | {p99:.2f} | {most:.2f} | {limit} |"
