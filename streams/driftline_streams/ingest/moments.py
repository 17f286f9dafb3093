"""Sums by group: what means and standard deviations are made of, for many groups at once.

In the walk: `windows` and `features` sum every signal of every cell of a batch with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftline_schemas.records import Moments
from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.kernel.limits import MAX_MAGNITUDE


@dataclass(frozen=True, slots=True)
class Sums:
    """Count, sums and extremes of the numbers of each group, shape `(groups,)`; all are 0 for a group without any."""

    n: Ints
    sum: Floats
    sum_squares: Floats
    min: Floats
    max: Floats

    @classmethod
    def of(cls, groups: Ints, numbers: Floats, size: int) -> Sums:
        """Sum `numbers` by `groups` (both of shape `(n,)`, 0 ≤ group < size); NaN is no number and is left out."""
        present = ~np.isnan(numbers)
        if not present.all():
            groups, numbers = groups[present], numbers[present]
        numbers = numbers.clip(-MAX_MAGNITUDE, MAX_MAGNITUDE)
        n = np.bincount(groups, minlength=size)
        least, most = np.full(size, np.inf), np.full(size, -np.inf)
        np.minimum.at(least, groups, numbers)
        np.maximum.at(most, groups, numbers)
        empty = n == 0
        least[empty] = most[empty] = 0.0
        return cls(
            n=n,
            sum=np.bincount(groups, numbers, size).astype(np.float64),
            sum_squares=np.bincount(groups, numbers * numbers, size).astype(np.float64),
            min=least,
            max=most,
        )

    def merged(self, parts: Ints, groups: Ints, size: int) -> Sums:
        """Sums over groups of what was summed in groups before: that of `parts[j]` is added to that of `groups[j]`."""
        there = self.n[parts] > 0
        if not there.all():
            parts, groups = parts[there], groups[there]
        n = np.bincount(groups, self.n[parts], size).astype(np.int64)
        least, most = np.full(size, np.inf), np.full(size, -np.inf)
        np.minimum.at(least, groups, self.min[parts])
        np.maximum.at(most, groups, self.max[parts])
        empty = n == 0
        least[empty] = most[empty] = 0.0
        return Sums(
            n=n,
            sum=np.bincount(groups, self.sum[parts], size).astype(np.float64),
            sum_squares=np.bincount(groups, self.sum_squares[parts], size).astype(np.float64),
            min=least,
            max=most,
        )

    def records(self, groups: Ints, nulls: Ints, n: Ints | None = None) -> list[Moments]:
        """`Moments` of some groups; `n` replaces the count of numbers where texts count as well, shape as `nulls`."""
        columns = (self.n if n is None else n, nulls, self.sum, self.sum_squares, self.min, self.max)
        return list(map(Moments, *(column[groups].tolist() for column in columns)))
