"""Latency, rate, errors, score and confidence of a model's versions over event time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from driftline_streams.dashboard.charts.frame import (
    Option,
    Palette,
    base,
    colour,
    foot_axis,
    line,
    lonely,
    rug,
    series,
    time_axis,
    tooltip,
    value_axis,
    value_format,
)
from driftline_streams.dashboard.queries.traffic import Finding, Load
from driftline_streams.dashboard.spans import DAY_S, HOUR_S, Span
from driftline_streams.kernel import words

GRID = {"left": 48, "right": 16, "top": 52, "bottom": 24}
_PERCENTILES = (("p50", 1.0, "solid", 2.0), ("p95", 0.75, "dashed", 1.5), ("p99", 0.9, "dotted", 2.0))
_UNITS = ((1, "s"), (60, "min"), (HOUR_S, "h"), (DAY_S, "day"))


def by_version(rows: Sequence[Load]) -> dict[str, list[Load]]:
    """The rows of each version, in the order of the rows."""
    out: dict[str, list[Load]] = {}
    for row in rows:
        out.setdefault(row.version, []).append(row)
    return out


def latency(
    rows: Sequence[Load],
    found: Sequence[Finding],
    *,
    versions: Sequence[str],
    span: Span,
    bucket_s: int,
    log: bool,
    palette: Palette,
) -> Option:
    """p50, p95 and p99 in ms; a tick at the foot where the level changed or an objective was missed."""
    option = base(palette)
    drawn = []
    for version, of in by_version(rows).items():
        for name, opacity, kind, width in _PERCENTILES:
            points = [(row.at_s, getattr(row, f"{name}_ms")) for row in of]
            shade = colour(palette, versions, version)
            style = {"type": kind, "width": width, "opacity": opacity}
            drawn.append(
                series(
                    f"{version} {name}",
                    line(points, bucket_s),
                    shade,
                    lineStyle=style,
                    showSymbol=lonely(points, bucket_s),
                )
            )
    drawn += rug(_found(found, ("latency_ms",), span, bucket_s), palette, 1)
    return option | {
        "grid": GRID,
        "tooltip": tooltip(palette, "ms"),
        "xAxis": time_axis(palette, span.start_s, span.end_s),
        "yAxis": [_milliseconds(rows, palette, log=log), foot_axis()],
        "series": drawn,
    }


def rate_unit(rows: Sequence[Load], seconds_of: Callable[[Load], float]) -> tuple[int, str]:
    """The unit of time in which the busiest stretch has at least one event: seconds and name."""
    most = max((row.n / seconds_of(row) for row in rows), default=1.0)
    return next(((length, name) for length, name in _UNITS if most * length >= 1), _UNITS[-1])


def traffic(
    rows: Sequence[Load],
    found: Sequence[Finding],
    *,
    versions: Sequence[str],
    span: Span,
    bucket_s: int,
    palette: Palette,
) -> Option:
    """Events per unit of time above, the share of errors below."""

    def seconds(row: Load) -> float:
        # The first and the last stretch are only partly within the data.
        return max(1, min(row.at_s + bucket_s, span.end_s) - max(row.at_s, span.start_s))

    per, unit = rate_unit(rows, seconds)
    drawn = []
    for version, of in by_version(rows).items():
        shade = colour(palette, versions, version)
        rate = [(row.at_s, row.n * per / seconds(row)) for row in of]
        share = [(row.at_s, row.errors / row.n if row.n else None) for row in of]
        drawn += [
            series(
                version,
                line(rate, bucket_s),
                shade,
                showSymbol=lonely(rate, bucket_s),
                tooltip=value_format(f"/ {unit}"),
            ),
            series(
                version,
                line(share, bucket_s),
                shade,
                xAxisIndex=1,
                yAxisIndex=1,
                areaStyle={"color": shade, "opacity": 0.15},
                showSymbol=lonely(share, bucket_s),
                tooltip=value_format("% errors"),
            ),
        ]
    drawn += rug(_found(found, ("error_rate", "volume"), span, bucket_s), palette, 2, xAxisIndex=1)
    worst = max((row.errors / row.n for row in rows if row.n), default=0)
    return base(palette) | {
        "grid": [{**GRID, "bottom": "42%"}, {**GRID, "top": "70%"}],
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "xAxis": [
            time_axis(palette, span.start_s, span.end_s, axisLabel={"show": False}),
            time_axis(palette, span.start_s, span.end_s, gridIndex=1),
        ],
        "yAxis": [
            value_axis(palette, f"events / {unit}", min=0),
            value_axis(
                palette,
                "errors",
                gridIndex=1,
                min=0,
                max=None if worst >= 0.01 else 0.01,
                splitNumber=2,
                axisLabel={
                    "color": palette.muted,
                    "fontSize": 11,
                    ":formatter": "v => (100 * v).toLocaleString('en', {maximumSignificantDigits: 2}) + ' %'",
                },
            ),
            foot_axis(gridIndex=1),
        ],
        "series": drawn,
    }


def answers(
    rows: Sequence[Load],
    found: Sequence[Finding],
    *,
    versions: Sequence[str],
    span: Span,
    bucket_s: int,
    palette: Palette,
) -> Option:
    """The mean score (solid) and the mean confidence (dashed), both between 0 and 1."""
    drawn = []
    for version, of in by_version(rows).items():
        shade = colour(palette, versions, version)
        for name, kind in (("score", "solid"), ("confidence", "dashed")):
            points = [(row.at_s, getattr(row, f"mean_{name}")) for row in of]
            if any(value is not None for _, value in points):
                drawn.append(
                    series(
                        f"{version} {name}",
                        line(points, bucket_s),
                        shade,
                        lineStyle={"type": kind, "width": 2 if kind == "solid" else 1.5},
                        showSymbol=lonely(points, bucket_s),
                    )
                )
    drawn += rug(_found(found, ("score", "confidence"), span, bucket_s), palette, 1)
    return base(palette) | {
        "grid": GRID,
        "xAxis": time_axis(palette, span.start_s, span.end_s),
        "yAxis": [value_axis(palette, "mean", scale=True, max=1), foot_axis()],
        "series": drawn,
    }


def spread(rows: Sequence[Load]) -> float:
    """How many times the slowest percentile is the fastest one; 1 without any."""
    fast = [row.p50_ms for row in rows if row.p50_ms]
    slow = [row.p99_ms for row in rows if row.p99_ms]
    return max(slow) / min(fast) if fast and slow else 1.0


def _milliseconds(rows: Sequence[Load], palette: Palette, *, log: bool) -> Option:
    if not log:
        return value_axis(palette, "ms", min=0)
    # Whole decades: on its own ECharts starts at 1 and cuts off what is faster than a millisecond.
    fastest = min((row.p50_ms for row in rows if row.p50_ms), default=1.0)
    return value_axis(palette, "ms, logarithmic", type="log", min=10.0 ** math.floor(math.log10(fastest)))


def _found(found: Sequence[Finding], signals: tuple[str, ...], span: Span, bucket_s: int) -> list[tuple[int, str]]:
    """What was found in the signals, by the stretch it was found in: there a tooltip sees it."""
    by_stretch: dict[int, list[str]] = {}
    for one in sorted(found, key=lambda f: f.start_s):
        if one.signal in signals and span.start_s <= one.start_s <= span.end_s:
            by_stretch.setdefault(one.start_s // bucket_s * bucket_s, []).append(_what(one))
    return [(at_s, "; ".join(whats)) for at_s, whats in by_stretch.items()]


def _what(one: Finding) -> str:
    if one.kind == "quality":
        return f"{one.version}: {one.detail}"
    word = {"up": "rose", "down": "fell"}.get(one.direction, "changed")
    if one.kind == "objective":
        return f"{one.version}: objective missed with {words.amount(one.signal, one.statistic)}"
    level = "" if one.after is None else f" to {words.amount(one.signal, one.after)}"
    return f"{one.version}: {words.subject(one.signal).lower()} {word}{level} ({one.method})"
