"""What a metric will be when all labels have come, and what it would be without any, beside what it is."""

from __future__ import annotations

from collections.abc import Sequence

from driftline_streams.dashboard import markup
from driftline_streams.dashboard.charts.cohort import PROVISIONAL, cohort_axis, date, metric_axis, said, told
from driftline_streams.dashboard.charts.frame import (
    Option,
    Palette,
    base,
    foot_axis,
    hollow,
    line,
    number,
    rounded,
    series,
    time_axis,
    tooltip,
)
from driftline_streams.dashboard.charts.interval import ABOUT, band, point, upright
from driftline_streams.dashboard.charts.load import GRID
from driftline_streams.dashboard.metrics import Metric
from driftline_streams.dashboard.queries.estimates import FINAL, Estimate
from driftline_streams.dashboard.queries.performance import Cohort
from driftline_streams.dashboard.spans import DAY_S, Span

NOW, IN_THE_END, WITHOUT, ABSTAINS, REAL = (
    "as it stands",
    "when all labels have come",
    "estimate without labels",
    "abstains",
    "real",
)


def expected(
    rows: Sequence[Estimate], cohorts: Sequence[Cohort], *, metric: Metric, palette: Palette, shade: str
) -> Option:
    """Of each provisional day the interval of its final value, and the number as it stands beside it."""
    these = [row for row in rows if row.basis == FINAL and number(row.low) is not None and number(row.high) is not None]
    days = {row.at_s for row in these}
    stands = [
        {"value": [row.at_s * 1000, rounded(row.value)], "about": _stands(row, metric)}
        for row in cohorts
        if row.at_s in days and row.value is not None
    ]
    intervals = [point(row.at_s * 1000, (_middle(row), row.low, row.high), _in_the_end(row, metric)) for row in these]
    start_s, end_s = min(days, default=0) - DAY_S, max(days, default=0) + DAY_S
    return base(palette) | {
        "grid": GRID,
        "tooltip": {**tooltip(palette), ":formatter": ABOUT},
        "xAxis": time_axis(palette, start_s, end_s, minInterval=DAY_S * 1000),
        "yAxis": metric_axis(metric, palette),
        "series": [
            upright(IN_THE_END, intervals, shade),
            series(NOW, stands, palette.ink, type="scatter", **{**hollow(palette.ink, palette), "symbolSize": 8}),
        ],
    }


def without_labels(
    rows: Sequence[Estimate],
    cohorts: Sequence[Cohort],
    *,
    metric: Metric,
    span: Span,
    palette: Palette,
    shade: str,
) -> Option:
    """The estimate with its interval beside what it turned out to be; ticks at the foot where it abstains."""
    these = [row for row in rows if row.basis != FINAL]
    made = [row for row in these if row.estimate is not None]
    estimated = line([(row.at_s, row.estimate) for row in made], DAY_S)
    about = {row.at_s: _estimated(row, metric) for row in made}
    real = [(row.at_s, row.value) for row in cohorts if row.state != PROVISIONAL]
    told_of = {row.at_s: _stands(row, metric) for row in cohorts}
    silent = [row for row in these if row.estimate is None]
    return base(palette) | {
        "grid": GRID,
        "legend": {
            **base(palette)["legend"],
            "data": [REAL, WITHOUT, *([ABSTAINS] if silent else [])],
        },
        "tooltip": {**tooltip(palette), ":formatter": ABOUT},
        "xAxis": cohort_axis(palette, [row.at_s for row in these], span, "day"),
        "yAxis": [metric_axis(metric, palette), foot_axis()],
        "series": [
            series(
                REAL,
                said(line(real, DAY_S), told_of),
                palette.ink,
                lineStyle={"width": 1.5},
                showSymbol=len(real) < 2,
            ),
            series(
                WITHOUT,
                said(estimated, about),
                shade,
                lineStyle={"type": "dashed"},
                showSymbol=len(made) < 2,
            ),
            *band("interval", [(row.at_s, row.low, row.high) for row in made], DAY_S, shade),
            *_foot(silent, palette),
        ],
    }


def tracked_error(rows: Sequence[Estimate], cohorts: Sequence[Cohort]) -> tuple[float, int] | None:
    """How far the estimates were from what they turned out to be, in the mean, and over how many days."""
    real = {(row.role, row.at_s): row.value for row in cohorts if row.state != PROVISIONAL}
    missed = [
        abs(row.estimate - value)
        for row in rows
        if row.basis != FINAL and row.estimate is not None and (value := real.get((row.role, row.at_s))) is not None
    ]
    return (sum(missed) / len(missed), len(missed)) if missed else None


def _foot(silent: Sequence[Estimate], palette: Palette) -> list[Option]:
    if not silent:
        return []
    return [
        {
            "type": "scatter",
            "name": ABSTAINS,
            "data": [
                {"value": [row.at_s * 1000, 0], "about": [f"{date(row.at_s)}: abstains", row.reason]} for row in silent
            ],
            "yAxisIndex": 1,
            "symbol": "rect",
            "symbolSize": [2, 9],
            "symbolOffset": [0, "-50%"],
            "itemStyle": {"color": palette.alarm},
            "emphasis": {"disabled": True},
        }
    ]


def _middle(row: Estimate) -> float:
    """What is expected, or the middle between the worst cases where nothing is."""
    return row.estimate if row.estimate is not None else ((row.low or 0.0) + (row.high or 0.0)) / 2


def _in_the_end(row: Estimate, metric: Metric) -> list[str]:
    lines = [
        f"{date(row.at_s)}: {told(metric, row.low)} to {told(metric, row.high)} when all labels have come (95 %)",
        f"{row.labelled:,} of {row.n:,} are there; {markup.percent(row.coverage)} of the labels will come",
    ]
    return [*lines, *([row.reason] if row.reason else [])]


def _stands(row: Cohort, metric: Metric) -> list[str]:
    return [f"{date(row.at_s)}: {told(metric, row.value)} from {row.labelled:,} labels, {row.state}"]


def _estimated(row: Estimate, metric: Metric) -> list[str]:
    interval = f" ({told(metric, row.low)} to {told(metric, row.high)})" if row.low is not None else ""
    return [f"{date(row.at_s)}: {told(metric, row.estimate)}{interval} estimated from {row.basis}, n = {row.n:,}"]
