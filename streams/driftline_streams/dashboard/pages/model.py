"""`/model/NAME`: one model over time."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request

from driftline_streams.dashboard import markup, queries, spans, state
from driftline_streams.dashboard.charts import load as load_charts
from driftline_streams.dashboard.charts import performance as performance_charts
from driftline_streams.dashboard.pages.drift import DriftPanels
from driftline_streams.dashboard.pages.evidence import Alerts
from driftline_streams.dashboard.pages.models import strips
from driftline_streams.dashboard.pages.shell import Load, Page, Panel
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.rows import Version
from driftline_streams.dashboard.spans import DAY_S, HOUR_S, Span
from driftline_streams.errors import UsageError

_LABELS = {"hour": "Hour", "day": "Day", "week": "Week", "month": "Month", "all": "All"}
_ALERTS = 20
_WIDE = 20  # percentiles this many times apart are easier to read on a logarithmic axis


class Model:
    """The page of the model `name`."""

    def __init__(self, reader: Reader, request: Request, name: str) -> None:
        self._page = Page(reader, request, name, "Models")
        self._reader, self._name = reader, name
        self._versions: list[Version] = []
        self._log_chosen = False
        choice = request.query_params.get("span", "")
        self._choice = choice if choice in spans.CHOICES else ""
        with self._page.body:
            self._head()
            self._strips = ui.html("", sanitize=False).classes("w-full")
            self._cards = ui.element("div").classes("cards")
        with self._cards:
            self._build()
        self._page.loads(self._load)

    async def run(self) -> None:
        """Show it for as long as it is open."""
        await self._page.run()

    def _head(self) -> None:
        with ui.element("div").classes("head"):
            with ui.element("div"):
                self._title = ui.html(f"<h1>{markup.text(self._name)}</h1>", sanitize=False)
                self._lead = ui.label().classes("lead")
            with ui.row().classes("tools items-center gap-3"):
                self._range = ui.label().classes("note")
                self._toggle = _toggle(_LABELS, self._choice or None, self._page, self._chosen)

    def _build(self) -> None:
        with ui.element("div").classes("grid"):
            self._latency = Panel("Latency")
            with self._latency.tools:
                self._log = ui.switch("log", on_change=self._page.unless_quiet(self._chose_log)).props("dense size=sm")
            self._traffic = Panel("Rate and errors")
            self._performance = Panel("Performance as labels arrive")
            self._performance_tools()
            self._pairs = Panel("Challenger beside champion")
            with self._pairs.tools:
                self._pairs_grain = _toggle({"week": "Week", "month": "Month"}, "week", self._page)
        self._drift = DriftPanels(self._reader, self._name, self._page)
        with ui.element("div").classes("grid"):
            self._answers = Panel("Score and confidence")
            self._alerts_panel = Panel("Alerts")
            with self._alerts_panel.tools:
                ui.link("all alerts", f"/alerts?model={quote(self._name, safe='')}")
            with self._alerts_panel.body.classes("list"):
                self._alerts = Alerts(self._reader, with_model=False)

    def _performance_tools(self) -> None:
        with self._performance.tools:
            self._metric = (
                ui.select(["accuracy"], value="accuracy", on_change=self._page.unless_quiet(self._page.refresh))
                .props("dense outlined options-dense aria-label=metric")
                .classes("min-w-[120px]")
            )
            self._grain = _toggle({"day": "Day", "month": "Month"}, None, self._page)

    async def _chosen(self) -> None:
        self._choice = str(self._toggle.value)
        self._grain.set_value(None)  # what suits the new range
        ui.run_javascript(f"history.replaceState(history.state, '', '?span={self._choice}')")
        await self._page.refresh()

    async def _chose_log(self) -> None:
        self._log_chosen = True
        await self._page.refresh()

    async def _load(self) -> None:
        try:
            self._versions = await queries.versions(self._reader, self._name)
        except UsageError as error:
            self._lead.set_text(str(error))
            return
        self._cards.set_visibility(bool(self._versions))
        if not self._versions:
            self._lead.set_text("No events of this model have arrived.")
            return
        first, newest = min(v.first_s for v in self._versions), max(v.newest_s for v in self._versions)
        width_s = max(v.width_s for v in self._versions)
        if not self._choice:
            self._choice = spans.default(first, newest, width_s)
        if self._toggle.value != self._choice:
            with self._page.quietly():
                self._toggle.set_value(self._choice)
        span = spans.span(self._choice, first, newest)
        self._range.set_text(f"{markup.moment(span.start_s)} to {markup.moment(span.end_s)}, event time")
        # Alone and first: it is quick, and would wait behind the questions about labels.
        await self._page.guarded(self._load_windows(span, span.bucket_s(width_s)))
        await asyncio.gather(
            self._page.guarded(self._load_state()),
            self._page.guarded(self._load_performance(span.by_day())),
            self._page.guarded(self._drift.load(span.by_day(), self._names)),
            self._page.guarded(self._load_alerts(span)),
            self._page.guarded(self._load_pairs(span.by_day())),
        )

    @property
    def _names(self) -> list[str]:
        return [version.version for version in self._versions]

    async def _load_state(self) -> None:
        states = await state.states(self._reader, self._name)
        if not states:
            return
        spec = states[0].spec
        self._title.set_content(f"<h1>{markup.text(self._name)} {markup.chip(spec.kind, 'calm')}</h1>")
        self._lead.set_text(spec.description)
        html = strips(states, self._page.palette.dark)
        if self._strips.content != html:
            self._strips.set_content(html)

    async def _load_windows(self, span: Span, bucket_s: int) -> None:
        rows, found = await asyncio.gather(
            queries.load(self._reader, self._name, span, bucket_s), queries.findings(self._reader, self._name, span)
        )
        n, step = sum(row.n for row in rows), _length(bucket_s)
        if not self._log_chosen:
            with self._page.quietly():
                self._log.set_value(load_charts.spread(rows) > _WIDE)
        drawn = {"versions": self._names, "span": span, "bucket_s": bucket_s, "palette": self._page.palette}
        if any(row.p50_ms is not None for row in rows):
            self._latency.show(
                load_charts.latency(rows, found, log=bool(self._log.value), **drawn),  # type: ignore[arg-type]
                f"percentiles per {step}, within 1 % of the exact value; n = {n:,}",
            )
        else:
            self._latency.blank("The events of this time carry no latency_ms.")
        self._traffic.show(
            load_charts.traffic(rows, found, **drawn),  # type: ignore[arg-type]
            f"per {step}; n = {n:,}, {sum(row.errors for row in rows):,} errors",
        )
        if any(row.mean_score is not None or row.mean_confidence is not None for row in rows):
            self._answers.show(
                load_charts.answers(rows, found, **drawn),  # type: ignore[arg-type]
                f"mean score (solid) and mean confidence (dashed) per {step}; exact",
            )
        else:
            self._answers.blank("The events of this time carry neither score nor confidence.")

    async def _load_performance(self, span: Span) -> None:
        grain = self._grain.value or ("month" if span.length_s > 92 * DAY_S else "day")
        rows, covered = await asyncio.gather(
            queries.performance(self._reader, self._name, span, grain),
            queries.coverage(self._reader, self._name, span, grain),
        )
        metrics = performance_charts.metrics_of(rows)
        if not metrics:
            self._performance.blank("No labels have arrived for the predictions of this time.")
            return
        options = {name: performance_charts.METRICS[name] for name in metrics}
        if options != self._metric.options:
            kept = self._metric.value if self._metric.value in options else metrics[0]
            with self._page.quietly():
                self._metric.set_options(options, value=kept)
        if self._grain.value != grain:
            with self._page.quietly():
                self._grain.set_value(grain)
        shown = performance_charts.telling(rows)
        few = f"; {len(rows) - len(shown)} with hardly any labels left out" if len(shown) < len(rows) else ""
        labelled, answered = sum(row.labelled for row in covered), sum(row.predictions for row in covered)
        provisional = sum(row.state != "final" for row in shown)
        interval = "with 95 % interval (Wilson), " if self._metric.value == "accuracy" else ""
        state_of = f"; {provisional} of {len(shown)} cohorts provisional" if provisional else "; all cohorts final"
        self._performance.show(
            performance_charts.performance(
                shown,
                covered,
                metric=str(self._metric.value),
                versions=self._names,
                span=span,
                grain=grain,
                palette=self._page.palette,
            ),
            f"{interval}by the {grain} of the prediction; n = {labelled:,}, "
            f"coverage {markup.percent(labelled / answered if answered else None)}{state_of}{few}",
        )

    async def _load_pairs(self, span: Span) -> None:
        grain = str(self._pairs_grain.value)
        rows = await queries.pairs(self._reader, self._name, span, grain)
        option = performance_charts.challengers(
            rows, versions=self._names, span=span, grain=grain, palette=self._page.palette
        )
        if not any(series["data"] for series in option["series"]):
            self._pairs.blank("No requests were answered by champion and challenger, with their truth known.")
            return
        n = sum(row.n for row in rows)
        self._pairs.show(
            option,
            f"difference in accuracy on the same requests, per {grain}, 95 % interval; above 0 the "
            f"challenger is better; {n:,} pairs",
        )

    async def _load_alerts(self, span: Span) -> None:
        alerts = await queries.alerts(self._reader, model=self._name, span=span)
        more = f"the newest {_ALERTS} of " if len(alerts) > _ALERTS else ""
        total = f"{len(alerts)}{' or more' if len(alerts) == queries.MOST_ALERTS else ''}"
        self._alerts_panel.subtitle(
            f"{more}{total} in this time; open one for its cause, its SQL and its rows" if alerts else ""
        )
        self._alerts.show(alerts[:_ALERTS], "Nothing has needed a person in this time.")


def _toggle(options: dict[str, str], value: str | None, page: Page, then: Load | None = None) -> ui.toggle:
    return ui.toggle(options, value=value, on_change=page.unless_quiet(then or page.refresh)).props(
        "unelevated no-caps toggle-color=primary"
    )


def _length(bucket_s: int) -> str:
    for unit_s, name in ((DAY_S, "day"), (HOUR_S, "hour"), (60, "minute")):
        if bucket_s % unit_s == 0:
            many = bucket_s // unit_s
            return name if many == 1 else f"{many} {name}s"
    return f"{bucket_s} s"
