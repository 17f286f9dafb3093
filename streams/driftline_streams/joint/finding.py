"""What the tests of one day gave, as a row of `drift` and, when something has drifted, a finding in words.

In the walk: the last step of `watch`. Three tests are one row and at most one finding, for they look at one thing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from driftline_schemas.records import Detection
from driftline_schemas.spec import Reference
from driftline_streams.kernel import findings, words
from driftline_streams.kernel.effects import Effects, MapColumn, Rows
from driftline_streams.kernel.joint import Result
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.signals import FEATURE

SIGNAL = "features"
MOST_PAIRS = 3  # that a sentence names
_TEXTS = ("state", "method")
_NUMBERS = ("threshold", "effect", "low", "high", "p_value")


class Judged(NamedTuple):
    """A day of one version, with the results of all its tests."""

    reference: Reference
    version: str
    day_ms: int
    results: Sequence[Result]  # at least one


def effects(day: Judged, prefix: str, now_ms: int) -> Effects:
    """The row of a day, and its finding when a test found drift."""
    drifted = [result for result in day.results if result.state == "drift"]
    found = findings.effects([_detection(day, drifted)] if drifted else [], prefix, now_ms)
    return Effects((_row(day, now_ms), *found.rows), found.messages)


def headline(results: Sequence[Result]) -> Result:
    """The result that speaks for the day: the first that drifted, else the most surprising one.

    Pairs that changed say most to a person, and they come first.
    """
    drifted = [result for result in results if result.state == "drift"]
    return drifted[0] if drifted else min(results, key=lambda each: (math.isnan(each.p_value), each.p_value))


def _row(day: Judged, now_ms: int) -> Rows:
    chosen, tested = headline(day.results), [each for each in day.results if not math.isnan(each.p_value)]
    return Rows(
        "drift",
        1,
        {
            "model": [day.reference.model],
            "version": [day.version],
            "window": np.array([day.day_ms // 1000], np.uint32),
            "width_s": np.array([DAY_MS // 1000], np.uint32),
            "dim": [""],
            "value": [""],
            "signal": [SIGNAL],
            **{name: [getattr(chosen, name)] for name in _TEXTS},
            **{name: np.array([getattr(chosen, name)], np.float64) for name in _NUMBERS},
            "statistic": np.nan_to_num(np.abs(np.array([chosen.effect], np.float64))),
            "n": np.array([chosen.n], np.uint64),
            "n_reference": np.array([chosen.n_reference], np.uint64),
            "reference": [day.reference.id],
            "seasonal": np.zeros(1, np.uint8),
            "measures": MapColumn.of([{each.method: each.effect for each in tested}], np.float64),
            "p_values": MapColumn.of([{each.method: each.p_value for each in tested}], np.float64),
            "bins": MapColumn.of([{}], np.uint64),
            "expected": MapColumn.of([{}], np.float64),
            "computed_at": np.array([now_ms], np.int64),
        },
    )


def _detection(day: Judged, drifted: Sequence[Result]) -> Detection:
    chosen, model, end_ms = drifted[0], day.reference.model, day.day_ms + DAY_MS
    return Detection(
        id=findings.id_of(model, day.version, SIGNAL, "joint", day.day_ms),
        model=model,
        version=day.version,
        signal=SIGNAL,
        kind="drift",
        method=chosen.method,
        start_ms=day.day_ms,
        end_ms=end_ms,
        direction=_direction(chosen),
        statistic=abs(chosen.effect),
        threshold=chosen.threshold,
        effect=chosen.effect,
        p_value=chosen.p_value,
        before=None if math.isnan(chosen.before) else chosen.before,
        after=None if math.isnan(chosen.after) else chosen.after,
        n=chosen.n,
        reference=day.reference.id,
        detail=f"Features did not go together as in the reference {words.when(day.day_ms, end_ms)}: "
        f"{'; '.join(map(_sentence, drifted))}.",
        low=chosen.low,
        high=chosen.high,
    )


def _direction(result: Result) -> Literal["up", "down", "both"]:
    if result.method != "reconstruction":
        return "both"
    return "up" if result.effect > 0 else "down"


def _sentence(result: Result) -> str:
    effect, low, high, limit = (
        words.effect(result.method, value) for value in (result.effect, result.low, result.high, result.threshold)
    )
    against = f"{result.days} days" if result.days else f"{result.n_reference:,}"
    sizes = f"limit {limit}, {words.chance(result.p_value)}, {result.n:,} events against {against}"
    if result.method == "correlation":
        named = [
            f"that of {_name(pair.first)} and {_name(pair.second)} went from {pair.before:.2f} to {pair.after:.2f}"
            for pair in result.pairs[:MOST_PAIRS]
        ]
        more = len(result.pairs) - len(named)
        rest = f" and {more} more changed" if more else ""
        return f"of the correlations {', '.join(named)}{rest} ({sizes})"
    between = f"95 % interval {low} to {high}, {sizes}"
    if result.method == "reconstruction":
        return (
            f"their principal components left an error of {result.after:.3f} instead of {result.before:.3f}, a change "
            f"of {effect} ({between})"
        )
    farther = "farther from the reference than its own days" if result.days else "from those of the reference"
    return f"the events lay {effect} {farther} ({between})"


def _name(signal: str) -> str:
    return signal.removeprefix(FEATURE)
