"""How good the model is: over time as labels arrive, in the end, without labels, and where its answers are wrong."""

from __future__ import annotations

import asyncio

from nicegui import ui

from driftline_streams.dashboard import markup, metrics, queries
from driftline_streams.dashboard.charts import confusion, estimates, performance, residuals, scores
from driftline_streams.dashboard.charts.cohort import PROVISIONAL, RESTATED, date, told_apart
from driftline_streams.dashboard.charts.frame import colour
from driftline_streams.dashboard.metrics import Metric
from driftline_streams.dashboard.pages.shell import Page, Panel
from driftline_streams.dashboard.pages.tab import View, offer, select, toggle
from driftline_streams.dashboard.queries.estimates import FINAL, Estimate
from driftline_streams.dashboard.queries.performance import Cohort
from driftline_streams.dashboard.queries.scores import Cell, Month
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import DAY_S, Span

NO_LABELS = "No labels yet for the predictions of this time: publish them to driftline.labels, see docs/labels.md."
ENOUGH = 100  # labels of a month that say something of it
_MOST_DAYS = 60  # of the days that are not final, the newest


class Performance:
    """The tab of the numbers that need the truth."""

    def __init__(self, reader: Reader, model: str, page: Page) -> None:
        self._reader, self._name, self._page = reader, model, page
        self._over_time = Panel("Performance as labels arrive", tall=True)
        with self._over_time.tools:
            self._metric = select({"accuracy": "Accuracy"}, "accuracy", page, "metric")
            self._grain = toggle({"day": "Day", "month": "Month"}, None, page)
        with ui.element("div").classes("of"):
            ui.label("Of version").classes("note")
            self._version = toggle({}, None, page)
            self._month_name = ui.label("scores and classes of").classes("note")
            self._month = select({}, None, page, "month")
        with ui.element("div").classes("grid"):
            self._expected = Panel("When all labels have come")
            self._without = Panel("Estimated without labels")
            self._calibration = Panel("Do scores come true?")
            self._bands = Panel("Where are answers wrong?")
            self._confusion = Panel("What is taken for what?")
            self._residuals = Panel("How far are numbers off?")
            self._positions = Panel("Is the top of the list clicked?")

    async def load(self, view: View) -> None:
        """Fill the panels."""
        offered = metrics.of(view.spec.kind)
        metric = offered[offer(self._metric, {name: each.label for name, each in offered.items()}, self._page)]
        version = offer(self._version, {name: name for name in view.versions}, self._page)
        span = view.span.by_day()
        grain = self._grain.value or ("month" if span.length_s > 92 * DAY_S else "day")
        if self._grain.value != grain:
            with self._page.quietly():
                self._grain.set_value(grain)
        shade = colour(self._page.palette, view.versions, version)
        await asyncio.gather(
            self._page.guarded(self._load_over_time(view, metric, span, grain)),
            self._page.guarded(self._load_estimates(version, metric, span, shade)),
            self._page.guarded(self._load_months(view, version, span, shade)),
            self._page.guarded(self._load_residuals(view, version, span, shade)),
        )

    async def _load_over_time(self, view: View, metric: Metric, span: Span, grain: str) -> None:
        rows, covered = await asyncio.gather(
            queries.performance.cohorts(self._reader, self._name, metric, span, grain),
            queries.performance.coverage(self._reader, self._name, span, grain),
        )
        if not rows:
            self._over_time.blank(NO_LABELS)
            return
        shown = performance.telling([row for row in rows if row.value is not None])
        if not shown:
            self._over_time.blank(f"{metric.label} is not defined here: {_why_undefined(metric)}.")
            return
        few = f"; {len(rows) - len(shown)} with hardly any labels left out" if len(shown) < len(rows) else ""
        labelled, answered = sum(row.labelled for row in covered), sum(row.predictions for row in covered)
        self._over_time.show(
            performance.performance(
                shown,
                covered,
                metric=metric,
                versions=view.versions,
                span=span,
                grain=grain,
                palette=self._page.palette,
            ),
            f"with 95 % interval, by the {grain} of the prediction; {'less' if metric.loss else 'more'} is better; "
            f"n = {labelled:,}, coverage {markup.percent(labelled / answered if answered else None)}; "
            f"{_states(shown)}{few}",
        )

    async def _load_estimates(self, version: str, metric: Metric, span: Span, shade: str) -> None:
        rows, cohorts = await asyncio.gather(
            queries.estimates.estimates(self._reader, self._name, version, metric, span),
            queries.performance.cohorts(self._reader, self._name, metric, span, "day"),
        )
        mine = [row for row in cohorts if row.version == version]
        self._show_expected(rows, mine, metric, shade)
        self._show_without(rows, mine, metric, span, shade)

    def _show_expected(self, rows: list[Estimate], cohorts: list[Cohort], metric: Metric, shade: str) -> None:
        open_ = {row.at_s for row in cohorts if row.state == PROVISIONAL}
        said = [row for row in rows if row.basis == FINAL and row.at_s in open_][-_MOST_DAYS:]
        if not said:
            final = "All days with labels are final: nothing more is to come."
            waiting = f"What {metric.label} will be is not told yet: it needs days that are final to learn from."
            self._expected.blank(waiting if open_ else final if cohorts else NO_LABELS)
            return
        self._expected.show(
            estimates.expected(said, cohorts, metric=metric, palette=self._page.palette, shade=shade),
            f"{metric.label} of the {len(said)} newest days that can still change: 95 % interval of the final value, "
            "circles as it stands now",
        )

    def _show_without(
        self, rows: list[Estimate], cohorts: list[Cohort], metric: Metric, span: Span, shade: str
    ) -> None:
        said = [row for row in rows if row.basis != FINAL]
        silent = [row for row in said if row.estimate is None]
        if not said:
            self._without.blank(f"{metric.label} is not estimated without labels here, see docs/estimates.md.")
            return
        tracked = estimates.tracked_error(said, cohorts)
        error = f"; off by {told_apart(metric, tracked[0])} in the mean of {tracked[1]} days" if tracked else ""
        abstains = f"; abstains on {len(silent)} of {len(said)} days: {silent[-1].reason}" if silent else ""
        self._without.show(
            estimates.without_labels(said, cohorts, metric=metric, span=span, palette=self._page.palette, shade=shade),
            f"{metric.label} from {' and '.join(sorted({row.basis for row in said}))}, 95 % interval, beside the real "
            f"one{error}{abstains}",
        )

    async def _load_months(self, view: View, version: str, span: Span, shade: str) -> None:
        classes, lists = view.spec.kind in {"binary", "multiclass"}, view.spec.kind == "ranking"
        for panel in (self._calibration, self._bands, self._confusion):
            panel.visible(classes)
        self._positions.visible(lists)
        months = await queries.scores.months(self._reader, self._name, version, span) if classes or lists else []
        self._month.set_visibility(bool(months))
        self._month_name.set_visibility(bool(months))
        if not months:
            for panel in (self._calibration, self._bands, self._confusion, self._positions):
                panel.blank(NO_LABELS)
            return
        roles = len({month.role for month in months}) > 1
        offered = {
            f"{month.at_s} {month.role}": date(month.at_s, "month") + (f" as {month.role}" if roles else "")
            for month in months
        }
        if self._month.value not in offered:  # the first days of a month say little
            enough = [month for month in months if month.labelled >= ENOUGH] or months
            with self._page.quietly():
                self._month.set_options(offered, value=f"{enough[0].at_s} {enough[0].role}")
        chosen = offer(self._month, offered, self._page)
        month = next(month for month in months if f"{month.at_s} {month.role}" == chosen)
        if lists:
            await self._load_positions(version, month, shade)
        else:
            await asyncio.gather(
                self._page.guarded(self._load_bands(version, month, shade)),
                self._page.guarded(self._load_confusion(view, version, month)),
            )

    async def _load_bands(self, version: str, month: Month, shade: str) -> None:
        bands = await queries.scores.bands(self._reader, self._name, version, month)
        n = sum(band.n for band in bands)
        if not n:
            for panel in (self._calibration, self._bands):
                panel.blank("No labelled predictions of this month carry a score: send it with each prediction.")
            return
        drawn = {"palette": self._page.palette, "shade": shade}
        of = f"{date(month.at_s, 'month')}, n = {n:,}"
        self._calibration.show(
            scores.calibration(bands, **drawn),  # type: ignore[arg-type]
            f"{of}: how often the truth was what the score said, 95 % interval; on the dashed line they agree",
        )
        self._bands.show(
            scores.errors(bands, **drawn),  # type: ignore[arg-type]
            f"{of}: share of wrong answers by score, 95 % interval; bars are how many there were",
        )

    async def _load_confusion(self, view: View, version: str, month: Month) -> None:
        found = await queries.scores.confusion(self._reader, self._name, version, month)
        cells = [
            Cell(confusion.class_name(each.predicted, view.spec), confusion.class_name(each.actual, view.spec), each.n)
            for each in found
        ]
        names, all_ = confusion.classes(cells), {cell.actual for cell in cells}
        few = f"; the {len(names)} most frequent of {len(all_)} classes" if len(all_) > len(names) else ""
        self._confusion.show(
            confusion.confusion(cells, palette=self._page.palette),
            f"{date(month.at_s, 'month')}, n = {round(sum(cell.n for cell in cells)):,}: each row a true class, spread "
            f"over what was predicted{few}",
        )

    async def _load_positions(self, version: str, month: Month, shade: str) -> None:
        rows = await queries.scores.positions(self._reader, self._name, version, month)
        shown = round(sum(row.shown for row in rows))
        self._positions.show(
            scores.positions(rows, palette=self._page.palette, shade=shade),
            f"{date(month.at_s, 'month')}, n = {shown:,} items: share that was clicked by the position in which it was "
            "shown, 95 % interval; bars are how many were shown there",
        )

    async def _load_residuals(self, view: View, version: str, span: Span, shade: str) -> None:
        numbers = view.spec.kind == "regression"
        self._residuals.visible(numbers)
        if not numbers:
            return
        rows = await queries.scores.residuals(self._reader, self._name, version, span)
        mine = [row for row in rows if row.role == rows[0].role]
        if not mine:
            self._residuals.blank(NO_LABELS)
            return
        self._residuals.show(
            residuals.residuals(mine, span=span, palette=self._page.palette, shade=shade),
            f"prediction minus truth, by the month of the prediction; n = {sum(row.n for row in mine):,}",
        )


def _states(shown: list[Cohort]) -> str:
    n = len(shown)
    others = [
        f"{count} {state}" for state in (PROVISIONAL, RESTATED) if (count := sum(row.state == state for row in shown))
    ]
    return f"of {n} cohorts {', '.join(others)}" if others else "all cohorts final"


def _why_undefined(metric: Metric) -> str:
    if metric.name in {"roc_auc", "average_precision", "brier", "log_loss", "ece"}:
        return "it needs a score with each prediction, and both classes among the labels"
    return "there is none of what it divides by among the labels of this time"
