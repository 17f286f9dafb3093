"""`/alerts`: what needs a person, of all models."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from driftline_streams.dashboard import markup, queries
from driftline_streams.dashboard.pages.evidence import Alerts
from driftline_streams.dashboard.pages.shell import Page
from driftline_streams.dashboard.reader import Reader
from driftline_streams.errors import UsageError

ALL = ""


class AlertList:
    """All alerts, the newest first, by severity and model."""

    def __init__(self, reader: Reader, request: Request) -> None:
        self._page = Page(reader, request, "Alerts", "Alerts")
        self._reader = reader
        model = request.query_params.get("model", ALL)
        with self._page.body:
            with ui.element("div").classes("head"):
                ui.html("<h1>Alerts</h1>", sanitize=False)
                with ui.row().classes("tools items-center gap-3"):
                    self._severity = ui.toggle(
                        {ALL: "All", **{name: name.capitalize() for name in markup.SEVERITIES}},
                        value=ALL,
                        on_change=self._page.refresh,
                    ).props("unelevated no-caps toggle-color=primary")
                    self._model = (
                        ui.select(
                            {ALL: "All models", **({model: model} if model else {})},
                            value=model,
                            on_change=self._page.refresh,
                        )
                        .props("dense outlined options-dense")
                        .classes("min-w-[180px]")
                    )
            with ui.element("section").classes("panel"):
                self._count = ui.label().classes("note")
                self._alerts = Alerts(reader, with_model=True)
        self._page.loads(self._load, self._load_models)

    async def run(self) -> None:
        """Show it for as long as it is open."""
        await self._page.run()

    async def _load(self) -> None:
        try:
            alerts = await queries.alerts.newest(self._reader, model=self._model.value, severity=self._severity.value)
        except UsageError as error:
            self._count.set_text(str(error))
            return
        most = queries.alerts.MOST_ALERTS
        limit = f"the newest {most}" if len(alerts) == most else f"{len(alerts):,}"
        self._count.set_text(f"{limit} alerts, newest first; times are those of the events" if alerts else "")
        self._alerts.show(alerts, "Nothing has needed a person." if not self._chosen else "No alerts of this kind.")

    @property
    def _chosen(self) -> bool:
        return bool(self._model.value or self._severity.value)

    async def _load_models(self) -> None:
        try:
            versions = await queries.models.versions(self._reader)
        except UsageError:
            return
        options = {ALL: "All models", **{one.model: one.model for one in versions}}
        if self._model.value:
            options.setdefault(self._model.value, self._model.value)
        if options != self._model.options:
            self._model.set_options(options, value=self._model.value)
