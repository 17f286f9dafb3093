"""Drift by signal and time, and the two distributions behind one cell."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from driftline_schemas.spec import Profile
from driftline_streams.dashboard.charts.frame import Option, Palette, base, rounded, tooltip, value_axis, value_format
from driftline_streams.dashboard.rows import Drift
from driftline_streams.dashboard.spans import DAY_S
from driftline_streams.kernel import words
from driftline_streams.kernel.limits import OTHER_CATEGORY

# In limits; the last colours are for what the test calls drift.
_STEPS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.5)
_UNKNOWN = -1.0
_BARS = 16  # of a numeric histogram: each holds about a sixteenth of the reference
_CATEGORIES = 20


def signal_name(signal: str) -> str:
    """What people call a signal.

    >>> signal_name("feature:distance"), signal_name("latency_ms")
    ('distance', 'latency_ms')
    """
    return signal.removeprefix("feature:")


class Grid(NamedTuple):
    """The axes of a heat map and its cells by (column, row)."""

    starts_s: list[int]
    signals: list[str]
    cells: dict[tuple[int, int], Drift]


def grid(rows: Sequence[Drift], bucket_s: int) -> Grid:
    """The cells; signals that drift most on top, and a column for every stretch between the first and the last."""
    if not rows:
        return Grid([], [], {})
    first, last = min(row.at_s for row in rows), max(row.at_s for row in rows)
    starts = list(range(first, last + 1, bucket_s))
    drifted: dict[str, tuple[int, float]] = {}
    for row in rows:
        count, worst = drifted.get(row.signal, (0, 0.0))
        drifted[row.signal] = (count + (row.state == "drift"), max(worst, row.ratio))
    signals = sorted(drifted, key=lambda signal: (*drifted[signal], signal))  # the first category is at the bottom
    place = {signal: index for index, signal in enumerate(signals)}
    return Grid(starts, signals, {((row.at_s - first) // bucket_s, place[row.signal]): row for row in rows})


def shade_value(row: Drift) -> float:
    """What the colour shows: the statistic in limits, at most 1 unless it is significant, -1 without enough data."""
    if row.state == "insufficient data":
        return _UNKNOWN
    return round(max(1.0, row.ratio) if row.state == "drift" else min(row.ratio, 0.999), 3)


def heat_map(rows: Sequence[Drift], *, bucket_s: int, palette: Palette) -> Option:
    """Signals by test windows; the colour is the statistic relative to its limit."""
    axes = grid(rows, bucket_s)
    form = "%Y-%m-%d" if bucket_s % DAY_S == 0 else "%Y-%m-%d %H:%M"
    limits = [0, *_STEPS]
    pieces: list[Option] = [{"value": _UNKNOWN, "label": "too few", "color": palette.unknown}]
    for low, high, shade in zip(limits, [*limits[1:], None], palette.drift, strict=True):
        label = f"{low:g}–{high:g}" if high is not None else f"over {low:g}"
        pieces.append({"gte": low, **({} if high is None else {"lt": high}), "label": label, "color": shade})
    return base(palette) | {
        "legend": {"show": False},
        "grid": {"left": 110, "right": 16, "top": 40, "bottom": 28},
        "tooltip": {**tooltip(palette), "trigger": "item", ":formatter": "p => driftline.lines(p.data.about)"},
        "visualMap": {
            "type": "piecewise",
            "pieces": pieces,
            "orient": "horizontal",
            "top": 0,
            "left": 0,
            "itemWidth": 14,
            "itemHeight": 10,
            "itemGap": 8,
            "textGap": 4,
            "textStyle": {"color": palette.muted, "fontSize": 11},
            "dimension": 2,
            "outOfRange": {"color": palette.unknown},
        },
        "xAxis": {
            "type": "category",
            "data": [time.strftime(form, time.gmtime(at_s)) for at_s in axes.starts_s],
            "axisLabel": {"color": palette.muted, "fontSize": 11, "hideOverlap": True},
            "axisLine": {"lineStyle": {"color": palette.grid}},
            "axisTick": {"show": False},
            "splitArea": {"show": False},
        },
        "yAxis": {
            "type": "category",
            "data": [signal_name(signal) for signal in axes.signals],
            "axisLabel": {"color": palette.ink, "fontSize": 12, "width": 98, "overflow": "truncate"},
            "axisLine": {"show": False},
            "axisTick": {"show": False},
        },
        "series": [
            {
                "type": "heatmap",
                "name": "drift",
                "data": [
                    {"value": [x, y, shade_value(row)], "about": _about(row)} for (x, y), row in axes.cells.items()
                ],
                "progressive": 0,
                "itemStyle": {"borderColor": palette.surface, "borderWidth": 1 if len(axes.starts_s) < 120 else 0},
                "emphasis": {"itemStyle": {"borderColor": palette.ink, "borderWidth": 1}},
            }
        ],
    }


def _about(row: Drift) -> list[str]:
    """What the tooltip of a cell says; its first line is the title."""
    lines = [f"{signal_name(row.signal)}, {words.when(row.window_s * 1000, (row.window_s + row.width_s) * 1000)}"]
    if row.state == "insufficient data":
        return [*lines, f"too few events to judge: {row.n:,} against {row.n_reference:,}"]
    verdict = "drift" if row.state == "drift" else "no drift"
    if row.state == "ok" and row.ratio >= 1:
        verdict = "over the limit, but not significant"
    lines.append(f"{row.test.upper()} {words.number(row.statistic)}, limit {words.number(row.threshold)}: {verdict}")
    chance = "" if row.p_value is None or row.p_value != row.p_value else f"{words.chance(row.p_value)}, "
    return [*lines, f"{chance}n = {row.n:,} against {row.n_reference:,}", "click for the distributions"]


class Histogram(NamedTuple):
    """Two distributions over the same bars; shares sum to 1 where there is anything."""

    labels: list[str]
    reference: list[float]
    window: list[float]


def histogram(profile: Profile, bins: Mapping[str, int]) -> Histogram:
    """The shares of the reference and of a window in common bars.

    Numeric bars join neighbouring quantile bins until they hold a sixteenth of the reference; of categories the
    largest stand alone.
    """
    return _numeric(profile, bins) if profile.type == "numeric" else _categorical(profile, bins)


def _numeric(profile: Profile, bins: Mapping[str, int]) -> Histogram:
    expected = profile.counts or [0] * (len(profile.edges) + 1)
    observed = [bins.get(str(index), 0) for index in range(len(expected))]
    labels, left, right = [], list[int](), list[int]()
    total, a, b, opened = sum(expected), 0, 0, 0
    for index, (one, other) in enumerate(zip(expected, observed, strict=True)):
        a, b = a + one, b + other
        if a * _BARS >= total or index == len(expected) - 1:
            labels.append(_range(profile.edges, opened, index))
            left.append(a)
            right.append(b)
            a, b, opened = 0, 0, index + 1
    return Histogram(labels, _shares(left), _shares(right))


def _range(edges: Sequence[float], first: int, last: int) -> str:
    """What the bins from `first` to `last` hold: bin i is [edge i-1, edge i)."""
    if first == 0 and last >= len(edges):
        return "all"
    if first == 0:
        return f"< {words.number(edges[last])}"
    if last >= len(edges):
        return f"≥ {words.number(edges[first - 1])}"
    return f"{words.number(edges[first - 1])} – {words.number(edges[last])}"


def _categorical(profile: Profile, bins: Mapping[str, int]) -> Histogram:
    names = sorted({*profile.categories, *bins}, key=lambda n: -(profile.categories.get(n, 0) + bins.get(n, 0)))
    shown, rest = names[:_CATEGORIES], names[_CATEGORIES:]
    left = [profile.categories.get(name, 0) for name in shown]
    right = [bins.get(name, 0) for name in shown]
    if rest:
        left.append(sum(profile.categories.get(name, 0) for name in rest))
        right.append(sum(bins.get(name, 0) for name in rest))
    labels = ["unseen or rare" if name == OTHER_CATEGORY else name for name in shown]
    return Histogram([*labels, *(["all others"] if rest else [])], _shares(left), _shares(right))


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [rounded(count / total) or 0.0 if total else 0.0 for count in counts]


def distributions(found: Histogram, *, shade: str, palette: Palette) -> Option:
    """The reference (grey) beside the window."""

    def bars(name: str, data: list[float], colour: str) -> Option:
        return {
            "type": "bar",
            "name": name,
            "data": data,
            "itemStyle": {"color": colour},
            "barGap": "0%",
            "barCategoryGap": "25%",
            "emphasis": {"disabled": True},
        }

    return base(palette) | {
        "grid": {"left": 48, "right": 16, "top": 48, "bottom": 64},
        "tooltip": {**tooltip(palette), **value_format("%")},
        "xAxis": {
            "type": "category",
            "data": found.labels,
            "axisLabel": {"color": palette.muted, "fontSize": 11, "rotate": 35, "width": 90, "overflow": "truncate"},
            "axisLine": {"lineStyle": {"color": palette.grid}},
            "axisTick": {"show": False},
        },
        "yAxis": value_axis(
            palette,
            "share of events",
            min=0,
            axisLabel={"color": palette.muted, "fontSize": 11, ":formatter": "v => Math.round(100 * v) + ' %'"},
        ),
        "series": [bars("reference", found.reference, palette.muted), bars("this window", found.window, shade)],
    }
