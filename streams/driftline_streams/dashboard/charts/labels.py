"""How long the truth takes, and whether it still comes."""

from __future__ import annotations

from collections.abc import Sequence

from driftline_streams.dashboard import markup
from driftline_streams.dashboard.charts.cohort import cohort_axis, covered, date, share_axis
from driftline_streams.dashboard.charts.frame import (
    Option,
    Palette,
    base,
    colour,
    hollow,
    rounded,
    series,
    tooltip,
    value_axis,
)
from driftline_streams.dashboard.charts.interval import ABOUT
from driftline_streams.dashboard.charts.load import GRID
from driftline_streams.dashboard.queries.labels import Delay, Expected
from driftline_streams.dashboard.queries.performance import Coverage
from driftline_streams.dashboard.spans import Span

_TICK = (
    "v => v < 1 ? +(60 * v).toPrecision(2) + ' min' : "
    "v < 48 ? +(+v).toPrecision(2) + ' h' : +(v / 24).toPrecision(2) + ' d'"
)


_CLASSES = {
    "": "labels",
    "tp": "true positives",
    "fp": "false positives",
    "tn": "true negatives",
    "fn": "false negatives",
}


def delay(rows: Sequence[Delay], *, palette: Palette) -> Option:
    """Of the labels that come, the share that is there by the age of the prediction, by class of outcome."""
    drawn = []
    for index, name in enumerate(dict.fromkeys(row.class_ for row in rows)):
        told = _CLASSES.get(name, f"{name} answers")
        points = [
            {
                "value": [rounded(row.within_h), rounded(row.share)],
                "about": [f"{told}: {markup.percent(row.share)} within {age(row.within_h)}"],
            }
            for row in rows
            if row.class_ == name
        ]
        drawn.append(series(told, points, palette.versions[index % len(palette.versions)]))
    label = {"color": palette.muted, "fontSize": 11, ":formatter": _TICK, "hideOverlap": True}
    return base(palette) | {
        "grid": {**GRID, "bottom": 42, "right": 28},
        "tooltip": {**tooltip(palette), ":formatter": ABOUT},
        "xAxis": {
            **value_axis(palette, "age of the prediction", nameLocation="middle", nameGap=24, axisLabel=label),
            "type": "log",
            "min": "dataMin",
            "max": "dataMax",
            "splitLine": {"show": False},
        },
        "yAxis": share_axis("labels there", palette),
        "series": drawn,
    }


def age(hours: float) -> str:
    """A stretch of time in the unit that suits it.

    >>> age(0.25), age(5), age(72)
    ('15 min', '5 h', '3 days')
    """
    if hours < 1:
        return f"{60 * hours:.3g} min"
    return f"{hours:.3g} h" if hours < 48 else f"{hours / 24:.3g} days"


def coverage(
    rows: Sequence[Coverage],
    expected: Sequence[Expected],
    *,
    versions: Sequence[str],
    span: Span,
    palette: Palette,
) -> Option:
    """The share of labels that are there by the day of the prediction, and what is expected in the end."""
    drawn: list[Option] = []
    for version in versions:
        shade = colour(palette, versions, version)
        drawn.append(covered(rows, version, shade))
        coming = [
            {
                "value": [row.at_s * 1000, rounded(row.share)],
                "about": [f"{version} {date(row.at_s)}: {markup.percent(row.share)} expected in the end"],
            }
            for row in expected
            if row.version == version
        ]
        if coming:
            drawn.append(series(f"{version} in the end", coming, shade, type="scatter", **hollow(shade, palette)))
    return base(palette) | {
        "grid": GRID,
        "tooltip": {**tooltip(palette), ":formatter": ABOUT},
        "xAxis": cohort_axis(palette, [row.at_s for row in rows], span, "day"),
        "yAxis": share_axis("labels there", palette),
        "series": drawn,
    }
