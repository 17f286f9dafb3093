"""What the tests of one day gave, as a row of `drift` and, when something has drifted, a finding in words.

In the walk: the last step of `watch`. Three tests are one row and at most one finding, for they look at one thing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from driftline_schemas.records import Detection
from driftline_streams.kernel import drift, words
from driftline_streams.kernel.effects import Effects
from driftline_streams.kernel.findings import Window
from driftline_streams.kernel.joint import Result
from driftline_streams.kernel.signals import FEATURE

SIGNAL = "features"
MOST_PAIRS = 3  # that a sentence names


def effects(window: Window, results: Sequence[Result], prefix: str, now_ms: int) -> Effects:
    """The row of a day, and its finding when a test found drift; `results` are those of all tests, at least one."""
    found = _result(results)
    drifted = [result for result in results if result.state == "drift"]
    published = [_finding(window, found, drifted)] if drifted else []
    return drift.effects(window, found, published, prefix, now_ms)


def headline(results: Sequence[Result]) -> Result:
    """The result that speaks for the day: the first that drifted, else the most surprising one.

    Pairs that changed say most to a person, and they come first.
    """
    drifted = [result for result in results if result.state == "drift"]
    return drifted[0] if drifted else min(results, key=lambda each: (math.isnan(each.p_value), each.p_value))


def _result(results: Sequence[Result]) -> drift.Result:
    chosen, tested = headline(results), [each for each in results if not math.isnan(each.p_value)]
    return drift.Result(
        dim="",
        value="",
        signal=SIGNAL,
        state=chosen.state,
        method=chosen.method,
        statistic=0.0 if math.isnan(chosen.effect) else abs(chosen.effect),
        threshold=chosen.threshold,
        effect=chosen.effect,
        low=chosen.low,
        high=chosen.high,
        p_value=chosen.p_value,
        n=chosen.n,
        n_reference=chosen.n_reference,
        seasonal=False,
        before=None if math.isnan(chosen.before) else chosen.before,
        after=None if math.isnan(chosen.after) else chosen.after,
        measures={each.method: each.effect for each in tested},
        p_values={each.method: each.p_value for each in tested},
        observed={},
        expected={},
    )


def _finding(window: Window, found: drift.Result, drifted: Sequence[Result]) -> Detection:
    when, told = words.when(window.start_ms, window.end_ms), "; ".join(map(_sentence, drifted))
    detail = f"Features did not go together as in the reference {when}: {told}."
    return drift.finding(window, found, _direction(drifted[0]), detail)


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
