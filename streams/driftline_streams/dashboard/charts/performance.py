"""How good the versions were by the time of their predictions, as labels arrive."""

from __future__ import annotations

from collections.abc import Sequence

from driftline_streams.dashboard import markup
from driftline_streams.dashboard.charts.cohort import (
    GRAIN_S,
    PROVISIONAL,
    RESTATED,
    by_line,
    cohort_axis,
    covered,
    date,
    metric_axis,
    said,
    share_axis,
    told,
)
from driftline_streams.dashboard.charts.frame import (
    Option,
    Palette,
    base,
    colour,
    hollow,
    line,
    rounded,
    series,
    tooltip,
)
from driftline_streams.dashboard.charts.interval import ABOUT, band
from driftline_streams.dashboard.charts.load import GRID
from driftline_streams.dashboard.metrics import Metric
from driftline_streams.dashboard.queries.performance import Cohort, Coverage
from driftline_streams.dashboard.spans import Span

SMALL = 0.05  # of the middle cohort: the first hours of a month beside whole months
MOST_SYMBOLS = 60  # points of a line that are told apart


def telling(rows: Sequence[Cohort]) -> list[Cohort]:
    """The cohorts without those that have so few labels that they would only stretch the axis."""
    sizes = sorted(row.labelled for row in rows)
    least = sizes[len(sizes) // 2] * SMALL if sizes else 0
    return [row for row in rows if row.labelled >= least]


def performance(
    rows: Sequence[Cohort],
    coverage: Sequence[Coverage],
    *,
    metric: Metric,
    versions: Sequence[str],
    span: Span,
    grain: str,
    palette: Palette,
) -> Option:
    """A metric with its 95 % interval: solid where final, dashed where provisional, a diamond where it was restated.

    Below, the share of labels that are there.
    """
    drawn: list[Option] = []
    for name, of in by_line(rows).items():
        shade = colour(palette, versions, of[0].version)
        drawn += _line(name, of, (metric, grain), shade, palette)
    for version in versions:
        shade = colour(palette, versions, version)
        below = covered(coverage, version, shade, xAxisIndex=1, yAxisIndex=1)
        # ECharts widens an axis that bars stand on, so bars of no height stand on the one above.
        empty = [{"value": [point["value"][0], None]} for point in below["data"]]
        drawn += [below, {**below, "name": f"{version} above", "data": empty, "xAxisIndex": 0, "yAxisIndex": 0}]
    starts = [row.at_s for row in rows] + [row.at_s for row in coverage]
    return base(palette) | {
        "legend": {**base(palette)["legend"], "data": _legend(rows)},
        "grid": [{**GRID, "bottom": "42%"}, {**GRID, "top": "70%"}],
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "tooltip": {**tooltip(palette), ":formatter": ABOUT},
        "xAxis": [
            cohort_axis(palette, starts, span, grain, axisLabel={"show": False}),
            cohort_axis(palette, starts, span, grain, gridIndex=1),
        ],
        "yAxis": [metric_axis(metric, palette), share_axis("labels there", palette, gridIndex=1)],
        "series": drawn,
    }


def _line(name: str, of: Sequence[Cohort], shown: tuple[Metric, str], shade: str, palette: Palette) -> list[Option]:
    metric, grain = shown
    step_s, few = GRAIN_S[grain], len(of) < MOST_SYMBOLS
    final = [(row.at_s, row.value if row.state != PROVISIONAL else None) for row in of]
    sure, unsure = (
        {row.at_s: _about(name, row, metric, grain) for row in of if (row.state == PROVISIONAL) is provisional}
        for provisional in (False, True)
    )
    joined = said(line(_provisional(of), step_s), unsure)
    restated = [row for row in of if row.state == RESTATED]
    return [
        series(name, said(line(final, step_s), sure), shade, showSymbol=few),
        series(
            f"{name} {PROVISIONAL}",
            [at if at["about"] else {**at, "symbol": "none"} for at in joined],  # what is final only joins the line up
            shade,
            lineStyle={"type": "dashed", "opacity": 0.8},
            showSymbol=few,
            **hollow(shade, palette),
        ),
        series(
            f"{name} {RESTATED}",
            [[row.at_s * 1000, rounded(row.value)] for row in restated],
            shade,
            type="scatter",
            symbol="diamond",
            symbolSize=12,
        ),
        *band(f"{name} interval", [(row.at_s, row.low, row.high) for row in of], step_s, shade),
    ]


def _about(name: str, row: Cohort, metric: Metric, grain: str) -> list[str]:
    interval = f" ({told(metric, row.low)} to {told(metric, row.high)})" if row.low is not None else ""
    return [
        f"{name} {date(row.at_s, grain)}: {told(metric, row.value)}{interval}, {row.state}",
        f"n = {row.labelled:,} of {row.expected:,} answers, coverage {markup.percent(row.coverage)}",
    ]


def _legend(rows: Sequence[Cohort]) -> list[str]:
    found = []
    for name, of in by_line(rows).items():
        states = {row.state for row in of}
        found += [name, *(f"{name} {state}" for state in (PROVISIONAL, RESTATED) if state in states)]
    return found


def _provisional(of: Sequence[Cohort]) -> list[tuple[int, float | None]]:
    """The provisional cohorts, and the final ones beside them so that the line joins up."""
    out: list[tuple[int, float | None]] = []
    for index, row in enumerate(of):
        beside = of[max(0, index - 1) : index + 2]
        shown = any(other.state == PROVISIONAL for other in beside)
        out.append((row.at_s, row.value if shown else None))
    return out
