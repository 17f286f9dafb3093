"""Drift by signal and time, and the two distributions behind one cell."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from driftline_streams.dashboard.charts.frame import Option, Palette, base, rounded, tooltip, value_axis, value_format
from driftline_streams.dashboard.queries.drift import Drift, Histograms
from driftline_streams.dashboard.spans import DAY_S
from driftline_streams.kernel import words
from driftline_streams.kernel.signals import FEATURE

# In limits; the last colours are for what the test calls drift.
_STEPS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.5)
_UNKNOWN = -1.0
_NAMES = {
    "ks": "KS",
    "psi": "PSI",
    "mean": "mean",
    "nulls": "missing values",
    "unseen": "unseen values",
    "correlation": "a correlation",  # of all features together, as those that follow
    "reconstruction": "reconstruction error",
    "characteristic": "characteristic function",
}


def signal_name(signal: str) -> str:
    """What people call a signal.

    >>> signal_name("feature:distance"), signal_name("latency_ms")
    ('distance', 'latency_ms')
    """
    return signal.removeprefix(FEATURE)


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
    chance = "" if row.p_value is None or row.p_value != row.p_value else f"{words.chance(row.p_value)}, "
    return [
        *lines,
        f"{strongest(row)}: {verdict(row)}",
        f"{chance}n = {row.n:,} against {row.n_reference:,}{' of the same hours' if row.seasonal else ''}",
        "click for the distributions",
    ]


def strongest(row: Drift) -> str:
    """The strongest test of a cell, its effect with the 95 % interval, and the limit."""
    size, limit = (words.effect(row.method, value) for value in (row.effect or 0.0, row.threshold))
    if row.low is None or row.high is None:
        return f"{_NAMES.get(row.method, row.method)} {size}, limit {limit}"
    low, high = (words.effect(row.method, value) for value in (row.low, row.high))
    return f"{_NAMES.get(row.method, row.method)} {size} ({low} to {high}), limit {limit}"


def verdict(row: Drift) -> str:
    """What the tests of a cell say together."""
    if row.state == "ok" and row.ratio >= 1:
        return "over the limit, but not significant"
    return {"drift": "drift", "ok": "no drift"}.get(row.state, "too few events to judge")


class Shares(NamedTuple):
    """Two distributions over the same bars; shares sum to 1 where there is anything."""

    labels: list[str]
    reference: list[float]
    window: list[float]


def shares(found: Histograms) -> Shares:
    """What a window held and what was to be expected of it, as shares of its events."""
    labels = list(found.bins)
    expected = [found.expected.get(label, 0.0) for label in labels]
    return Shares(labels, _shares(expected), _shares(list(found.bins.values())))


def _shares(counts: Sequence[float]) -> list[float]:
    total = sum(counts)
    return [rounded(count / total) or 0.0 if total else 0.0 for count in counts]


def distributions(found: Shares, *, shade: str, palette: Palette) -> Option:
    """What the reference led to expect (grey) beside the window."""

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
        "series": [bars("expected", found.reference, palette.muted), bars("this window", found.window, shade)],
    }
