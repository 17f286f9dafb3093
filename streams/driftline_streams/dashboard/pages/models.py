"""`/`: every model version and its state."""

from __future__ import annotations

from itertools import groupby

from nicegui import ui
from starlette.requests import Request

from driftline_streams.dashboard import markup, queries, state
from driftline_streams.dashboard.charts.frame import DARK, LIGHT, colour
from driftline_streams.dashboard.pages.evidence import Alerts
from driftline_streams.dashboard.pages.shell import Page, Panel
from driftline_streams.dashboard.pages.welcome import welcome
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.state import State
from driftline_streams.errors import UsageError

_ALERTS = 10


class Models:
    """The overview."""

    def __init__(self, reader: Reader, request: Request) -> None:
        self._page = Page(reader, request, "Models", "Models")
        self._reader = reader
        self._shown = ""
        with self._page.body:
            self._list = ui.html("", sanitize=False).classes("w-full")
            self._welcome = ui.element("div").classes("w-full")
            self._alerts_panel = Panel("Newest alerts")
            with self._alerts_panel.tools:
                ui.link("all alerts", "/alerts")
            with self._alerts_panel.body:
                self._alerts = Alerts(reader, with_model=True)
            self._refused = ui.html("", sanitize=False).classes("w-full")
        self._page.loads(self._load, self._load_alerts, self._load_refused)

    async def run(self) -> None:
        """Show it for as long as it is open."""
        await self._page.run()

    async def _load(self) -> None:
        try:
            if not await queries.models.migrated(self._reader):
                self._show("", missing="The tables are not there yet: run driftline migrate.")
                return
            states = await state.states(self._reader)
        except UsageError as error:
            self._show("", missing=str(error))
            return
        self._show(
            "".join(_model(model, list(of), self._dark) for model, of in groupby(states, lambda s: s.version.model))
        )

    def _show(self, html: str, *, missing: str = "") -> None:
        if (html or f"welcome {missing}") == self._shown:
            return
        self._shown = html or f"welcome {missing}"
        self._list.set_content(html)
        self._welcome.clear()
        self._alerts_panel.visible(bool(html))
        if not html:
            with self._welcome:
                welcome(self._reader.address, missing)

    async def _load_alerts(self) -> None:
        try:
            alerts = await queries.alerts.newest(self._reader)
        except UsageError:
            alerts = []
        self._alerts_panel.subtitle("the times are those of the events; open one for its cause, its SQL and its rows")
        self._alerts.show(alerts[:_ALERTS], "Nothing has needed a person.")

    async def _load_refused(self) -> None:
        try:
            rows = await queries.models.refused(self._reader)
        except UsageError:
            return
        total = sum(row.n for row in rows)
        reasons = ", ".join(f"{row.n:,} {row.reason} ({row.topic})" for row in rows)
        text = f"{total:,} messages were refused: {reasons}. They are kept in the table rejected." if total else ""
        html = f'<p class="note">{markup.text(text)}</p>'
        if self._refused.content != html:
            self._refused.set_content(html)

    @property
    def _dark(self) -> bool:
        return self._page.palette.dark


def _model(model: str, states: list[State], dark: bool) -> str:
    spec = states[0].spec
    lead = f'<p class="lead">{markup.text(spec.description)}</p>' if spec.description else ""
    return (
        f'<section class="model"><h2><a href="{markup.text(markup.model_path(model))}">{markup.text(model)}</a> '
        f"{markup.chip(spec.kind, 'calm')}</h2>{lead}{strips(states, dark)}</section>"
    )


def strips(states: list[State], dark: bool) -> str:
    """One strip a version, striped with its colour in the charts."""
    palette = DARK if dark else LIGHT
    versions = [one.version.version for one in states]
    return (
        '<div class="strips">'
        + "".join(_strip(one, colour(palette, versions, one.version.version)) for one in states)
        + "</div>"
    )


def _strip(one: State, stripe: str) -> str:
    role = [markup.chip(one.latest.role, "calm")] if one.latest and one.latest.role else []
    at_s = one.latest.at_ms / 1000 if one.latest else one.version.newest_s
    return markup.strip(one.version.version, role, f"last event {markup.moment(at_s)}", one.stats, stripe)
