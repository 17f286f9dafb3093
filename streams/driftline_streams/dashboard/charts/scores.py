"""What scores are worth: do they come true, and where are the answers wrong."""

from __future__ import annotations

from collections.abc import Sequence

from driftline_streams.dashboard import markup
from driftline_streams.dashboard.charts.cohort import share_axis
from driftline_streams.dashboard.charts.frame import Option, Palette, base, rounded, series, tooltip, value_axis
from driftline_streams.dashboard.charts.interval import ABOUT, point, upright
from driftline_streams.dashboard.charts.load import GRID
from driftline_streams.dashboard.queries.scores import Band, Position

PERFECT = "as it should be"


def calibration(bands: Sequence[Band], *, palette: Palette, shade: str) -> Option:
    """How often a score came true, by score: on the line, a score of 0.3 comes true three times of ten."""
    points = [
        point(
            band.mean_score,
            (band.observed, band.low, band.high),
            [
                f"{_between(band)}, {band.mean_score:.3f} in the mean",
                f"{_share(band.observed, band.low, band.high)} came true, n = {band.n:,}",
            ],
        )
        for band in bands
        if band.mean_score is not None
    ]
    axis = {"min": 0, "max": 1, "nameLocation": "middle", "nameGap": 24}
    return _plain(palette) | {
        "tooltip": {**tooltip(palette), "trigger": "item", ":formatter": ABOUT},
        "xAxis": value_axis(palette, "mean score", **axis),
        "yAxis": share_axis("came true", palette),
        "series": [
            upright("came true", points, shade),
            series(PERFECT, [[0, 0], [1, 1]], palette.muted, lineStyle={"width": 1, "type": "dashed"}, silent=True),
        ],
    }


def errors(bands: Sequence[Band], *, palette: Palette, shade: str) -> Option:
    """The share of wrong answers by score, over how many there were."""
    points = [
        point(
            index,
            (band.wrong, band.wrong_low, band.wrong_high),
            [_between(band), f"{_share(band.wrong, band.wrong_low, band.wrong_high)} wrong, n = {band.n:,}"],
        )
        for index, band in enumerate(bands)
    ]
    names = [f"{band.band_start:.2f}" for band in bands]
    return _over_counts(names, [band.n for band in bands], points, ("score from", "wrong answers"), palette, shade)


def positions(rows: Sequence[Position], *, palette: Palette, shade: str) -> Option:
    """The share of items that were clicked by the position in which they were shown, over how many were shown."""
    points = [
        point(
            index,
            (row.ctr, row.low, row.high),
            [
                f"position {row.position or 'unknown'}",
                f"{_share(row.ctr, row.low, row.high)} clicked of {markup.count(round(row.shown))}",
            ],
        )
        for index, row in enumerate(rows)
    ]
    names = [str(row.position or "?") for row in rows]
    return _over_counts(names, [row.shown for row in rows], points, ("position", "clicked"), palette, shade)


def _over_counts(  # noqa: PLR0917
    names: Sequence[str],
    counts: Sequence[float],
    points: Sequence[Option],
    axes: tuple[str, str],
    palette: Palette,
    shade: str,
) -> Option:
    """Shares with their intervals by category, and faint bars of how much they rest on."""
    return _plain(palette) | {
        "tooltip": {**tooltip(palette), ":formatter": ABOUT},
        "xAxis": {
            "type": "category",
            "data": list(names),
            "name": axes[0],
            "nameLocation": "middle",
            "nameGap": 24,
            "nameTextStyle": {"color": palette.muted, "fontSize": 11},
            "axisLine": {"lineStyle": {"color": palette.grid}},
            "axisTick": {"show": False},
            "axisLabel": {"color": palette.muted, "fontSize": 11, "hideOverlap": True},
        },
        "yAxis": [
            share_axis(axes[1], palette),
            # A third of the height: they say on how much the shares rest, and no more.
            value_axis(palette, "", show=False, max=3 * max(counts, default=1), splitLine={"show": False}),
        ],
        "series": [
            upright(axes[1], points, shade),
            {
                "type": "bar",
                "name": "how many",
                "data": [rounded(count) for count in counts],
                "yAxisIndex": 1,
                "itemStyle": {"color": palette.muted, "opacity": 0.25},
                "barCategoryGap": "10%",
                "silent": True,
            },
        ],
    }


def _plain(palette: Palette) -> Option:
    return base(palette) | {"grid": {**GRID, "top": 28, "bottom": 42}, "legend": {"show": False}}


def _between(band: Band) -> str:
    return f"score {band.band_start:.2f} to {band.band_end:.2f}"


def _share(value: float | None, low: float | None, high: float | None) -> str:
    return f"{markup.percent(value)} ({markup.percent(low)} to {markup.percent(high)})"
