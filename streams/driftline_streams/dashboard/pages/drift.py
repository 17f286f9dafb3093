"""The drift of one version by signal and time, and beside it the distributions behind the chosen cell."""

from __future__ import annotations

from nicegui import events, ui

from driftline_schemas.spec import Reference
from driftline_streams.dashboard import markup, queries
from driftline_streams.dashboard.charts import drift as charts
from driftline_streams.dashboard.charts.frame import colour
from driftline_streams.dashboard.pages.shell import Page, Panel
from driftline_streams.dashboard.queries.drift import Drift, Segment
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import DAY_S, Span
from driftline_streams.kernel import words

_ALL = "All events"


class DriftPanels:
    """A heat map of signals and test windows; a click shows reference and window side by side."""

    def __init__(self, reader: Reader, model: str, page: Page) -> None:
        self._reader, self._model, self._page = reader, model, page
        self._grid = charts.Grid([], [], {})
        self._chosen: Drift | None = None
        self._versions: list[str] = []
        with ui.element("div").classes("grid wide"):
            self._map = Panel("Drift by signal and time", tall=True)
            self._map.on_click(self._clicked)
            with self._map.tools:
                self._segment = (
                    ui.select([_ALL], value=_ALL, on_change=page.unless_quiet(self._other))
                    .props("dense outlined options-dense aria-label=segment")
                    .classes("min-w-[140px]")
                )
                self._version = ui.toggle([], on_change=page.unless_quiet(self._other)).props(
                    "unelevated no-caps toggle-color=primary"
                )
            self._detail = Panel("Reference and window", tall=True)

    async def load(self, span: Span, versions: list[str]) -> None:
        """Show `span` of the chosen version (at first the first one)."""
        self._versions = versions
        if self._version.options != versions:
            kept = self._version.value if self._version.value in versions else versions[0]
            with self._page.quietly():
                self._version.set_options(versions, value=kept)
        version = str(self._version.value)
        bucket_s = span.bucket_s(DAY_S)  # of narrower test windows the worst is shown
        segment = await self._offer(version, span)
        rows = await queries.drift.cells(self._reader, self._model, version, span, bucket_s, segment)
        reference = await queries.records.reference(self._reader, self._model, version)
        if not rows:
            self._map.blank(_why(reference))
            self._detail.blank("Click a cell of the drift map.")
            return
        bucket_s = max(bucket_s, min(row.width_s for row in rows))
        self._grid = charts.grid(rows, bucket_s)
        drifted = sum(row.state == "drift" for row in rows)
        judged = sum(row.state != "insufficient data" for row in rows)
        signals = len(self._grid.signals)
        against = f" against {reference.n:,} events of the reference" if reference is not None else ""
        self._map.show(
            charts.heat_map(rows, bucket_s=bucket_s, palette=self._page.palette),
            f"the strongest test of each signal, in units of its limit{against}; {drifted:,} of {judged:,} cells drift",
            height_px=max(220, 80 + 22 * signals),
        )
        if self._chosen is None:
            drifting = [row for row in rows if row.state == "drift"]
            self._chosen = max(drifting or rows, key=lambda row: (row.at_s, row.ratio))
        await self._show_chosen(version)

    async def _offer(self, version: str, span: Span) -> Segment:
        """Let a person choose among the segments there are; the chosen one."""
        segments = await queries.drift.segments(self._reader, self._model, version, span)
        offered = {_ALL: Segment(), **{f"{each.dim} = {each.value}": each for each in segments}}
        if self._segment.options != list(offered):
            kept = self._segment.value if self._segment.value in offered else _ALL
            with self._page.quietly():
                self._segment.set_options(list(offered), value=kept)
        self._segment.set_visibility(bool(segments))
        return offered[str(self._segment.value)]

    async def _other(self) -> None:
        self._chosen = None
        await self._page.refresh()

    async def _clicked(self, event: events.EChartPointClickEventArguments) -> None:
        value = event.value if isinstance(event.value, list) else []
        cell = self._grid.cells.get((int(value[0]), int(value[1]))) if len(value) >= 2 else None
        if cell is not None:
            self._chosen = cell
            version = str(self._version.value)
            await self._page.guarded(self._show_chosen(version))

    async def _show_chosen(self, version: str) -> None:
        cell = self._chosen
        if cell is None:
            return
        name = charts.signal_name(cell.signal) + (f" where {cell.dim} is {cell.value}" if cell.dim else "")
        when = words.when(cell.window_s * 1000, (cell.window_s + cell.width_s) * 1000)
        found = await queries.drift.histograms(self._reader, self._model, version, cell)
        if not found.bins:  # as of all features together
            said = await queries.drift.detail(self._reader, self._model, version, cell)
            tested = cell.state != "insufficient data"
            verdict = f"{charts.strongest(cell)}: {charts.verdict(cell)}." if tested else ""
            self._detail.blank(said or verdict or "There was nothing to compare in this window.", f"{name} {when}")
            return
        shade = colour(self._page.palette, self._versions, version)
        self._detail.show(
            charts.distributions(charts.shares(found), shade=shade, palette=self._page.palette),
            f"{name} {when}: {charts.strongest(cell)}: {charts.verdict(cell)}; n = {markup.count(cell.n)} against "
            f"{markup.count(cell.n_reference)}{' of the same hours' if cell.seasonal else ''}",
        )


def _why(reference: Reference | None) -> str:
    if reference is None:
        return "This version has no reference to compare with: build one from a time that you trust, and publish it."
    return "No test window has closed in this time."
