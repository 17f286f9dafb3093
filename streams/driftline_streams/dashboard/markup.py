"""HTML from values: the only place that writes tags, and everything that is not a tag is escaped.

Names of models, features and segments are what somebody's service wrote into an event.
"""

from __future__ import annotations

import datetime as dt
import html
import math
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from driftline_streams.dashboard.charts.frame import DASH
from driftline_streams.kernel import words

SEVERITIES = ("CRITICAL", "WARNING", "INFO")
_CELL = 200  # characters of a value in a table of evidence


class Stat(NamedTuple):
    """One number of a version: what it is, its value with unit, what it rests on, and whether it is worrying."""

    label: str
    value: str
    note: str = ""
    tone: str = ""  # "", "bad" or "warn"


def text(value: object) -> str:
    """A value as escaped text.

    >>> text("<script>")
    '&lt;script&gt;'
    """
    return html.escape(str(value), quote=True)


def model_path(model: str) -> str:
    """The address of a model's page.

    >>> model_path("a/b <c>")
    '/model/a%2Fb%20%3Cc%3E'
    """
    return f"/model/{quote(model, safe='')}"


def number(value: float | None) -> str:
    """Three digits that matter, or a dash.

    >>> number(1234.5), number(float("nan"))
    ('1,234', '–')
    """
    return DASH if value is None or not math.isfinite(value) else words.number(value)


def percent(value: float | None) -> str:
    """A share of 1 in percent.

    >>> percent(0.1234), percent(0.00042), percent(0.0), percent(1.0), percent(None)
    ('12.3 %', '0.042 %', '0 %', '100 %', '–')
    """
    if value is None or not math.isfinite(value):
        return DASH
    return f"{float(f'{100 * value:.3g}'):g} %"


def count(value: int) -> str:
    """Thousands separated.

    >>> count(336776)
    '336,776'
    """
    return f"{value:,}"


def moment(at_s: float) -> str:
    """A time in UTC.

    >>> moment(0)
    '1970-01-01 00:00 UTC'
    """
    return f"{dt.datetime.fromtimestamp(at_s, dt.UTC):%Y-%m-%d %H:%M} UTC"


def rate(per_s: float) -> str:
    """Events per unit of time, in the unit that makes it at least 1.

    >>> rate(120.0), rate(0.009)
    ('120 / s', '32.4 / h')
    """
    for length, name in ((1, "s"), (60, "min"), (3600, "h")):
        if per_s * length >= 1:
            return f"{words.number(per_s * length)} / {name}"
    return f"{words.number(per_s * 86_400)} / day"


def chip(label: str, kind: str) -> str:
    """A small label; `kind` is one of our own class names."""
    return f'<span class="chip {kind}">{text(label)}</span>'


def severity(name: str) -> str:
    """The chip of a severity."""
    return chip(name, {"CRITICAL": "bad", "WARNING": "warn"}.get(name, "calm"))


def strip(title: str, chips: Sequence[str], note: str, stats: Sequence[Stat], stripe: str) -> str:
    """A version: name and chips on the left, its numbers beside them; `stripe` is its colour in the charts."""
    cells = "".join(
        f'<div class="stat {stat.tone}"><div class="label">{text(stat.label)}</div>'
        f'<div class="value">{text(stat.value)}</div><div class="note">{text(stat.note)}</div></div>'
        for stat in stats
    )
    return (
        f'<div class="strip" style="--stripe: {stripe}"><div class="who"><div class="name">{text(title)} '
        f'{"".join(chips)}</div><div class="note">{text(note)}</div></div><div class="stats">{cells}</div></div>'
    )


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as they came from ClickHouse."""
    if not rows:
        return '<p class="note">no rows</p>'
    head = "".join(f"<th>{text(name)}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{text(_shown(value))}</td>" for value in row.values()) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _shown(value: object) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return DASH
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d}"
    if isinstance(value, float):
        return f"{value:.6g}"
    shown = str(value)
    return shown if len(shown) <= _CELL else f"{shown[:_CELL]}…"
