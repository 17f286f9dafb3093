"""A drift finding as a sentence for a person: what, when, against what, how much, how sure.

In the walk: `drift.finding` asks for every finding.
"""

from __future__ import annotations

from driftline_streams.kernel import words
from driftline_streams.kernel.drift import Result


def detail(result: Result, start_ms: int, end_ms: int) -> str:
    """The sentence about a signal that drifted in the window."""
    of = f" where {result.dim} is {result.value}" if result.dim else ""
    subject, when = words.subject(result.signal) + of, words.when(start_ms, end_ms)
    usual = "what the reference has for these hours" if result.seasonal else "the reference"
    before, after = result.before, result.after
    levels = ""
    if before is not None and after is not None and result.method == "nulls":
        what = f"{subject} was missing in {words.share(after)} of the events {when}, {words.share(before)} in {usual}"
    elif after is not None and result.method == "unseen":
        what = f"{subject} had values that {usual} does not have in {words.share(after)} of the events {when}"
    elif before is not None and after is not None and result.method == "mean":
        one, other = words.amount(result.signal, after), words.amount(result.signal, before)
        what = f"{subject} was {one} in the mean {when}, {other} in {usual}"
    else:
        what = f"{subject} was distributed differently from {usual} {when}"
        if before is not None and after is not None:
            one, other = words.amount(result.signal, before), words.amount(result.signal, after)
            levels = f"; its mean went from {one} to {other}"
    name = {"ks": "KS ", "psi": "PSI "}.get(result.method, "a difference of ")
    size, low, high, limit = (
        words.effect(result.method, value) for value in (result.effect, result.low, result.high, result.threshold)
    )
    return (
        f"{what}: {name}{size} (95 % interval {low} to {high}), limit {limit}, {words.chance(result.p_value)}, "
        f"{result.n:,} events against {result.n_reference:,}{levels}."
    )
