"""What every page has: the bar, the theme, the refresh, and the word when ClickHouse does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from nicegui import events, ui
from nicegui.elements.echart import EChart
from starlette.requests import Request

from driftline_streams.dashboard import markup, style
from driftline_streams.dashboard.charts.frame import DARK, LIGHT, Option, Palette
from driftline_streams.dashboard.reader import Reader
from driftline_streams.errors import DriftlineError, Overloaded, Unavailable

REFRESH_S = 5.0
_THEMES = {"auto": None, "light": False, "dark": True}
_ICONS = {"auto": "brightness_auto", "light": "light_mode", "dark": "dark_mode"}

Load = Callable[[], Awaitable[None]]


class Page:
    """One open page. Loads run at once, each fills its own panels; then again every `REFRESH_S` seconds.

    Parameters
    ----------
    reader
        Shared by all pages.
    request
        Carries the theme that was chosen in this browser.
    here
        Which entry of the bar this page belongs to.
    """

    def __init__(self, reader: Reader, request: Request, title: str, here: str) -> None:
        self.reader = reader
        self.palette: Palette = LIGHT
        self._loads: list[Load] = []
        self._loading = asyncio.Lock()
        self._read_at: float | None = None
        self._missed = self._quiet = False
        self._refusal = ""
        theme = request.cookies.get("driftline-theme", "auto")
        self._theme = theme if theme in _THEMES else "auto"
        ui.page_title(f"{title} · Driftline")
        ui.colors(primary="#0068a3")
        self._dark = ui.dark_mode(_THEMES[self._theme])
        self._bar(here)
        self._outage = ui.label().classes("outage")
        self._outage.set_visibility(False)
        self.body = ui.element("main").classes("page")
        ui.on("driftline-theme", self._on_theme)

    def loads(self, *loads: Load) -> None:
        """What to do at every refresh; they run side by side."""
        self._loads += loads

    async def run(self) -> None:
        """Fill the page as soon as the browser is there, and keep it fresh while it is open."""
        client = ui.context.client
        try:
            await client.connected(timeout=30)
            dark = await ui.run_javascript("driftline.dark()", timeout=10)
        except (TimeoutError, RuntimeError):
            return  # nobody looks
        self.palette = DARK if dark else LIGHT
        with self.body:
            ui.timer(REFRESH_S, self.refresh, immediate=False)
            ui.timer(1.0, self._say)
        await self.refresh()

    async def refresh(self) -> None:
        """Load everything again; a load that fails leaves what it has shown before."""
        async with self._loading:
            self._missed, self._refusal = False, ""
            await asyncio.gather(*(self.guarded(load()) for load in self._loads))
            if not self._missed:
                self._read_at = time.time()
            self._say()

    async def guarded(self, work: Awaitable[None]) -> None:
        """Do `work`; when it fails, what was shown before stays, and the banner says why."""
        try:
            await work
        except DriftlineError as error:
            self._missed = True
            if not isinstance(error, Unavailable) or isinstance(error, Overloaded):  # the reader knows of outages
                self._refusal = str(error)

    @contextlib.contextmanager
    def quietly(self) -> Iterator[None]:
        """Set values of controls without taking it for a person's choice."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False

    def unless_quiet(self, handler: Load) -> Load:
        """A handler of a control for what a person has chosen."""

        async def handle() -> None:
            if not self._quiet:
                await handler()

        return handle

    def _say(self) -> None:
        outage = self.reader.outage
        if outage is not None:
            since = time.strftime("%H:%M:%S UTC", time.gmtime(outage.since))
            kept = f" Shown is what was read at {self._clock()}." if self._read_at else ""
            self._outage.set_text(
                f"ClickHouse at {self.reader.address} has not answered since {since} (attempt {outage.attempts}).{kept}"
            )
        elif self._refusal:
            self._outage.set_text(f"This page could not be read: {self._refusal}")
        self._outage.set_visibility(outage is not None or bool(self._refusal))
        if self._read_at is not None:
            self._pulse.set_text(f"updated {self._clock()}")

    def _clock(self) -> str:
        return time.strftime("%H:%M:%S UTC", time.gmtime(self._read_at or 0))

    def _bar(self, here: str) -> None:
        with ui.element("header").classes("bar"):
            with ui.link(target="/").classes("brand"):
                ui.html(style.LOGO, sanitize=False)
                ui.label("Driftline")
            with ui.element("nav"):
                for name, path in (("Models", "/"), ("Alerts", "/alerts")):
                    ui.link(name, path).classes("here" if name == here else "")
            self._pulse = ui.label("reading …").classes("pulse")
            self._button = ui.button(icon=_ICONS[self._theme], on_click=self._next_theme).props(
                'flat round dense size=sm color=none aria-label="theme"'
            )
            with self._button:
                self._tip = ui.tooltip(f"theme: {self._theme}")

    def _next_theme(self) -> None:
        names = list(_THEMES)
        self._theme = names[(names.index(self._theme) + 1) % len(names)]
        self._dark.set_value(_THEMES[self._theme])
        self._button.props(f"icon={_ICONS[self._theme]}")
        self._tip.set_text(f"theme: {self._theme}")
        ui.run_javascript(f"driftline.remember('{self._theme}')")

    async def _on_theme(self, event: events.GenericEventArguments) -> None:
        self.palette = DARK if event.args["dark"] else LIGHT
        await self.refresh()


class Panel:
    """A card: a title, a subtitle that says what the numbers rest on, and a chart or the reason why there is none."""

    def __init__(self, title: str, *, tall: bool = False) -> None:
        self._card = ui.element("section").classes("panel tall" if tall else "panel")
        with self._card:
            with ui.element("div").classes("top"):
                with ui.element("div").classes("titles"):
                    ui.html(f"<h2>{markup.text(title)}</h2>", sanitize=False)
                    self._subtitle = ui.label().classes("sub")
                self.tools = ui.row().classes("items-center gap-2")
            self.body = ui.element("div").classes("body")
        self._shape: Any = None
        self.chart: EChart | None = None
        self._on_click: Callable[[events.EChartPointClickEventArguments], Any] | None = None

    def on_click(self, handler: Callable[[events.EChartPointClickEventArguments], Any]) -> None:
        """Call `handler` when a point of the chart is clicked."""
        self._on_click = handler

    def visible(self, yes: bool) -> None:
        """Show or hide the whole card."""
        self._card.set_visibility(yes)

    def subtitle(self, text: str) -> None:
        """What the numbers rest on."""
        self._subtitle.set_text(text)

    def show(self, option: Option, subtitle: str, *, height_px: int | None = None) -> None:
        """Draw `option`; nothing is sent when it is what is drawn already."""
        self.subtitle(subtitle)
        shape = [(series["type"], series["name"], series.get("xAxisIndex")) for series in option["series"]], height_px
        if self.chart is not None and shape == self._shape:
            if self.chart.options != option:
                self.chart.options.clear()
                self.chart.options.update(option)
                self.chart.update()
            return
        self._shape = shape  # other series: ECharts would merge the old ones into them
        self.body.clear()
        with self.body:
            self.chart = ui.echart(option, on_point_click=self._on_click)
            if height_px:
                self.chart.style(f"height: {height_px}px")

    def blank(self, why: str, subtitle: str = "") -> None:
        """Say why there is nothing to draw."""
        self.subtitle(subtitle)
        if self._shape == why:
            return
        self._shape, self.chart = why, None
        self.body.clear()
        with self.body:
            ui.label(why).classes("blank")
