"""What was known when: which matured days a calibration may learn from, and which of them contradicted it.

In the walk: `watch` goes through the days of a version in order. A year that is read from history is estimated as it
would have been day by day: from the days that had matured by then.

A day that contradicts the days before it makes estimates abstain until a day agrees again. Two in a row are no
accident: then the relation has changed, and what is learned begins with the first of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from driftline_streams.estimation.matured import Matured

WINDOW = 56  # days that are learned from: eight weeks, with each weekday as often


class Verdict(NamedTuple):
    """Matured days beside those before them."""

    start_s: int
    end_s: int
    ready_s: int  # when the last of them had matured
    state: Literal["ok", "drift", "insufficient data"]


class Belief(NamedTuple):
    """What the verdicts so far leave to believe."""

    since_s: int  # no day before it speaks of the relation that holds now
    doubted_s: int | None  # start of a day that contradicts what was learned


def believe(verdicts: Sequence[Verdict]) -> Belief:
    """From the verdicts so far, in order."""
    since_s, doubted_s = 0, None
    for verdict in verdicts:
        if verdict.state == "ok":
            doubted_s = None
        elif verdict.state == "drift":
            if doubted_s is not None:
                since_s = doubted_s
            doubted_s = verdict.start_s if doubted_s is None else None
    return Belief(since_s, doubted_s)


def known_by(verdicts: Sequence[Verdict], known_s: int) -> list[Verdict]:
    """The verdicts that were known at that time."""
    return [verdict for verdict in verdicts if verdict.ready_s <= known_s]


def lessons(days: Sequence[Matured], known_s: int, belief: Belief, own_s: int) -> list[Matured]:
    """The days, in order, that were known at `known_s` and may teach about the day that starts at `own_s`.

    A day that is doubted teaches nothing before the next one has agreed with it or not: it would hide in the spread
    that it adds.
    """
    until_s = math.inf if belief.doubted_s is None else belief.doubted_s
    fit = (day for day in days if day.covered and belief.since_s <= day.start_s < until_s)
    return [day for day in fit if day.ready_s <= known_s and day.start_s != own_s][-WINDOW:]


def to_judge(
    days: Sequence[Matured], judged_s: int, least: int, size: Callable[[Matured], float]
) -> list[list[Matured]]:
    """The days from `judged_s` on in groups of at least `least` outcomes by `size`; the last may wait for more."""
    groups: list[list[Matured]] = []
    group: list[Matured] = []
    for day in days:
        if day.start_s < judged_s or not day.covered:
            continue
        group.append(day)
        if sum(size(each) for each in group) >= least:
            groups.append(group)
            group = []
    return groups
