"""The two histograms of a finding as people read them: at most ten bars with names, and one for what is missing.

In the walk: `drift.compare` adds them to every row of the table `drift`, so that a finding shows what was found without
its reference. Of numbers they are the bins of PSI. Of categories, `unseen` are those that the reference does not have
although it has all; where it counted rare ones together, nobody can tell these from new ones, and both are `other`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from driftline_streams.detectors.window_tests.pairs import Pairs
from driftline_streams.kernel import divergence, words
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.limits import OTHER_CATEGORY

CATEGORIES = 8  # those that stand alone
MISSING, OTHER, UNSEEN = "missing", "other", "unseen"


class Bars(NamedTuple):
    """How many events of the window are in each bar, and how many of as many the reference led to expect."""

    observed: Mapping[str, int]
    expected: Mapping[str, float]


def numeric(pairs: Pairs) -> list[Bars]:
    """Those of each signal, in the order of the values."""
    group = divergence.coarse_bins(pairs.profile)
    sides = [divergence.sum_by(group, side) for side in (pairs.observed, pairs.expected)]
    expected, missing = _scaled(pairs, sides[1])
    # A bar ends at the edge after its last bin.
    rows, bins = np.nonzero(np.diff(group, axis=1)) if len(group) else (np.empty(0, np.int64),) * 2
    ends = np.searchsorted(rows, np.arange(len(group) + 1)).tolist()
    cuts, places = pairs.edges[rows, bins].tolist(), group[rows, bins].tolist()
    last = group[:, -1].tolist()
    made = []
    for row, both in enumerate(zip(sides[0].round().astype(np.int64).tolist(), expected, strict=True)):
        first, end = ends[row], ends[row + 1]
        names = _ranges(tuple(cuts[first:end]))
        ours, theirs = both
        if len(names) < divergence.PSI_BINS:  # ties: some bars hold nothing
            kept = [*places[first:end], last[row]]
            ours, theirs = [ours[place] for place in kept], [theirs[place] for place in kept]
        made.append(_bars(names, ours, theirs, missing[row]))
    return made


def categorical(pairs: Pairs) -> list[Bars]:
    """Those of each signal, the most frequent first, then the others, the unseen and the missing."""
    expected, missing = _scaled(pairs, pairs.expected)
    made = []
    for row, signal in enumerate(pairs.signals):
        names = list(signal.profile.categories)
        listed = [place for place, name in enumerate(names) if name != OTHER_CATEGORY]
        ours, theirs = pairs.observed[row].astype(np.int64).tolist(), expected[row]
        shown = sorted(listed, key=lambda place: (-ours[place] - theirs[place], names[place]))[:CATEGORIES]
        rest = set(range(len(names))).difference(shown)
        labels = [_quoted(names[place]) for place in shown]
        ours_shown, theirs_shown = [ours[place] for place in shown], [theirs[place] for place in shown]
        ours_shown += [sum(ours[place] for place in rest), ours[len(names)]]
        theirs_shown += [round(sum(theirs[place] for place in rest), 2), 0.0]
        made.append(_bars([*labels, OTHER, UNSEEN], ours_shown, theirs_shown, missing[row]))
    return made


def _scaled(pairs: Pairs, expected: Floats) -> tuple[list[list[float]], list[tuple[int, float]]]:
    """What to expect of as many events as the window has, in its bars, and of missing ones beside the observed."""
    with np.errstate(invalid="ignore", divide="ignore"):
        events = pairs.ours.n + pairs.ours.nulls
        rate = np.nan_to_num(pairs.theirs.nulls / (pairs.theirs.nulls + pairs.theirs.n))
        shares = np.nan_to_num(expected / expected.sum(axis=1, keepdims=True))
    missing = zip(pairs.ours.nulls.astype(np.int64).tolist(), (events * rate).round(2).tolist(), strict=True)
    return (shares * (events * (1 - rate))[:, None]).round(2).tolist(), list(missing)


def _bars(names: Sequence[str], ours: Sequence[int], theirs: Sequence[float], missing: tuple[int, float]) -> Bars:
    observed, expected = dict(zip(names, ours, strict=True)), dict(zip(names, theirs, strict=True))
    observed[MISSING], expected[MISSING] = missing
    for name in [name for name, count in observed.items() if not count and not expected[name]]:
        del observed[name], expected[name]
    return Bars(observed, expected)


def _quoted(name: str) -> str:
    """A category, told apart from our own bars."""
    return f'"{name}"' if name in {MISSING, OTHER, UNSEEN} else name


@lru_cache(maxsize=4_096)  # the bars of a signal are the same in every window
def _ranges(cuts: tuple[float, ...]) -> list[str]:
    """What bars between `cuts` hold, each from its lower end up to but without its upper end.

    >>> _ranges((3.0, 7.5)), _ranges(())
    (['< 3.00', '3.00 to 7.50', '≥ 7.50'], ['all'])
    """
    if not cuts:
        return ["all"]
    for write in (words.number, "{:.9g}".format, repr):
        texts = [write(cut) for cut in cuts]
        if len(set(texts)) == len(set(cuts)):
            break
    inner = [f"{low} to {high}" for low, high in pairwise(texts)]
    return [f"< {texts[0]}", *inner, f"≥ {texts[-1]}"]
