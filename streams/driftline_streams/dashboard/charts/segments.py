"""Where a model is worse than elsewhere, and how far groups are apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from driftline_streams.dashboard import markup
from driftline_streams.dashboard.charts.cohort import cohort_axis, date, told
from driftline_streams.dashboard.charts.frame import Option, Palette, base, tooltip, value_axis
from driftline_streams.dashboard.charts.interval import ABOUT, LINES, level, lying, point, upright
from driftline_streams.dashboard.charts.load import GRID
from driftline_streams.dashboard.metrics import Metric
from driftline_streams.dashboard.queries.segments import Gap, Part
from driftline_streams.dashboard.spans import Span

ROW_PX = 24
Q = 0.05  # share of false ones among the segments that are called worse


def worse(row: Part) -> bool:
    """Whether a segment is worse than the rest beyond chance."""
    return row.q_value <= Q and row.effect > 0


def segments(rows: Sequence[Part], *, metric: Metric, palette: Palette, shade: str) -> Option:
    """How segments differ from all other outcomes, below each other, the first one on top."""
    drawn = [
        {
            **point(len(rows) - 1 - index, (row.difference, row.low, row.high), _part(row, metric)),
            "itemStyle": {"color": palette.alarm if worse(row) else shade},
        }
        for index, row in enumerate(rows)
    ]
    return _beside(
        [f"{row.dim} = {row.segment}" for row in rows],
        lying("segments", drawn, shade, markLine=level(0, palette, upright=True)),
        f"{metric.label}, segment minus the rest",
        palette,
        points=metric.share,
    )


def gaps(rows: Sequence[Gap], *, palette: Palette, shade: str) -> Option:
    """How far groups are apart, two and two, the widest on top, beside what is allowed."""
    points = [
        {
            **point(len(rows) - 1 - index, (row.gap, row.low, row.high), _gap(row)),
            "itemStyle": {"color": palette.alarm if row.state == "beyond" else shade},
        }
        for index, row in enumerate(rows)
    ]
    mark = {"markLine": level(rows[0].allowed, palette, upright=True, label="allowed")} if rows else {}
    names = [f"{row.higher_group} over {row.lower_group}" for row in rows]
    option = _beside(names, lying("gaps", points, shade, **mark), "gap", palette, points=True)
    option["xAxis"]["max"] = _reach(rows)
    return option


def course(rows: Sequence[Gap], *, span: Span, palette: Palette, shade: str) -> Option:
    """The widest gap of each month."""
    widest: dict[int, Gap] = {}
    for row in rows:
        if row.at_s not in widest or row.gap > widest[row.at_s].gap:
            widest[row.at_s] = row
    found = sorted(widest.values(), key=lambda row: row.at_s)
    points = [point(row.at_s * 1000, (row.gap, row.low, row.high), _gap(row)) for row in found]
    mark = {"markLine": level(found[0].allowed, palette, label="allowed")} if found else {}
    return base(palette) | {
        "grid": {**GRID, "top": 28, "right": 56},
        "legend": {"show": False},
        "tooltip": {**tooltip(palette), ":formatter": ABOUT},
        "xAxis": cohort_axis(palette, [row.at_s for row in found], span, "month"),
        "yAxis": value_axis(palette, "widest gap", max=_reach(found), axisLabel=_points(palette)),
        "series": [upright("widest gap", points, shade, **mark)],
    }


def _reach(rows: Sequence[Gap]) -> float:
    """How far an axis must reach to show the intervals and what is allowed: whole percentage points."""
    return math.ceil(100 * max((max(row.high, row.allowed) for row in rows), default=0) + 0.5) / 100


def _points(palette: Palette) -> Option:
    return {"color": palette.muted, "fontSize": 11, ":formatter": "v => +(100 * v).toFixed(1) + ' pp'"}


def _beside(names: Sequence[str], drawn: Option, what: str, palette: Palette, *, points: bool) -> Option:
    more = {"axisLabel": _points(palette)} if points else {}
    return base(palette) | {
        "grid": {"left": 12, "right": 28, "top": 20, "bottom": 36, "containLabel": True},
        "legend": {"show": False},
        "tooltip": {**tooltip(palette), "trigger": "item", ":formatter": f"one => {LINES}(one.data.about)"},
        "xAxis": value_axis(palette, what, nameLocation="middle", nameGap=24, **more),
        "yAxis": {
            "type": "category",
            "data": list(names)[::-1],
            "axisLine": {"show": False},
            "axisTick": {"show": False},
            "axisLabel": {"color": palette.ink, "fontSize": 12, "width": 130, "overflow": "truncate", "interval": 0},
            "splitLine": {"show": True, "lineStyle": {"color": palette.grid}},
        },
        "series": [drawn],
    }


def _part(row: Part, metric: Metric) -> list[str]:
    if metric.share:
        ends_ = [f"{100 * end:+.1f}" for end in (row.difference, row.low, row.high)]
        between = f"{ends_[0]} pp ({ends_[1]} to {ends_[2]})"
    else:
        shown = [markup.number(end) for end in (row.difference, row.low, row.high)]
        between = f"{shown[0]} ({shown[1]} to {shown[2]})"
    return [
        f"{row.dim} = {row.segment}: {told(metric, row.value)} against {told(metric, row.rest)} of the rest",
        f"{between}, n = {row.n:,}",
        "worse beyond chance" if worse(row) else "not worse beyond chance",
    ]


def _gap(row: Gap) -> list[str]:
    return [
        f"{date(row.at_s, 'month')}, {row.attribute}: {markup.percent(row.higher_rate)} of {row.higher_group} "
        f"(n = {row.higher_n:,}), {markup.percent(row.lower_rate)} of {row.lower_group} (n = {row.lower_n:,})",
        f"{100 * row.gap:.1f} pp apart ({100 * row.low:.1f} to {100 * row.high:.1f}), "
        f"{100 * row.allowed:g} pp are allowed: {row.state}",
    ]
