"""What changed: the inputs, the model's answers to them, or what the answers mean. A row of `drift`, and a finding.

In the walk: the last step of `watch` for a matured day. Covariate drift (other inputs) and concept drift (another
relation of inputs and truth) need different people: so a finding says how much of the change came from where, and which
inputs moved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from driftline_schemas.records import Detection
from driftline_streams.estimation.support import Drifted
from driftline_streams.kernel import drift, words
from driftline_streams.kernel.drift import Result
from driftline_streams.kernel.effects import Effects
from driftline_streams.kernel.findings import Window

SIGNAL = "relation"
MOST_NAMED = 3  # features


class Parts(NamedTuple):
    """A number before and after, and what each of the two contributed to its change."""

    before: float
    after: float
    moved: float  # because other questions were asked, or other answers given
    relation: float  # because the truth of the same ones is another


class Judged(NamedTuple):
    """A matured day, or several, beside what was learned before."""

    result: Result  # with the change as `measures`, by number and part
    parts: Mapping[str, Parts]  # by number: "wrong", "positive", "mae"


def judged(result: Result, parts: Mapping[str, Parts]) -> Judged:
    """With the parts among the measures of the row, so that they can be read in SQL."""
    named = {f"{name}_{part}": getattr(parts[name], part) for name in parts for part in ("moved", "relation")}
    return Judged(
        result._replace(measures={name: value for name, value in named.items() if math.isfinite(value)}), parts
    )


def nothing(n: float) -> Judged:
    """`n` outcomes with nothing to compare them with."""
    nan = math.nan
    sizes = (0.0, nan, nan, nan, nan, nan, round(n), 0)
    return Judged(Result("", "", SIGNAL, "insufficient data", "level", *sizes, False, None, None, {}, {}, {}, {}), {})


def effects(window: Window, found: Judged, moved: Drifted, prefix: str, now_ms: int) -> Effects:
    """The row of the days, and their finding when the relation has changed."""
    detections = [_detection(window, found, moved)] if found.result.state == "drift" else []
    return drift.effects(window, found.result, detections, prefix, now_ms)


def _detection(window: Window, found: Judged, moved: Drifted) -> Detection:
    result = found.result
    direction: Literal["up", "down", "both"] = (
        "both" if result.low < 0 < result.high else "up" if result.low > 0 else "down"
    )
    inputs = _named("Inputs", moved.inputs) or "No input drifted"
    name = "mae" if result.method == "loss" else ""
    size, threshold = (_signed(name, value).lstrip("+") for value in (result.effect, result.threshold))
    level, low, high = (_signed(name, value) for value in ((result.low + result.high) / 2, result.low, result.high))
    detail = (
        f"What the model's answers mean has changed {words.when(window.start_ms, window.end_ms)}: "
        f"{_SUBJECT[result.method]} moved by {size} on average (limit {threshold}), its level by {level} "
        f"(95 % interval {low} to {high}), {words.chance(result.p_value)}, {result.n:,} outcomes against "
        f"{result.n_reference:,}. {' '.join(_change(name, parts) for name, parts in found.parts.items())} "
        f"{inputs}{_named('; of the answers', moved.outputs)}."
    )
    return msgspec.structs.replace(drift.finding(window, result, direction, detail), kind="concept")


_SUBJECT = {
    "level": "at the same scores, the share of outcomes that came true",
    "bands": "at the same scores, the share of outcomes that came true",
    "loss": "for the same inputs, the mean absolute error",
}
_NUMBERS = {"wrong": "share of wrong answers", "positive": "share of positives", "mae": "mean absolute error"}


def _change(name: str, parts: Parts) -> str:
    number = words.number if name == "mae" else words.share
    why = "the inputs" if name == "mae" else "the scores"
    return (
        f"The {_NUMBERS[name]} went from {number(parts.before)} to {number(parts.after)}: {_signed(name, parts.moved)} "
        f"because {why} moved, {_signed(name, parts.relation)} because of the relation."
    )


def _signed(name: str, value: float) -> str:
    return f"{'+' if value >= 0 else '-'}{words.number(abs(value))}" if name == "mae" else _points(value)


def _named(what: str, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    more = len(names) - MOST_NAMED
    return f"{what} {', '.join(names[:MOST_NAMED])}{f' and {more} more' if more > 0 else ''} drifted"


def _points(value: float) -> str:
    """A difference of shares.

    >>> _points(0.0312), _points(-0.2)
    ('+3.1 points', '-20 points')
    """
    return f"{100 * value:+.2g} points"
