"""The state of each model version in a few numbers, as the overview and the head of a model's page show it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from driftline_schemas.spec import ModelSpec
from driftline_streams.dashboard import markup, metrics, queries
from driftline_streams.dashboard.charts.frame import DASH
from driftline_streams.dashboard.markup import Stat
from driftline_streams.dashboard.queries.models import DriftNow, Latest, Recent, Version
from driftline_streams.dashboard.queries.performance import Headline
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import DAY_S

ENOUGH = 100  # labels of a month that say something of it


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a version; `None` is what is not."""

    version: Version
    spec: ModelSpec
    latest: Latest | None
    recent: Recent | None
    drift: DriftNow | None
    performance: Headline | None
    alerts: dict[str, int]

    @property
    def stats(self) -> list[Stat]:
        """The numbers in the order in which they are shown."""
        return [
            Stat("Events", markup.count(self.version.events), f"since {markup.moment(self.version.first_s)[:10]}"),
            *_recent(self.version, self.recent, self.spec),
            _drift(self.drift),
            _performance(self.performance, self.spec),
            _alerts(self.alerts),
        ]


async def states(reader: Reader, model: str | None = None) -> list[State]:
    """The states of the versions of one model or of all, sorted by model and version."""
    versions = await queries.models.versions(reader, model)
    if not versions:
        return []
    specs, latest, recent, drift, performance, alerts = await asyncio.gather(
        queries.records.specs(reader),
        queries.models.latest(reader, versions),
        queries.models.recent(reader, versions),
        queries.models.drift_now(reader, model),
        queries.performance.headlines(reader),
        queries.models.alert_counts(reader, versions),
    )
    by = {(one.model, one.version): one for one in latest}
    last_day = {(one.model, one.version): one for one in recent}
    drifting = {(one.model, one.version): one for one in drift}
    found = []
    for version in versions:
        key = (version.model, version.version)
        cohorts = [row for row in performance if (row.model, row.version) == key]
        found.append(
            State(
                version=version,
                spec=specs.get(version.model) or ModelSpec(model=version.model),
                latest=by.get(key),
                recent=last_day.get(key),
                drift=drifting.get(key),
                performance=telling(cohorts),
                alerts={row.severity: row.n for row in alerts if (row.model, row.version) == key},
            )
        )
    return found


def telling(cohorts: Sequence[Headline]) -> Headline | None:
    """The newest cohort with enough labels, else the one with most; `None` without any."""
    newest_first = sorted(cohorts, key=lambda row: -row.at_s)
    enough = [row for row in newest_first if row.labelled >= ENOUGH]
    return enough[0] if enough else max(newest_first, key=lambda row: row.labelled, default=None)


def _recent(version: Version, recent: Recent | None, spec: ModelSpec) -> list[Stat]:
    if recent is None or not recent.n:
        return [Stat("Rate", DASH), Stat("Latency p99", DASH), Stat("Errors", DASH)]
    seconds = min(DAY_S, version.newest_s - version.first_s)
    errors = recent.errors / recent.n
    p99, limits = recent.p99_ms, spec.objectives
    slow = p99 is not None and limits.latency_p99_ms is not None and p99 > limits.latency_p99_ms
    failing = limits.error_rate is not None and errors > limits.error_rate
    slo = f"objective {limits.latency_p99_ms:g} ms" if limits.latency_p99_ms is not None else "last day, ±1 %"
    wanted = f"objective {markup.percent(limits.error_rate)}" if limits.error_rate is not None else ""
    return [
        Stat("Rate", markup.rate(recent.n / seconds), "over its last day"),
        Stat("Latency p99", DASH if p99 is None else f"{markup.number(p99)} ms", slo, "bad" if slow else ""),
        Stat(
            "Errors",
            markup.percent(errors),
            wanted or f"{recent.errors:,} of {recent.n:,}",
            "bad" if failing else "",
        ),
    ]


def _drift(drift: DriftNow | None) -> Stat:
    if drift is None:
        return Stat("Drift", DASH, "nothing compared yet")
    day = markup.moment(drift.window_s)[:10]
    n = len(drift.drifting)
    return Stat("Drift", f"{n} of {drift.tested}", f"signals, {day}", "warn" if n else "")


def _performance(row: Headline | None, spec: ModelSpec) -> Stat:
    metric = next(iter(metrics.of(spec.kind).values()))
    if row is None:
        return Stat(metric.label, DASH, "no labels yet")
    label = f"{metric.label}, {markup.moment(row.at_s)[:7]}"
    covered = f"{row.state}, {markup.percent(row.coverage)} labelled"
    value, low, high = (getattr(row, f"{metric.name}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return Stat(label, DASH, covered)
    limit = getattr(spec.performance, metric.name)
    broken = limit is not None and low is not None and (low > limit if metric.loss else high < limit)
    half = None if low is None else (high - low) / 2
    if metric.share:
        shown = f"{100 * value:.1f}" + (f" ± {100 * half:.1f} %" if half is not None else " %")
    else:
        shown = markup.number(value) + (f" ± {markup.number(half)}" if half is not None else "")
    return Stat(label, shown, covered, "bad" if broken else "")


def _alerts(counts: dict[str, int]) -> Stat:
    shown = [f"{counts[name]} {name.lower()}" for name in markup.SEVERITIES if counts.get(name)]
    tone = "bad" if counts.get("CRITICAL") else "warn" if counts.get("WARNING") else ""
    return Stat("Alerts, 7 days", str(sum(counts.values())), ", ".join(shown) or "before its newest event", tone)
