"""What the pairs so far say of a challenger: better, worse or not yet, by a sequence that bears looking every day.

In the walk: the watch over challengers asks it for each settled day, with the sums of all days up to then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from driftline_schemas.spec import ComparisonRules
from driftline_streams.comparison import sequence
from driftline_streams.kernel.histogram import Floats

Word = Literal["better", "worse", "not yet"]
NOT_YET: Word = "not yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The sums of one day of pairs, as `comparisons` holds them."""

    compared: int
    both_right: int
    only_champion: int
    only_challenger: int
    measured: int
    champion_errors: float
    challenger_errors: float
    differences: float
    difference_squares: float
    difference_cubes: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the pairs of all days up to one say together."""

    metric: Literal["accuracy", "mae"]
    n: int
    champion: float  # its accuracy or mean absolute error on these pairs
    challenger: float
    difference: float  # challenger minus champion
    low: float  # of the sequence; infinite where it has no end
    high: float
    verdict: Word  # on the challenger


def judge(days: Sequence[Pairs], rules: ComparisonRules) -> list[Verdict | None]:
    """The verdict after each day; `None` while there is nothing to compare. Errors decide where answers are numbers.

    A challenger is better or worse when at least `min_n` pairs put the whole interval beyond the margin; of numbers, as
    many as the skewness of their differences asks for (`sequence.pairs_needed`). It misses the
    difference at any time with a chance of at most `alpha`: that bounds all false verdicts on a pair of versions, on
    however many days one looks.
    """
    sums = {name: _running([getattr(day, name) for day in days]) for name in Pairs.__slots__}
    if not days:
        return []
    numbers = sums["measured"][-1] > sums["compared"][-1]
    n = sums["measured" if numbers else "compared"]
    with np.errstate(divide="ignore", invalid="ignore"):
        if numbers:
            champion, challenger = sums["champion_errors"] / n, sums["challenger_errors"] / n
            difference = sums["differences"] / n
            low, high = sequence.means(n, sums["differences"], sums["difference_squares"], rules.alpha)
            better, worse = high < -rules.margin, low > rules.margin
            needed = sequence.pairs_needed(n, *(sums[f"difference{each}"] for each in ("s", "_squares", "_cubes")))
            decided = n >= np.maximum(needed, rules.min_n)
        else:
            first, second, both = sums["only_champion"], sums["only_challenger"], sums["both_right"]
            champion, challenger = (both + first) / n, (both + second) / n
            difference = (second - first) / n
            low, high = sequence.rates(first, second, n - first - second, rules.alpha)
            better, worse = low > rules.margin, high < -rules.margin
            decided = n >= rules.min_n
    return [
        Verdict(
            metric="mae" if numbers else "accuracy",
            n=int(n[i]),
            champion=float(champion[i]),
            challenger=float(challenger[i]),
            difference=float(difference[i]),
            low=float(low[i]),
            high=float(high[i]),
            verdict=NOT_YET if not decided[i] else "better" if better[i] else "worse" if worse[i] else NOT_YET,
        )
        if n[i]
        else None
        for i in range(len(days))
    ]


def _running(values: Sequence[float]) -> Floats:
    return np.cumsum(np.array(values, np.float64))
