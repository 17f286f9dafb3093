"""Is the challenger better? Both answered the same requests, so each pair shares its difficulty."""

from __future__ import annotations

import asyncio

from nicegui import ui

from driftline_streams.dashboard import queries
from driftline_streams.dashboard.charts import comparison as charts
from driftline_streams.dashboard.pages.shell import Page, Panel
from driftline_streams.dashboard.pages.tab import View, toggle
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import DAY_S

_NO_PAIRS = (
    "No requests were answered by champion and challenger, with their truth known: let both answer the same requests "
    "with the same request_id, the second with role challenger or shadow, see docs/champion-challenger.md."
)
_NO_VERDICT = "No verdict yet: it speaks when days with pairs of champion and challenger are final."


class Comparison:
    """The tab of the versions against each other."""

    def __init__(self, reader: Reader, model: str, page: Page) -> None:
        self._reader, self._name, self._page = reader, model, page
        with ui.element("div").classes("grid"):
            self._verdict = Panel("Is the challenger better?")
            self._pairs = Panel("Challenger beside champion")
            with self._pairs.tools:
                self._grain = toggle({"day": "Day", "week": "Week", "month": "Month"}, None, page)

    async def load(self, view: View) -> None:
        """Fill the panels."""
        await asyncio.gather(self._page.guarded(self._load_verdict(view)), self._page.guarded(self._load_pairs(view)))

    async def _load_verdict(self, view: View) -> None:
        rows = await queries.comparison.verdicts(self._reader, self._name, view.span.by_day())
        if not rows:
            self._verdict.blank(_NO_VERDICT)
            return
        newest = {(row.champion, row.challenger, row.role): row for row in rows}
        self._verdict.show(
            charts.running(
                rows, margin=view.spec.comparison.margin, versions=view.versions, palette=self._page.palette
            ),
            "; ".join(charts.sentence(row) for row in newest.values())
            + ". The interval holds at all days at once, so it may be looked at daily.",
        )

    async def _load_pairs(self, view: View) -> None:
        span = view.span.by_day()
        grain = self._grain.value or ("week" if span.length_s > 60 * DAY_S else "day")
        if self._grain.value != grain:
            with self._page.quietly():
                self._grain.set_value(grain)
        rows = await queries.comparison.pairs(self._reader, self._name, span, grain)
        option = charts.differences(rows, versions=view.versions, span=span, grain=grain, palette=self._page.palette)
        if not option["series"]:
            self._pairs.blank(_NO_PAIRS)
            return
        classes = charts.of_classes(rows)
        n = sum(row.compared if classes else row.measured for row in rows)
        self._pairs.show(
            option,
            f"difference in {'accuracy' if classes else 'the mean absolute error'} on the same requests, per {grain}, "
            f"95 % interval; {'above' if classes else 'below'} 0 the challenger is better; {n:,} pairs",
        )
