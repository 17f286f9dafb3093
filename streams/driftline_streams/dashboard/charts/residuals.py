"""How far numbers were off, and in which direction."""

from __future__ import annotations

from collections.abc import Sequence

from driftline_streams.dashboard import markup
from driftline_streams.dashboard.charts.cohort import GRAIN_S, cohort_axis, date, said
from driftline_streams.dashboard.charts.frame import (
    Option,
    Palette,
    base,
    line,
    series,
    tooltip,
    value_axis,
)
from driftline_streams.dashboard.charts.interval import ABOUT, band, level
from driftline_streams.dashboard.charts.load import GRID
from driftline_streams.dashboard.queries.scores import Residuals
from driftline_streams.dashboard.spans import Span

MIDDLE, INNER, OUTER = "median", "the middle half", "nine of ten"


def residuals(rows: Sequence[Residuals], *, span: Span, palette: Palette, shade: str) -> Option:
    """Prediction minus truth: median, the middle half and nine of ten, by the month of the prediction."""
    step_s = GRAIN_S["month"]
    about = {row.at_s: _about(row) for row in rows}
    points = line([(row.at_s, row.p50) for row in rows], step_s)
    return base(palette) | {
        "grid": GRID,
        "legend": {**base(palette)["legend"], "data": [MIDDLE, INNER, OUTER]},
        "tooltip": {**tooltip(palette), ":formatter": ABOUT},
        "xAxis": cohort_axis(palette, [row.at_s for row in rows], span, "month"),
        "yAxis": value_axis(palette, "prediction minus truth"),
        "series": [
            series(
                MIDDLE,
                said(points, about),
                shade,
                showSymbol=len(rows) < 2,
                markLine=level(0, palette),
            ),
            *band(OUTER, [(row.at_s, row.p05, row.p95) for row in rows], step_s, shade),
            *band(INNER, [(row.at_s, row.p25, row.p75) for row in rows], step_s, shade),
        ],
    }


def _about(row: Residuals) -> list[str]:
    day = date(row.at_s, "month")
    show = markup.number
    return [
        f"{day}: {show(row.p50)} in the middle",
        f"half within {show(row.p25)} to {show(row.p75)}, nine of ten within {show(row.p05)} to {show(row.p95)}",
        f"n = {row.n:,}; quantiles are within 1 %",
    ]
