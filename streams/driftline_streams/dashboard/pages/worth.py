"""What was the model worth, by what its spec says an outcome is worth?"""

from __future__ import annotations

import asyncio

from msgspec import structs
from nicegui import ui

from driftline_streams.dashboard import queries
from driftline_streams.dashboard.charts import worth as charts
from driftline_streams.dashboard.charts.cohort import by_line
from driftline_streams.dashboard.charts.confusion import class_name
from driftline_streams.dashboard.pages.performance import NO_LABELS
from driftline_streams.dashboard.pages.shell import Page, Panel
from driftline_streams.dashboard.pages.tab import View, offer, toggle
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import DAY_S

_NO_WORTH = (
    "The spec does not say what an outcome is worth: declare `worth` (of tp, fp, tn, fn, or PREDICTED>TRUE) and "
    "`worth_unit`, and apply it with driftline models apply."
)


class Worth:
    """The tab of business measures."""

    def __init__(self, reader: Reader, model: str, page: Page) -> None:
        self._reader, self._name, self._page = reader, model, page
        with ui.element("div").classes("grid"):
            self._worth = Panel("What was it worth?")
            with self._worth.tools:
                self._grain = toggle({"day": "Day", "month": "Month"}, None, page)
            self._counts = Panel("How many of each class?")
            with self._counts.tools:
                self._version = toggle({}, None, page)

    async def load(self, view: View) -> None:
        """Fill the panels."""
        await asyncio.gather(self._page.guarded(self._load_worth(view)), self._page.guarded(self._load_counts(view)))

    async def _load_worth(self, view: View) -> None:
        if not view.spec.worth:
            self._worth.blank(_NO_WORTH)
            return
        span, unit = view.span.by_day(), view.spec.worth_unit
        grain = self._grain.value or ("month" if span.length_s > 92 * DAY_S else "day")
        if self._grain.value != grain:
            with self._page.quietly():
                self._grain.set_value(grain)
        rows = await queries.worth.worth(self._reader, self._name, span, grain)
        if not rows:
            self._worth.blank(NO_LABELS)
            return
        totals = [
            f"{name}: {charts.amount(sum(r.worth for r in of), unit)} from {sum(r.labelled for r in of):,} outcomes"
            for name, of in by_line(rows).items()
        ]
        each = ", ".join(f"{name} {value:g} {unit}".rstrip() for name, value in view.spec.worth.items())
        self._worth.show(
            charts.worth(rows, unit=unit, versions=view.versions, span=span, grain=grain, palette=self._page.palette),
            f"by the {grain} of the prediction, lighter where labels can still come; {'; '.join(totals)} ({each})",
        )

    async def _load_counts(self, view: View) -> None:
        version = offer(self._version, {name: name for name in view.versions}, self._page)
        span = view.span.by_day()
        found = await queries.worth.counts(self._reader, self._name, version, span)
        rows = [structs.replace(row, class_=class_name(row.class_, view.spec)) for row in found]
        if not rows:
            self._counts.blank(NO_LABELS)
            return
        names, all_ = charts.most_frequent(rows), {row.class_ for row in rows}
        few = f"; the {len(names)} most frequent of {len(all_)} classes" if len(all_) > len(names) else ""
        n = round(sum(row.actual for row in rows))
        self._counts.show(
            charts.counts(rows, span=span, palette=self._page.palette),
            f"how often each class was true, by the month of the prediction; n = {n:,}{few}",
        )
