"""Two distributions as one small SVG: what share of a measurement was done after how many seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT, LEFT, TOP, GAP = 760, 250, 44, 46, 40


@dataclass(frozen=True, slots=True)
class Panel:
    """One distribution of seconds, and the limit for its 99th percentile."""

    title: str
    seconds: npt.NDArray[np.float64]
    limit_s: float


def svg(panels: Sequence[Panel]) -> str:
    """The panels side by side, each a cumulative distribution."""
    width = (WIDTH - LEFT - GAP * len(panels)) / len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="11" fill="#333">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for place, panel in enumerate(panels):
        parts += _panel(panel, LEFT + place * (width + GAP), width, labels=place == 0)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel, left: float, width: float, *, labels: bool) -> list[str]:
    height, most = HEIGHT - TOP - 40, max(panel.limit_s, float(panel.seconds.max())) * 1.05

    def x(seconds: float) -> float:
        return left + seconds / most * width

    def y(share: float) -> float:
        return TOP + (1 - share) * height

    shares = np.linspace(0, 1, 201)
    points = zip(np.quantile(panel.seconds, shares).tolist(), shares.tolist(), strict=True)
    line = " ".join(f"{x(seconds):.1f},{y(share):.1f}" for seconds, share in points)
    p99, bottom = float(np.quantile(panel.seconds, 0.99)), TOP + height
    out = [f'<text x="{left:.0f}" y="18" font-size="13" font-weight="bold">{escape(panel.title)}</text>']
    for share in (0.0, 0.25, 0.5, 0.75, 0.99):
        out.append(f'<path d="M{left:.1f} {y(share):.1f}h{width:.1f}" stroke="#ddd"/>')
        if labels:
            out.append(f'<text x="{left - 6:.0f}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    out += [
        f'<text x="{x(second):.1f}" y="{bottom + 15:.0f}" text-anchor="middle">{second}</text>'
        for second in range(int(most) + 1)
    ]
    out += [
        f'<text x="{left + width:.0f}" y="{bottom + 30:.0f}" text-anchor="end">seconds</text>',
        f'<path d="M{x(panel.limit_s):.1f} {TOP}v{height}" stroke="#c33" stroke-dasharray="4 3"/>',
        f'<text x="{x(panel.limit_s) - 4:.1f}" y="{TOP - 6}" text-anchor="end" fill="#c33">'
        f"limit of p99: {panel.limit_s:g} s</text>",
        f'<polyline points="{line}" fill="none" stroke="#27c" stroke-width="2"/>',
        f'<circle cx="{x(p99):.1f}" cy="{y(0.99):.1f}" r="3.5" fill="#27c"/>',
        f'<text x="{left + 2:.0f}" y="{TOP - 6}">p99 {p99:.2f} s</text>',
    ]
    return out
