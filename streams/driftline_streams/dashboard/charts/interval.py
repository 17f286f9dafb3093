"""Points with their intervals: what a number is, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from driftline_streams.dashboard.charts.frame import Option, Palette, line, rounded, series

LINES = "driftline.lines"
# What each point says of itself; series without it, such as the edges of bands, say nothing.
ABOUT = f"all => {LINES}([].concat(all).flatMap(one => one.data.about || []))"

_UPRIGHT = """(params, api) => {
  const at = api.value(0), low = api.coord([at, api.value(2)]), high = api.coord([at, api.value(3)]);
  const mid = api.coord([at, api.value(1)]), shade = api.visual('color');
  const style = {stroke: shade, lineWidth: 2};
  const bar = (y) => ({type: 'line', shape: {x1: mid[0] - 4, y1: y, x2: mid[0] + 4, y2: y}, style});
  return {type: 'group', children: [
    {type: 'line', shape: {x1: mid[0], y1: low[1], x2: mid[0], y2: high[1]}, style},
    bar(low[1]), bar(high[1]),
    {type: 'circle', shape: {cx: mid[0], cy: mid[1], r: 4}, style: {fill: shade}}]};
}"""

_LYING = """(params, api) => {
  const at = api.value(0), low = api.coord([api.value(2), at]), high = api.coord([api.value(3), at]);
  const mid = api.coord([api.value(1), at]), shade = api.visual('color');
  const style = {stroke: shade, lineWidth: 2};
  const bar = (x) => ({type: 'line', shape: {x1: x, y1: mid[1] - 4, x2: x, y2: mid[1] + 4}, style});
  return {type: 'group', children: [
    {type: 'line', shape: {x1: low[0], y1: mid[1], x2: high[0], y2: mid[1]}, style},
    bar(low[0]), bar(high[0]),
    {type: 'circle', shape: {cx: mid[0], cy: mid[1], r: 4}, style: {fill: shade}}]};
}"""


def point(at: float, ends: Sequence[float | None], about: Sequence[str]) -> Option:
    """Value, low and high at `at` (a time in ms, or the index of a category), and what its tooltip says."""
    return {"value": [at, *map(rounded, ends)], "about": list(about)}


def upright(name: str, points: Sequence[Option], shade: str, **more: Any) -> Option:
    """Values over time, each with its interval as a bar."""
    return _drawn(name, points, shade, _UPRIGHT, {"x": 0, "y": [1, 2, 3]}, more)


def lying(name: str, points: Sequence[Option], shade: str, **more: Any) -> Option:
    """Values of categories, which stand below each other, each with its interval as a bar."""
    return _drawn(name, points, shade, _LYING, {"x": [1, 2, 3], "y": 0}, more)


def _drawn(  # noqa: PLR0917
    name: str, points: Sequence[Option], shade: str, how: str, encode: Option, more: Option
) -> Option:
    return {
        "type": "custom",
        "name": name,
        "data": list(points),
        ":renderItem": how,
        "dimensions": ["at", "value", "from", "to"],
        "encode": encode,
        "itemStyle": {"color": shade},
        "clip": True,
        **more,
    }


def band(
    name: str, points: Sequence[tuple[int, float | None, float | None]], step_s: int, shade: str, **more: Any
) -> list[Option]:
    """Intervals (Unix s, low, high) as an area: an invisible lower edge with the width stacked on it."""
    low = [(at, low) for at, low, _ in points]
    width = [(at, None if low is None or high is None else high - low) for at, low, high in points]
    hidden = {"lineStyle": {"opacity": 0}, "stack": name, "stackStrategy": "all", "silent": True, **more}
    return [
        series(f"{name} from", line(low, step_s), shade, **hidden),
        series(name, line(width, step_s), shade, areaStyle={"color": shade, "opacity": 0.16}, **hidden),
    ]


def level(value: float, palette: Palette, *, upright: bool = False, label: str = "") -> Option:
    """A line across a chart at `value`, for the `markLine` of a series."""
    return {
        "silent": True,
        "symbol": "none",
        "label": {"show": bool(label), "formatter": label, "color": palette.muted, "fontSize": 11, "position": "end"},
        "lineStyle": {"color": palette.ink, "type": "solid", "width": 1},
        "data": [{"xAxis" if upright else "yAxis": rounded(value)}],
    }
