"""Challengers against the champion on the same requests: how they differ, and what that says so far."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from driftline_streams.dashboard import markup
from driftline_streams.dashboard.charts.cohort import GRAIN_S, date, said
from driftline_streams.dashboard.charts.frame import (
    Option,
    Palette,
    base,
    colour,
    line,
    series,
    time_axis,
    tooltip,
    value_axis,
)
from driftline_streams.dashboard.charts.interval import ABOUT, band, level, point, upright
from driftline_streams.dashboard.charts.load import GRID
from driftline_streams.dashboard.queries.comparison import Pairs, Verdict
from driftline_streams.dashboard.spans import DAY_S, Span

Z = 1.959963984540054  # 95 %, two-sided


class Difference(NamedTuple):
    """Challenger minus champion on the same requests, with its 95 % interval.

    Of accuracy between -1 and 1, of the mean absolute error in its unit.
    """

    value: float
    low: float
    high: float


def difference(pairs: Pairs) -> Difference | None:
    """The paired difference; `None` without pairs, or with fewer than two of numbers.

    Of accuracy as the view `champion_challenger` has it: Agresti and Min (2005), half a pair more in each of the four
    cells. Of errors by the central limit theorem.
    """
    if pairs.compared:
        first, second = pairs.only_champion, pairs.only_challenger
        padded = pairs.compared + 2
        middle = (second - first) / padded
        half = Z * math.sqrt(first + second + 1 - (second - first) ** 2 / padded) / padded
        return Difference((second - first) / pairs.compared, max(-1.0, middle - half), min(1.0, middle + half))
    if pairs.measured < 2:
        return None
    mean = pairs.differences / pairs.measured
    spread = max(0.0, pairs.difference_squares - pairs.differences * mean) / (pairs.measured - 1)
    half = Z * math.sqrt(spread / pairs.measured)
    return Difference(mean, mean - half, mean + half)


def pairings(rows: Sequence[Pairs] | Sequence[Verdict]) -> Iterator[tuple[str, str, str]]:
    """Champion, challenger and the challenger's role, each once."""
    yield from sorted({(row.champion, row.challenger, row.role) for row in rows})


def of_classes(rows: Sequence[Pairs] | Sequence[Verdict]) -> bool:
    """Whether what is compared is accuracy, and not errors."""
    return any(row.compared > 0 if isinstance(row, Pairs) else row.metric == "accuracy" for row in rows)


def differences(rows: Sequence[Pairs], *, versions: Sequence[str], span: Span, grain: str, palette: Palette) -> Option:
    """Each challenger minus the champion, by `grain`."""
    classes = of_classes(rows)
    drawn: list[Option] = []
    for champion, challenger, role in pairings(rows):
        data = []
        for row in rows:
            found = difference(row)
            if (row.champion, row.challenger, row.role) == (champion, challenger, role) and found is not None:
                scaled = [100 * end for end in found] if classes else list(found)
                data.append(point(row.at_s * 1000, scaled, _pairs(row, found, grain)))
        if data:
            drawn.append(upright(_name(champion, challenger, role), data, colour(palette, versions, challenger)))
    if drawn:
        drawn[0]["markLine"] = level(0, palette)
    half = GRAIN_S[grain] // 2
    starts = [row.at_s for row in rows] or [span.start_s]
    return base(palette) | {
        "grid": GRID,
        "tooltip": {**tooltip(palette), ":formatter": ABOUT},
        "xAxis": time_axis(palette, min(starts) - half, max(starts) + half),
        "yAxis": value_axis(palette, "percentage points" if classes else "mean absolute error"),
        "series": drawn,
    }


def running(rows: Sequence[Verdict], *, margin: float, versions: Sequence[str], palette: Palette) -> Option:
    """The difference over all settled pairs so far, with the interval that bears looking at every day."""
    classes = of_classes(rows)
    scale = 100 if classes else 1
    drawn: list[Option] = []
    for champion, challenger, role in pairings(rows):
        of = [row for row in rows if (row.champion, row.challenger, row.role) == (champion, challenger, role)]
        shade, name = colour(palette, versions, challenger), _name(champion, challenger, role)
        about = {row.at_s: _verdict(row) for row in of}
        points = line([(row.at_s, scale * row.difference) for row in of], DAY_S)
        drawn.append(
            series(
                name,
                said(points, about),
                shade,
                showSymbol=len(of) < 2,
            )
        )
        drawn += band(f"{name} interval", [_scaled(row, scale) for row in of], DAY_S, shade)
    if drawn:
        drawn[0]["markLine"] = level(0, palette)
    if drawn and margin:
        drawn[0]["markLine"]["data"] += [{"yAxis": scale * margin}, {"yAxis": -scale * margin}]
    starts = [row.at_s for row in rows]
    return base(palette) | {
        "grid": GRID,
        "legend": {**base(palette)["legend"], "data": [_name(*each) for each in pairings(rows)]},
        "tooltip": {**tooltip(palette), ":formatter": ABOUT},
        "xAxis": time_axis(palette, min(starts, default=0) - DAY_S // 2, max(starts, default=0) + DAY_S // 2),
        "yAxis": value_axis(palette, "percentage points" if classes else "mean absolute error"),
        "series": drawn,
    }


def sentence(row: Verdict) -> str:
    """A verdict in a sentence."""
    day = date(row.at_s)
    told = {"better": f"{row.challenger} is better than {row.champion}", "worse": f"{row.challenger} is worse than "}
    judged = told.get(row.verdict, f"{row.challenger} and {row.champion} cannot be told apart yet")
    if row.verdict == "worse":
        judged += row.champion
    return f"{judged}: {_between(row)} on {markup.count(row.n)} pairs up to {day}"


def _scaled(row: Verdict, scale: float) -> tuple[int, float | None, float | None]:
    return row.at_s, None if row.low is None else scale * row.low, None if row.high is None else scale * row.high


def _between(row: Verdict) -> str:
    if row.metric == "accuracy":
        ends = [f"{100 * end:+.2f}" if end is not None else "?" for end in (row.difference, row.low, row.high)]
        return f"{ends[0]} pp of accuracy ({ends[1]} to {ends[2]})"
    ends = [markup.number(end) for end in (row.difference, row.low, row.high)]
    return f"{ends[0]} of the mean absolute error ({ends[1]} to {ends[2]})"


def _name(champion: str, challenger: str, role: str) -> str:
    return f"{challenger} − {champion}" + (" in shadow" if role == "shadow" else "")


def _pairs(row: Pairs, found: Difference, grain: str) -> list[str]:
    day = date(row.at_s)
    lines = [f"{grain if grain == 'day' else f'{grain} from'} {day}: {row.challenger} against {row.champion}"]
    if row.compared:
        better = "cannot be told apart" if found.low <= 0 <= found.high else "better" if found.value > 0 else "worse"
        ends = (100 * found.value, 100 * found.low, 100 * found.high)
        return [
            *lines,
            f"{ends[0]:+.1f} pp ({ends[1]:+.1f} to {ends[2]:+.1f}): {better}; {row.compared:,} pairs",
            f"only {row.challenger} right {row.only_challenger:,}, only {row.champion} right {row.only_champion:,}",
        ]
    better = "cannot be told apart" if found.low <= 0 <= found.high else "worse" if found.value > 0 else "better"
    shown = [markup.number(end) for end in found]
    return [*lines, f"{shown[0]} ({shown[1]} to {shown[2]}): {better}; {row.measured:,} pairs"]


def _verdict(row: Verdict) -> list[str]:
    return [f"{row.challenger} against {row.champion}: {row.verdict}", sentence(row)]
