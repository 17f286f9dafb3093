"""How good the versions were by the time of their predictions, as labels arrive, and on the same requests."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from driftline_streams.dashboard.charts.frame import (
    Option,
    Palette,
    base,
    colour,
    line,
    rounded,
    series,
    time_axis,
    tooltip,
    value_axis,
    value_format,
)
from driftline_streams.dashboard.charts.load import GRID
from driftline_streams.dashboard.rows import Coverage, Pairs, Performance
from driftline_streams.dashboard.spans import DAY_S, Span

Z = 1.959963984540054  # 95 %, two-sided

METRICS = {
    "accuracy": "accuracy",
    "f1": "F1",
    "roc_auc": "ROC-AUC",
    "precision": "precision",
    "recall": "recall",
    "brier": "Brier score",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
}
SMALL = 0.05  # of the middle cohort: the first hours of a month beside whole months
GRAIN_S = {"day": DAY_S, "week": 7 * DAY_S, "month": 31 * DAY_S}


def metrics_of(rows: Sequence[Performance]) -> list[str]:
    """The metrics that are defined for at least one cohort."""
    return [name for name in METRICS if any(getattr(row, name) is not None for row in rows)]


def cohorts(rows: Sequence[Performance]) -> dict[str, list[Performance]]:
    """The cohorts of each version; of a version in several roles those of each role."""
    roles: dict[str, set[str]] = {}
    for row in rows:
        roles.setdefault(row.version, set()).add(row.role)
    out: dict[str, list[Performance]] = {}
    for row in rows:
        name = row.version if len(roles[row.version]) == 1 else f"{row.version} as {row.role}"
        out.setdefault(name, []).append(row)
    return out


def telling(rows: Sequence[Performance]) -> list[Performance]:
    """The cohorts without those that have so few labels that they would only stretch the axis."""
    sizes = sorted(row.labelled for row in rows)
    least = sizes[len(sizes) // 2] * SMALL if sizes else 0
    return [row for row in rows if row.labelled >= least]


def performance(
    rows: Sequence[Performance],
    coverage: Sequence[Coverage],
    *,
    metric: str,
    versions: Sequence[str],
    span: Span,
    grain: str,
    palette: Palette,
) -> Option:
    """A metric with its 95 % interval where there is one, dashed where provisional; below, the share of labels."""
    grain_s = GRAIN_S[grain]
    drawn = []
    for name, of in cohorts(rows).items():
        shade = colour(palette, versions, of[0].version)
        final = [(row.at_s, getattr(row, metric) if row.state == "final" else None) for row in of]
        drawn.append(series(name, line(final, grain_s), shade, showSymbol=len(of) < 60))
        drawn.append(
            series(
                f"{name} provisional",
                line(_provisional(of, metric), grain_s),
                shade,
                lineStyle={"type": "dashed", "opacity": 0.8},
                showSymbol=len(of) < 60,
                itemStyle={"color": shade, "opacity": 0.8},
            )
        )
        if metric == "accuracy":
            drawn += _band(name, of, shade, grain_s)
    for version in versions:
        points = [
            [row.at_s * 1000, rounded(row.labelled / row.predictions) if row.predictions else None]
            for row in coverage
            if row.version == version
        ]
        shade = colour(palette, versions, version)
        drawn.append(_bars(version, points, shade))
    starts = [row.at_s for row in rows] + [row.at_s for row in coverage]
    start_s, end_s = _ends(starts, span, grain_s)
    return base(palette) | {
        "legend": {**base(palette)["legend"], "data": _legend(rows)},
        "grid": [{**GRID, "bottom": "42%"}, {**GRID, "top": "70%"}],
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "xAxis": [
            time_axis(palette, start_s, end_s, axisLabel={"show": False}),
            time_axis(palette, start_s, end_s, gridIndex=1),
        ],
        "yAxis": [
            value_axis(palette, METRICS[metric], scale=True),
            value_axis(
                palette,
                "labels there",
                gridIndex=1,
                min=0,
                max=1,
                splitNumber=2,
                axisLabel={"color": palette.muted, "fontSize": 11, ":formatter": "v => Math.round(100 * v) + ' %'"},
            ),
        ],
        "series": drawn,
    }


def _legend(rows: Sequence[Performance]) -> list[str]:
    return [
        label
        for name, of in cohorts(rows).items()
        for label in (name, *([f"{name} provisional"] if any(row.state != "final" for row in of) else []))
    ]


def _provisional(of: Sequence[Performance], metric: str) -> list[tuple[int, float | None]]:
    """The provisional cohorts, and the final ones beside them so that the line joins up."""
    out: list[tuple[int, float | None]] = []
    for index, row in enumerate(of):
        beside = of[max(0, index - 1) : index + 2]
        shown = any(other.state != "final" for other in beside)
        out.append((row.at_s, getattr(row, metric) if shown else None))
    return out


def _band(name: str, of: Sequence[Performance], shade: str, grain_s: int) -> list[Option]:
    """The interval as an area: an invisible lower edge with the width stacked on it."""
    low = [(row.at_s, row.accuracy_low) for row in of]
    width = [
        (
            row.at_s,
            None if row.accuracy_low is None or row.accuracy_high is None else row.accuracy_high - row.accuracy_low,
        )
        for row in of
    ]
    hidden = {
        "lineStyle": {"opacity": 0},
        "stack": f"{name} interval",
        "stackStrategy": "all",
        "tooltip": {"show": False},
    }
    return [
        series(f"{name} interval low", line(low, grain_s), shade, silent=True, **hidden),
        series(
            f"{name} interval",
            line(width, grain_s),
            shade,
            silent=True,
            areaStyle={"color": shade, "opacity": 0.16},
            **hidden,
        ),
    ]


def _bars(version: str, points: list[list[Any]], shade: str) -> Option:
    return {
        "type": "bar",
        "name": version,
        "data": points,
        "xAxisIndex": 1,
        "yAxisIndex": 1,
        "itemStyle": {"color": shade, "opacity": 0.7},
        "barMaxWidth": 18,
        "barGap": "0%",
        "emphasis": {"disabled": True},
        "tooltip": value_format("% labelled"),
    }


def _ends(starts: Sequence[int], span: Span, grain_s: int) -> tuple[int, int]:
    """The span, widened to whole cohorts with half of one on both sides."""
    half = grain_s // 2
    return min([span.start_s, *starts]) - half, max([span.end_s - grain_s, *starts]) + half


class Difference(NamedTuple):
    """Challenger minus champion on the same requests, with its 95 % interval, all between -1 and 1."""

    value: float
    low: float
    high: float


def difference(pairs: Pairs) -> Difference | None:
    """The paired difference of accuracy; `None` without pairs of classes.

    Agresti and Min (2005): half a pair more in each of the four cells, as the view `champion_challenger` has it by day.
    """
    if pairs.both is None or pairs.only_champion is None or pairs.only_challenger is None or pairs.neither is None:
        return None
    first, second = pairs.only_champion, pairs.only_challenger
    compared = pairs.both + first + second + pairs.neither
    if not compared:
        return None
    padded = compared + 2
    middle = (second - first) / padded
    half = Z * math.sqrt(first + second + 1 - (second - first) ** 2 / padded) / padded
    return Difference((second - first) / compared, max(-1.0, middle - half), min(1.0, middle + half))


def _about(row: Pairs, found: Difference, grain: str) -> list[str]:
    better = "cannot be told apart" if found.low <= 0 <= found.high else "better" if found.value > 0 else "worse"
    day = time.strftime("%Y-%m-%d", time.gmtime(row.at_s))
    return [
        f"{grain} from {day}: {row.challenger} against {row.champion}",
        f"{100 * found.value:+.1f} pp ({100 * found.low:+.1f} to {100 * found.high:+.1f}): {better}; {row.n:,} pairs",
        f"only {row.challenger} right {row.only_challenger:,}, only {row.champion} right {row.only_champion:,}",
    ]


_INTERVAL = """(params, api) => {
  const at = api.value(0), low = api.coord([at, api.value(2)]), high = api.coord([at, api.value(3)]);
  const mid = api.coord([at, api.value(1)]), shade = api.visual('color');
  const style = {stroke: shade, lineWidth: 2};
  const bar = (y) => ({type: 'line', shape: {x1: mid[0] - 5, y1: y, x2: mid[0] + 5, y2: y}, style});
  return {type: 'group', children: [
    {type: 'line', shape: {x1: mid[0], y1: low[1], x2: mid[0], y2: high[1]}, style},
    bar(low[1]), bar(high[1]),
    {type: 'circle', shape: {cx: mid[0], cy: mid[1], r: 4.5}, style: {fill: shade}}]};
}"""


def challengers(rows: Sequence[Pairs], *, versions: Sequence[str], span: Span, grain: str, palette: Palette) -> Option:
    """Accuracy of each challenger minus that of the champion on the same requests, in percentage points."""
    drawn: list[Option] = []
    for champion, challenger in sorted({(row.champion, row.challenger) for row in rows}):
        data = [
            {"value": [row.at_s * 1000, *(rounded(100 * value) for value in found)], "about": _about(row, found, grain)}
            for row in rows
            if (row.champion, row.challenger) == (champion, challenger) and (found := difference(row)) is not None
        ]
        drawn.append(
            {
                "type": "custom",
                "name": f"{challenger} − {champion}",
                "data": data,
                ":renderItem": _INTERVAL,
                "dimensions": ["time", "difference", "from", "to"],
                "encode": {"x": 0, "y": [1, 2, 3]},
                "itemStyle": {"color": colour(palette, versions, challenger)},
                "clip": True,
            }
        )
    if drawn:
        drawn[0]["markLine"] = {
            "silent": True,
            "symbol": "none",
            "label": {"show": False},
            "lineStyle": {"color": palette.ink, "type": "solid", "width": 1},
            "data": [{"yAxis": 0}],
        }
    starts = [row.at_s for row in rows] or [span.start_s]
    half = GRAIN_S[grain] // 2
    start_s, end_s = min(starts) - half, max(starts) + half
    return base(palette) | {
        "grid": GRID,
        "tooltip": {**tooltip(palette), ":formatter": "all => driftline.lines(all.flatMap((one) => one.data.about))"},
        "xAxis": time_axis(palette, start_s, end_s),
        "yAxis": value_axis(palette, "percentage points"),
        "series": drawn,
    }
