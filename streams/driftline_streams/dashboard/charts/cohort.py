"""What charts by the day or month of the predictions share: lines, dates, axes, and numbers as people read them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from driftline_streams.dashboard import markup
from driftline_streams.dashboard.charts.frame import Option, Palette, rounded, series, time_axis, value_axis
from driftline_streams.dashboard.metrics import Metric
from driftline_streams.dashboard.queries.performance import Coverage
from driftline_streams.dashboard.spans import DAY_S, Span

GRAIN_S = {"day": DAY_S, "week": 7 * DAY_S, "month": 31 * DAY_S}
_LEAST_S = {"day": DAY_S, "week": 7 * DAY_S, "month": 28 * DAY_S}
MOST_BARS = 120
PROVISIONAL, RESTATED = "provisional", "restated"


class Row(Protocol):
    """A cohort of a version in a role."""

    @property
    def version(self) -> str: ...
    @property
    def role(self) -> str: ...


R = TypeVar("R", bound=Row)


def by_line(rows: Sequence[R]) -> dict[str, list[R]]:
    """The rows of each version; of a version in several roles those of each role."""
    roles: dict[str, set[str]] = {}
    for row in rows:
        roles.setdefault(row.version, set()).add(row.role)
    out: dict[str, list[R]] = {}
    for row in rows:
        name = row.version if len(roles[row.version]) == 1 else f"{row.version} as {row.role}"
        out.setdefault(name, []).append(row)
    return out


def date(at_s: int, grain: str = "day") -> str:
    """When a cohort begins.

    >>> date(0), date(0, "month")
    ('1970-01-01', '1970-01')
    """
    return time.strftime("%Y-%m" if grain == "month" else "%Y-%m-%d", time.gmtime(at_s))


def ends(starts: Sequence[int], span: Span, grain_s: int) -> tuple[int, int]:
    """The span, widened to whole cohorts with half of one on both sides."""
    half = grain_s // 2
    return min([span.start_s, *starts]) - half, max([span.end_s - grain_s, *starts]) + half


def cohort_axis(palette: Palette, starts: Sequence[int], span: Span, grain: str, **more: Any) -> Option:
    """Event time from half a cohort before the first one to half a cohort after the last."""
    start_s, end_s = ends(starts, span, GRAIN_S[grain])
    # No ticks between cohorts: a month begins where its bar stands.
    return time_axis(palette, start_s, end_s, minInterval=_LEAST_S[grain] * 1000, **more)


def said(points: Sequence[list[float | None]], about: dict[int, list[str]]) -> list[Option]:
    """Points of a line with what their tooltip says, by time (Unix s)."""
    return [{"value": point, "about": about.get(int(point[0] or 0) // 1000, [])} for point in points]


def covered(rows: Sequence[Coverage], version: str, shade: str, **more: Any) -> Option:
    """How many of the labels of each cohort of a version are there, as bars, or as a line where bars would be hairs."""
    points = [
        {
            "value": [row.at_s * 1000, rounded(row.labelled / row.predictions) if row.predictions else None],
            "about": [f"{row.labelled:,} of {row.predictions:,} labels of {version} are there"],
        }
        for row in rows
        if row.version == version
    ]
    if len(points) > MOST_BARS:
        return series(version, points, shade, lineStyle={"width": 1.5}, **more)
    return {
        "type": "bar",
        "name": version,
        "data": points,
        "itemStyle": {"color": shade, "opacity": 0.7},
        "barMaxWidth": 18,
        "barGap": "0%",
        "emphasis": {"disabled": True},
        **more,
    }


def told(metric: Metric, value: float | None) -> str:
    """A value of a metric as a person reads it.

    >>> told(Metric("f1", "F1", ()), 0.4123), told(Metric("mae", "MAE", (), share=False), 4.5)
    ('41.2 %', '4.50')
    """
    return markup.percent(value) if metric.share else markup.number(value)


def told_apart(metric: Metric, difference: float) -> str:
    """A difference of two values of a metric: of shares in percentage points.

    >>> told_apart(Metric("f1", "F1", ()), 0.0123)
    '1.23 pp'
    """
    return f"{markup.number(100 * difference)} pp" if metric.share else markup.number(difference)


def metric_axis(metric: Metric, palette: Palette, **more: Any) -> Option:
    """Where a metric is read off: in percent if it is a share."""
    percent = {"axisLabel": {"color": palette.muted, "fontSize": 11, ":formatter": "v => +(100 * v).toFixed(1) + ' %'"}}
    return value_axis(palette, metric.label, scale=True, **(percent if metric.share else {}), **more)


def share_axis(name: str, palette: Palette, **more: Any) -> Option:
    """From nothing to all, in percent."""
    label = {"color": palette.muted, "fontSize": 11, ":formatter": "v => Math.round(100 * v) + ' %'"}
    return value_axis(palette, name, min=0, max=1, splitNumber=2, axisLabel=label, **more)
