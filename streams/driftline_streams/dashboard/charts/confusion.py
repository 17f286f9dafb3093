"""Which classes are taken for which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from driftline_schemas.spec import ModelSpec
from driftline_streams.dashboard import markup
from driftline_streams.dashboard.charts.frame import Option, Palette, base, tooltip
from driftline_streams.dashboard.charts.interval import LINES
from driftline_streams.dashboard.queries.scores import Cell

MOST_CLASSES = 12  # that fit on a phone; the rarest are left out, and counted in the subtitle


def classes(cells: Sequence[Cell]) -> list[str]:
    """The classes in the order of their names, at most `MOST_CLASSES` and then the most frequent ones."""
    weight: dict[str, float] = defaultdict(float)
    for cell in cells:
        weight[cell.actual] += cell.n
        weight[cell.predicted] += 0
    most = sorted(weight, key=lambda name: (-weight[name], name))[:MOST_CLASSES]
    return sorted(most)


def class_name(name: str, spec: ModelSpec) -> str:
    """What a person calls a class: those of binary models are kept as 1 and 0.

    >>> class_name("1", ModelSpec(model="m", positive="late")), class_name("0", ModelSpec(model="m", positive="late"))
    ('late', 'not late')
    """
    return {"1": spec.positive, "0": f"not {spec.positive}"}.get(name, name) if spec.kind == "binary" else name


def confusion(cells: Sequence[Cell], *, palette: Palette) -> Option:
    """Each true class in a row: how its predictions were spread over the classes."""
    names = classes(cells)
    of_truth: dict[str, float] = defaultdict(float)
    for cell in cells:
        of_truth[cell.actual] += cell.n
    data: list[dict[str, Any]] = []
    for cell in cells:
        if cell.actual not in names or cell.predicted not in names:
            continue
        share = cell.n / of_truth[cell.actual] if of_truth[cell.actual] else 0.0
        deep = share > (0.75 if palette.dark else 0.5)  # enough for the ground to be nearer to ink than to surface
        data.append(
            {
                # ECharts draws the first category at the bottom.
                "value": [
                    names.index(cell.predicted),
                    len(names) - 1 - names.index(cell.actual),
                    round(share, 6),
                    f"{markup.count(round(cell.n))}\n{markup.percent(share)}",
                ],
                "about": [
                    f"true {cell.actual}, predicted {cell.predicted}",
                    f"{markup.count(round(cell.n))} of {markup.count(round(of_truth[cell.actual]))}: "
                    f"{markup.percent(share)}",
                ],
                "label": {"color": palette.surface if deep else palette.ink},
            }
        )
    axis = {
        "type": "category",
        "axisLine": {"show": False},
        "axisTick": {"show": False},
        "axisLabel": {"color": palette.muted, "fontSize": 11, "width": 90, "overflow": "truncate"},
        "nameTextStyle": {"color": palette.muted, "fontSize": 11},
        "splitArea": {"show": False},
    }
    return base(palette) | {
        "grid": {"left": 12, "right": 16, "top": 24, "bottom": 28, "containLabel": True},
        "legend": {"show": False},
        "tooltip": {**tooltip(palette), "trigger": "item", ":formatter": f"one => {LINES}(one.data.about)"},
        "xAxis": {**axis, "data": names, "name": "predicted", "nameLocation": "middle", "nameGap": 28},
        "yAxis": {**axis, "data": names[::-1], "name": "true", "nameLocation": "end"},
        "visualMap": {
            "show": False,
            "min": 0,
            "max": 1,
            "dimension": 2,
            "inRange": {"color": [palette.surface, palette.versions[0]]},
        },
        "series": [
            {
                "type": "heatmap",
                "name": "confusion",
                "data": data,
                "label": {
                    "show": len(names) <= 6,
                    ":formatter": "one => one.value[3]",
                    "fontSize": 12,
                    "lineHeight": 16,
                },
                "itemStyle": {"borderColor": palette.surface, "borderWidth": 2},
                "emphasis": {"disabled": True},
            }
        ],
    }
