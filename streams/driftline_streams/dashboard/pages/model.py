"""`/model/NAME`: one model, by what a person may ask of it."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from driftline_schemas.spec import ModelSpec
from driftline_streams.dashboard import markup, queries, spans, state
from driftline_streams.dashboard.pages.behaviour import Behaviour
from driftline_streams.dashboard.pages.comparison import Comparison
from driftline_streams.dashboard.pages.labels import Labels
from driftline_streams.dashboard.pages.models import strips
from driftline_streams.dashboard.pages.performance import Performance
from driftline_streams.dashboard.pages.segments import Segments
from driftline_streams.dashboard.pages.shell import Page
from driftline_streams.dashboard.pages.tab import Tab, View, toggle
from driftline_streams.dashboard.pages.worth import Worth
from driftline_streams.dashboard.reader import Reader
from driftline_streams.errors import UsageError

_LENGTHS = {"hour": "Hour", "day": "Day", "week": "Week", "month": "Month", "all": "All"}
_TABS = {
    "behaviour": "Behaviour",
    "performance": "Performance",
    "labels": "Labels",
    "versions": "Versions",
    "segments": "Segments",
    "worth": "Worth",
}


class Model:
    """The page of the model `name`."""

    def __init__(self, reader: Reader, request: Request, name: str) -> None:
        self._page = Page(reader, request, name, "Models")
        self._reader, self._name = reader, name
        span, tab = (request.query_params.get(key, "") for key in ("span", "tab"))
        self._span = span if span in spans.CHOICES else ""
        self._open = tab if tab in _TABS else "behaviour"
        with self._page.body:
            self._head()
            self._strips = ui.html("", sanitize=False).classes("w-full")
            with (
                ui.tabs(on_change=self._page.unless_quiet(self._turned))
                .props("dense no-caps align=left inline-label outside-arrows mobile-arrows")
                .classes("w-full") as self._bar
            ):
                for key, label in _TABS.items():
                    ui.tab(key, label)
            with self._page.quietly():
                self._bar.set_value(self._open)
            self._cards = {key: ui.element("div").classes("cards") for key in _TABS}
        self._tabs = self._build()
        self._show()
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
                self._length = toggle(_LENGTHS, self._span or None, self._page, self._chosen)

    def _build(self) -> dict[str, Tab]:
        kinds: dict[str, type[Behaviour | Performance | Labels | Comparison | Segments | Worth]] = {
            "behaviour": Behaviour,
            "performance": Performance,
            "labels": Labels,
            "versions": Comparison,
            "segments": Segments,
            "worth": Worth,
        }
        tabs: dict[str, Tab] = {}
        for key, kind in kinds.items():
            with self._cards[key]:
                tabs[key] = kind(self._reader, self._name, self._page)
        return tabs

    async def _chosen(self) -> None:
        self._span = str(self._length.value)
        await self._moved()

    async def _turned(self) -> None:
        self._open = str(self._bar.value)
        self._show()
        await self._moved()

    async def _moved(self) -> None:
        ui.run_javascript(f"history.replaceState(history.state, '', '?span={self._span}&tab={self._open}')")
        await self._page.refresh()

    def _show(self, *, anything: bool = True) -> None:
        self._bar.set_visibility(anything)
        aside = self._open != "behaviour"  # there is no room for them beside other answers on a phone
        self._strips.classes(add="aside" if aside else "", remove="" if aside else "aside")
        for key, cards in self._cards.items():
            cards.set_visibility(anything and key == self._open)

    async def _load(self) -> None:
        try:
            versions = await queries.models.versions(self._reader, self._name)
        except UsageError as error:
            self._lead.set_text(str(error))
            return
        self._show(anything=bool(versions))
        if not versions:
            self._lead.set_text("No events of this model have arrived.")
            return
        first, newest = min(v.first_s for v in versions), max(v.newest_s for v in versions)
        width_s = max(v.width_s for v in versions)
        if not self._span:
            self._span = spans.default(first, newest, width_s)
        if self._length.value != self._span:
            with self._page.quietly():
                self._length.set_value(self._span)
        span = spans.span(self._span, first, newest)
        self._range.set_text(f"{markup.moment(span.start_s)} to {markup.moment(span.end_s)}, event time")
        specs = await queries.records.specs(self._reader)
        spec = specs.get(self._name) or ModelSpec(model=self._name)
        self._title.set_content(f"<h1>{markup.text(self._name)} {markup.chip(spec.kind, 'calm')}</h1>")
        self._lead.set_text(spec.description)
        names = [version.version for version in versions]
        await self._page.guarded(self._tabs[self._open].load(View(span, names, width_s, spec)))
        await self._page.guarded(self._load_state())

    async def _load_state(self) -> None:
        html = strips(await state.states(self._reader, self._name), self._page.palette.dark)
        if self._strips.content != html:
            self._strips.set_content(html)
