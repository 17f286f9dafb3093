"""What all charts share: colours for light and dark, axes in UTC, numbers with units, gaps that stay gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Option = dict[str, Any]

DASH = "–"  # what an undefined number is shown as
FOUND = "change found"


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of a theme. Versions use those of Okabe and Ito (2008), which colour-blind people tell apart."""

    dark: bool
    ink: str
    muted: str
    grid: str
    surface: str
    versions: tuple[str, ...]
    drift: tuple[str, ...]  # from far below the limit, at it, to far above
    unknown: str
    alarm: str


LIGHT = Palette(
    dark=False,
    ink="#1d2733",
    muted="#5d6b7a",
    grid="#e4e8ed",
    surface="#ffffff",
    versions=("#0072b2", "#d55e00", "#009e73", "#b0528e", "#8a6d00", "#3d4db3"),
    drift=("#eef4fa", "#d3e4f3", "#a9cce6", "#79b0d8", "#fdb366", "#ee7733", "#c0340c"),
    unknown="#e9e9ec",
    alarm="#c0340c",
)
DARK = Palette(
    dark=True,
    ink="#e6ebf1",
    muted="#9aa7b5",
    grid="#2b3541",
    surface="#161d26",
    versions=("#56b4e9", "#f0a030", "#2fc79d", "#dd8fc0", "#e8dc5a", "#9aa5ff"),
    drift=("#1b2732", "#1f3a52", "#255479", "#2f76a8", "#8a5423", "#c26c29", "#f0934e"),
    unknown="#262c34",
    alarm="#ff9a5c",
)


def colour(palette: Palette, versions: Sequence[str], version: str) -> str:
    """A version's colour, the same in every chart of a page."""
    return palette.versions[versions.index(version) % len(palette.versions)] if version in versions else palette.muted


def number(value: float | None) -> float | None:
    """`value` if it is a finite number: JSON and people know neither NaN nor infinity."""
    return value if value is not None and math.isfinite(value) else None


def rounded(value: float | None, digits: int = 6) -> float | None:
    """`number` with so many digits that matter: half the bytes on the wire."""
    finite = number(value)
    return finite if not finite else float(f"{finite:.{digits}g}")


def line(points: Sequence[tuple[int, float | None]], bucket_s: int) -> list[list[float | None]]:
    """Points (Unix s, value) for a time axis in ms, with an undefined one wherever a stretch has no data.

    >>> line([(0, 1.0), (10, 2.0), (40, 3.0)], 10)
    [[0, 1.0], [10000, 2.0], [20000, None], [40000, 3.0]]
    """
    out: list[list[float | None]] = []
    before: int | None = None
    for at_s, value in points:
        if before is not None and at_s - before > 1.5 * bucket_s:
            out.append([(before + bucket_s) * 1000, None])
        out.append([at_s * 1000, rounded(value)])
        before = at_s
    return out


def lonely(points: Sequence[tuple[int, float | None]], bucket_s: int) -> bool:
    """Whether most points have no neighbour, so that a line alone would not show them."""
    pairs = sum(after - at <= 1.5 * bucket_s for (at, _), (after, _) in pairwise(points))
    return 2 * pairs < len(points)


def base(palette: Palette) -> Option:
    """An option without data: fonts, tooltip, legend."""
    return {
        "useUTC": True,
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"fontFamily": "Roboto, system-ui, sans-serif", "color": palette.ink},
        "aria": {"enabled": True},
        "legend": legend(palette),
        "tooltip": tooltip(palette),
    }


def legend(palette: Palette) -> Option:
    """At the top, scrolling when there is too much of it."""
    return {
        "type": "scroll",
        "top": 0,
        "left": 0,
        "itemWidth": 18,
        "itemHeight": 8,
        "itemGap": 14,
        "textStyle": {"color": palette.muted, "fontSize": 12},
        "pageTextStyle": {"color": palette.muted},
        "pageIconColor": palette.muted,
    }


def tooltip(palette: Palette, unit: str = "") -> Option:
    """All series at the time under the pointer, with three digits that matter."""
    return {
        "trigger": "axis",
        "confine": True,
        "backgroundColor": palette.surface,
        "borderColor": palette.grid,
        "textStyle": {"color": palette.ink, "fontSize": 12},
        "axisPointer": {"type": "line", "lineStyle": {"color": palette.muted, "width": 1, "type": "dashed"}},
        **value_format(unit),
    }


def value_format(unit: str) -> Option:
    """How a tooltip writes values; `unit` is one of ours, never a user's."""
    factor = 100 if unit.startswith("%") else 1
    space = f"' {unit}'" if unit else "''"
    return {
        ":valueFormatter": (
            f"v => v === null || v === undefined || Number.isNaN(+v) ? '{DASH}' : "
            f"(+v * {factor}).toLocaleString('en', {{maximumSignificantDigits: 3}}) + {space}"
        )
    }


def time_axis(palette: Palette, start_s: int, end_s: int, **more: Any) -> Option:
    """Event time in UTC."""
    return {
        "type": "time",
        "min": start_s * 1000,
        "max": end_s * 1000,
        "axisLine": {"lineStyle": {"color": palette.grid}},
        "axisTick": {"lineStyle": {"color": palette.grid}},
        "axisLabel": {"color": palette.muted, "hideOverlap": True, "fontSize": 11},
        "splitLine": {"show": False},
        **more,
    }


def value_axis(palette: Palette, name: str, **more: Any) -> Option:
    """A number with its unit in the name."""
    return {
        "type": "value",
        "name": name,
        "nameLocation": "end",
        "nameGap": 8,
        "nameTextStyle": {"color": palette.muted, "align": "left", "fontSize": 11, "padding": [0, 0, 0, -34]},
        "axisLabel": {"color": palette.muted, "fontSize": 11},
        "axisLine": {"show": False},
        "axisTick": {"show": False},
        "splitLine": {"lineStyle": {"color": palette.grid}},
        "splitNumber": 4,
        "minorTick": {"show": False},
        **more,
    }


def series(name: str, data: Sequence[Any], shade: str, **more: Any) -> Option:
    """A line that breaks where there is nothing."""
    style = {"width": 2, "color": shade, **more.pop("lineStyle", {})}
    return {
        "type": "line",
        "name": name,
        "data": list(data),
        "connectNulls": False,
        "showSymbol": False,
        "symbol": "circle",
        "symbolSize": 5,
        "itemStyle": {"color": shade},
        "lineStyle": style,
        "emphasis": {"disabled": True},
        **more,
    }


def hollow(shade: str, palette: Palette) -> Option:
    """Circles that are not filled, for what can still change."""
    return {"symbol": "circle", "itemStyle": {"color": palette.surface, "borderColor": shade, "borderWidth": 2}}


def rug(findings: Sequence[tuple[int, str]], palette: Palette, axis: int, **more: Any) -> list[Option]:
    """Ticks (Unix s, what was found) at the foot of a chart; they stand on the hidden value axis number `axis`.

    Without findings there is no series, and so nothing in the legend.
    """
    if not findings:
        return []
    return [
        {
            "type": "scatter",
            "name": FOUND,
            "data": [[at_s * 1000, 0, what] for at_s, what in findings],
            "dimensions": [{"name": "time", "type": "time"}, {"name": "foot"}, {"name": "what", "type": "ordinal"}],
            "encode": {"x": 0, "y": 1, "tooltip": [2]},
            "yAxisIndex": axis,
            "symbol": "rect",
            "symbolSize": [2, 9],
            "symbolOffset": [0, "-50%"],
            "itemStyle": {"color": palette.ink, "opacity": 0.75},
            "tooltip": {":valueFormatter": "v => v"},
            "emphasis": {"disabled": True},
            "z": 5,
            **more,
        }
    ]


def foot_axis(**more: Any) -> Option:
    """The hidden axis that a `rug` stands on."""
    return {"type": "value", "show": False, "min": 0, "max": 1, **more}
