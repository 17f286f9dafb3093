"""Where is the model worse than elsewhere, and are groups treated alike?"""

from __future__ import annotations

import asyncio

from nicegui import ui

from driftline_streams.dashboard import markup, metrics, queries
from driftline_streams.dashboard.charts import segments as charts
from driftline_streams.dashboard.charts.cohort import date
from driftline_streams.dashboard.charts.frame import colour
from driftline_streams.dashboard.pages.shell import Page, Panel
from driftline_streams.dashboard.pages.tab import View, offer, select, toggle
from driftline_streams.dashboard.reader import Reader
from driftline_streams.kernel.catalog import sliced_by

_NO_SEGMENTS = (
    "This model is not sliced: name keys of `segment` under `segments` in its spec and apply it with "
    "driftline models apply, see docs/fairness.md."
)
_NOT_SETTLED = (
    "Nothing to compare yet: it needs four weeks that are final, with 100 outcomes in a segment and beside it."
)
_NO_GROUPS = (
    "No protected attributes are declared: name them under `fairness` in the spec of the model, see docs/fairness.md."
)
_NO_GAPS = "Nothing to compare yet: it needs outcomes of at least two groups."
_RATES = {
    "positive_rate": "Positive answers",
    "true_positive_rate": "True positives",
    "false_positive_rate": "False positives",
}
_MOST = 20  # segments and gaps that are drawn, the worst first


class Segments:
    """The tab of segments and groups."""

    def __init__(self, reader: Reader, model: str, page: Page) -> None:
        self._reader, self._name, self._page = reader, model, page
        with ui.element("div").classes("of"):
            ui.label("Of version").classes("note")
            self._version = toggle({}, None, page)
        self._worst = Panel("Where is it worse than elsewhere?")
        with self._worst.tools:
            self._metric = select({"accuracy": "Accuracy"}, "accuracy", page, "metric")
        with ui.element("div").classes("grid"):
            self._gaps = Panel("How far are groups apart?")
            with self._gaps.tools:
                self._rate = select(_RATES, "positive_rate", page, "rate")
            self._course = Panel("Do they come closer?")

    async def load(self, view: View) -> None:
        """Fill the panels."""
        version = offer(self._version, {name: name for name in view.versions}, self._page)
        shade = colour(self._page.palette, view.versions, version)
        await asyncio.gather(
            self._page.guarded(self._load_worst(view, version, shade)),
            self._page.guarded(self._load_gaps(view, version, shade)),
        )

    async def _load_worst(self, view: View, version: str, shade: str) -> None:
        if not sliced_by(view.spec):
            self._worst.blank(_NO_SEGMENTS)
            return
        rows = await queries.segments.parts(self._reader, self._name, version)
        known = metrics.of(view.spec.kind)
        offered = {name: each.label for name, each in known.items() if any(row.metric == name for row in rows)}
        if not offered:
            self._worst.blank(_NOT_SETTLED)
            return
        metric = known[offer(self._metric, offered, self._page)]
        mine = [row for row in rows if row.metric == metric.name]
        shown = [row for row in mine if row.role == mine[0].role][:_MOST]
        found = sum(charts.worse(row) for row in mine)
        self._worst.show(
            charts.segments(shown, metric=metric, palette=self._page.palette, shade=shade),
            f"{metric.label} of a segment minus that of all others, 95 % interval, the worst first; four weeks up to "
            f"{date(mine[0].through_s)}; {found or 'none'} of {len(mine)} worse beyond chance, all that is compared "
            "accounted for",
            height_px=max(180, 76 + charts.ROW_PX * len(shown)),
        )

    async def _load_gaps(self, view: View, version: str, shade: str) -> None:
        if not view.spec.fairness.attributes:
            self._gaps.blank(_NO_GROUPS)
            self._course.visible(False)
            return
        rows = await queries.segments.gaps(self._reader, self._name, version, view.span.by_day())
        rate = str(self._rate.value)
        mine = [row for row in rows if row.metric == rate and row.state != "insufficient data"]
        self._course.visible(bool(mine))
        if not mine:
            self._gaps.blank(_NO_GAPS)
            return
        newest = [row for row in mine if row.at_s == mine[0].at_s][:_MOST]
        beyond = sum(row.state == "beyond" for row in newest)
        drawn = {"palette": self._page.palette, "shade": shade}
        self._gaps.show(
            charts.gaps(newest, **drawn),  # type: ignore[arg-type]
            f"{_RATES[rate].lower()}, group over group in {date(newest[0].at_s, 'month')}, 95 % interval; "
            f"{markup.percent(newest[0].allowed)} may lie between them; {beyond or 'none'} of {len(newest)} beyond",
            height_px=max(180, 76 + charts.ROW_PX * len(newest)),
        )
        self._course.show(
            charts.course(mine, span=view.span.by_day(), **drawn),  # type: ignore[arg-type]
            "the widest gap of each month, 95 % interval",
        )
