"""Does the truth still come, how long does it take, and what did it change afterwards?"""

from __future__ import annotations

import asyncio

from nicegui import ui

from driftline_streams.dashboard import markup, metrics, queries
from driftline_streams.dashboard.charts import labels as charts
from driftline_streams.dashboard.charts.cohort import date
from driftline_streams.dashboard.pages.performance import NO_LABELS
from driftline_streams.dashboard.pages.shell import Page, Panel
from driftline_streams.dashboard.pages.tab import View
from driftline_streams.dashboard.reader import Reader


class Labels:
    """The tab of the labels themselves."""

    def __init__(self, reader: Reader, model: str, page: Page) -> None:
        self._reader, self._name, self._page = reader, model, page
        with ui.element("div").classes("grid"):
            self._coverage = Panel("Do labels still come?")
            self._delay = Panel("How long does the truth take?")
        self._restated = Panel("What was restated?")
        with self._restated.body:
            self._table = ui.html("", sanitize=False).classes("w-full")

    async def load(self, view: View) -> None:
        """Fill the panels."""
        await asyncio.gather(
            self._page.guarded(self._load_coverage(view)),
            self._page.guarded(self._load_delay()),
            self._page.guarded(self._load_restated(view)),
        )

    async def _load_coverage(self, view: View) -> None:
        span = view.span.by_day()
        rows, expected = await asyncio.gather(
            queries.performance.coverage(self._reader, self._name, span, "day"),
            queries.labels.expected(self._reader, self._name, span),
        )
        labelled, answered = sum(row.labelled for row in rows), sum(row.predictions for row in rows)
        if not labelled:
            self._coverage.blank(NO_LABELS)
            return
        newest = max(row.at_s for row in rows if row.labelled)
        self._coverage.show(
            charts.coverage(rows, expected, versions=view.versions, span=span, palette=self._page.palette),
            f"labels that are there, by the day of the prediction; n = {labelled:,} of {answered:,}, coverage "
            f"{markup.percent(labelled / answered)}; the newest day with labels is {markup.moment(newest)[:10]}",
        )

    async def _load_delay(self) -> None:
        rows, usual = await asyncio.gather(
            queries.labels.delay(self._reader, self._name), queries.labels.usual(self._reader, self._name)
        )
        if not rows:
            self._delay.blank(NO_LABELS)
            return
        self._delay.show(
            charts.delay(rows, palette=self._page.palette),
            "of the labels that come before their day is final, the share that is there by the age of the prediction; "
            + "; ".join(
                f"in {date(month.at_s, 'month')} half within {charts.age(month.p50_h)}, 90 % within "
                f"{charts.age(month.p90_h)}, n = {month.n:,}"
                for month in usual
            ),
        )

    async def _load_restated(self, view: View) -> None:
        rows = await queries.labels.restatements(
            self._reader, self._name, next(iter(metrics.of(view.spec.kind).values())), view.span.by_day()
        )
        self._restated.subtitle("days whose numbers changed after they were final, newest first" if rows else "")
        html = markup.table(rows) if rows else '<p class="note">No day has changed after it was final.</p>'
        if self._table.content != html:
            self._table.set_content(html)
