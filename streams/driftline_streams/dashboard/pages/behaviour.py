"""How a model behaves: latency, load, drift, answers, alerts. Nothing here waits for the truth."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from nicegui import ui

from driftline_streams.dashboard import queries
from driftline_streams.dashboard.charts import load as charts
from driftline_streams.dashboard.pages.drift import DriftPanels
from driftline_streams.dashboard.pages.evidence import Alerts
from driftline_streams.dashboard.pages.shell import Page, Panel
from driftline_streams.dashboard.pages.tab import View
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import DAY_S, HOUR_S, Span

_ALERTS = 20
_WIDE = 20  # percentiles this many times apart are easier to read on a logarithmic axis


class Behaviour:
    """The tab that is open at first."""

    def __init__(self, reader: Reader, model: str, page: Page) -> None:
        self._reader, self._name, self._page = reader, model, page
        self._log_chosen = False
        with ui.element("div").classes("grid"):
            self._latency = Panel("Latency")
            with self._latency.tools:
                self._log = ui.switch("log", on_change=page.unless_quiet(self._chose_log)).props("dense size=sm")
            self._traffic = Panel("Rate and errors")
        self._drift = DriftPanels(reader, model, page)
        with ui.element("div").classes("grid"):
            self._answers = Panel("Score and confidence")
            self._alerts_panel = Panel("Alerts")
            with self._alerts_panel.tools:
                ui.link("all alerts", f"/alerts?model={quote(model, safe='')}")
            with self._alerts_panel.body.classes("list"):
                self._alerts = Alerts(reader, with_model=False)

    async def load(self, view: View) -> None:
        """Fill the panels."""
        # Alone and first: it is quick, and would wait behind the other questions.
        await self._page.guarded(self._load_windows(view, view.span.bucket_s(view.width_s)))
        await asyncio.gather(
            self._page.guarded(self._drift.load(view.span.by_day(), view.versions)),
            self._page.guarded(self._load_alerts(view.span)),
        )

    async def _chose_log(self) -> None:
        self._log_chosen = True
        await self._page.refresh()

    async def _load_windows(self, view: View, bucket_s: int) -> None:
        rows, found = await asyncio.gather(
            queries.traffic.load(self._reader, self._name, view.span, bucket_s),
            queries.traffic.findings(self._reader, self._name, view.span),
        )
        n, step = sum(row.n for row in rows), _length(bucket_s)
        if not self._log_chosen:
            with self._page.quietly():
                self._log.set_value(charts.spread(rows) > _WIDE)
        drawn = {"versions": view.versions, "span": view.span, "bucket_s": bucket_s, "palette": self._page.palette}
        if any(row.p50_ms is not None for row in rows):
            self._latency.show(
                charts.latency(rows, found, log=bool(self._log.value), **drawn),  # type: ignore[arg-type]
                f"percentiles per {step}, within 1 % of the exact value; n = {n:,}",
            )
        else:
            self._latency.blank("The events of this time carry no latency_ms.")
        self._traffic.show(
            charts.traffic(rows, found, **drawn),  # type: ignore[arg-type]
            f"per {step}; n = {n:,}, {sum(row.errors for row in rows):,} errors",
        )
        if any(row.mean_score is not None or row.mean_confidence is not None for row in rows):
            self._answers.show(
                charts.answers(rows, found, **drawn),  # type: ignore[arg-type]
                f"mean score (solid) and mean confidence (dashed) per {step}; exact",
            )
        else:
            self._answers.blank("The events of this time carry neither score nor confidence.")

    async def _load_alerts(self, span: Span) -> None:
        alerts = await queries.alerts.newest(self._reader, model=self._name, span=span)
        more = f"the newest {_ALERTS} of " if len(alerts) > _ALERTS else ""
        total = f"{len(alerts)}{' or more' if len(alerts) == queries.alerts.MOST_ALERTS else ''}"
        self._alerts_panel.subtitle(
            f"{more}{total} in this time; open one for its cause, its SQL and its rows" if alerts else ""
        )
        self._alerts.show(alerts[:_ALERTS], "Nothing has needed a person in this time.")


def _length(bucket_s: int) -> str:
    for unit_s, name in ((DAY_S, "day"), (HOUR_S, "hour"), (60, "minute")):
        if bucket_s % unit_s == 0:
            many = bucket_s // unit_s
            return name if many == 1 else f"{many} {name}s"
    return f"{bucket_s} s"
