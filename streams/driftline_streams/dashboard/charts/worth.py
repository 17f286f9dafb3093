"""What the outcomes were worth, and how many there were of each class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from driftline_streams.dashboard import markup
from driftline_streams.dashboard.charts.cohort import PROVISIONAL, by_line, cohort_axis, date
from driftline_streams.dashboard.charts.frame import (
    Option,
    Palette,
    base,
    colour,
    rounded,
    tooltip,
    value_axis,
)
from driftline_streams.dashboard.charts.interval import ABOUT
from driftline_streams.dashboard.charts.load import GRID
from driftline_streams.dashboard.queries.worth import Count, Worth
from driftline_streams.dashboard.spans import Span

MOST_CLASSES = 6  # that a stack of colours tells apart


def worth(
    rows: Sequence[Worth], *, unit: str, versions: Sequence[str], span: Span, grain: str, palette: Palette
) -> Option:
    """The sum over a day's or month's outcomes; lighter where labels can still come."""
    drawn: list[Option] = []
    for name, of in by_line(rows).items():
        shade = colour(palette, versions, of[0].version)
        data = [
            {
                "value": [row.at_s * 1000, rounded(row.worth)],
                "about": [
                    f"{name} {date(row.at_s, grain)}: {amount(row.worth, unit)}, {row.state}",
                    f"{amount(row.each, unit)} for each of {row.labelled:,} outcomes",
                    ", ".join(f"{name} {markup.count(round(n))}" for name, n in row.counts.items()),
                ],
                "itemStyle": {"color": shade, "opacity": 0.35 if row.state == PROVISIONAL else 0.85},
            }
            for row in of
        ]
        drawn.append(
            {
                "type": "bar",
                "name": name,
                "data": data,
                "itemStyle": {"color": shade},
                "barMaxWidth": 26,
                "barGap": "0%",
                "emphasis": {"disabled": True},
            }
        )
    return base(palette) | {
        "grid": {**GRID, "left": 64},
        "tooltip": {**tooltip(palette), ":formatter": ABOUT},
        "xAxis": cohort_axis(palette, [row.at_s for row in rows], span, grain),
        "yAxis": value_axis(palette, unit or "worth"),
        "series": drawn,
    }


def counts(rows: Sequence[Count], *, span: Span, palette: Palette) -> Option:
    """How often each class was true by month, stacked."""
    names = most_frequent(rows)
    drawn = [
        {
            "type": "bar",
            "name": name,
            "stack": "classes",
            "data": [
                {
                    "value": [row.at_s * 1000, rounded(row.actual)],
                    "about": [
                        f"{name} {date(row.at_s, 'month')}: true {markup.count(round(row.actual))} times, "
                        f"predicted {markup.count(round(row.predicted))} times"
                    ],
                }
                for row in rows
                if row.class_ == name
            ],
            "itemStyle": {"color": palette.versions[(index + 2) % len(palette.versions)], "opacity": 0.8},
            "barMaxWidth": 36,
            "emphasis": {"disabled": True},
        }
        for index, name in enumerate(names)
    ]
    return base(palette) | {
        "grid": {**GRID, "left": 64},
        "tooltip": {**tooltip(palette), ":formatter": ABOUT},
        "xAxis": cohort_axis(palette, [row.at_s for row in rows], span, "month"),
        "yAxis": value_axis(palette, "outcomes"),
        "series": drawn,
    }


def most_frequent(rows: Sequence[Count]) -> list[str]:
    """The classes that were true most often, at most `MOST_CLASSES`."""
    total: dict[str, float] = defaultdict(float)
    for row in rows:
        total[row.class_] += row.actual
    return sorted(total, key=lambda name: (-total[name], name))[:MOST_CLASSES]


def amount(value: float | None, unit: str) -> str:
    """An amount with its unit.

    >>> amount(-1234.5, "EUR"), amount(0.5, "")
    ('-1,234 EUR', '0.500')
    """
    return f"{markup.number(value)} {unit}".rstrip()
