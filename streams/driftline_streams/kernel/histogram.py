"""Histograms over reference quantiles, and the counting of pairs that every grouped sum of a batch is made of.

In the walk: the reference builder takes `edges` once, `ingest` puts each value of a batch into one of the 64 bins they
bound, and `detect` compares the counts with the reference's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 64  # KS from so many quantile bins loses 2 to 3 % of its power and never finds more than the exact test

# Up to so many table slots an entry, counting into a dense table beats sorting (bincount 2 ns, unique 60 ns an entry).
_DENSE = 16

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def edges(values: npt.ArrayLike) -> Floats:
    """The 63 interior quantiles of finite `values` (any shape, any unit), ascending, ties allowed.

    NaN and infinities are left out; without a finite value the result is empty. Every edge is one of the values:
    interpolation would put edges where a discrete feature has no values, and overflows between extremes.

    >>> edges([3.0, 1.0, 2.0, float("nan")])[[0, 31, 62]].tolist()
    [1.0, 2.0, 2.0]
    """
    given = np.asarray(values, np.float64).ravel()
    finite = given[np.isfinite(given)]
    if not len(finite):
        return np.empty(0)
    return np.asarray(np.quantile(finite, np.arange(1, BINS) / BINS, method="lower"), np.float64)


def bin_index(values: npt.ArrayLike, edges: npt.ArrayLike) -> Ints:
    """Which of the bins `(-inf, e0), [e0, e1), …, [e62, inf)` each value falls into: shape `(n,)`, 0 to `len(edges)`.

    Infinities have a place, NaN has none: leave it out before.

    >>> bin_index([0.5, 1.0, 9.0], [1.0, 2.0]).tolist()
    [0, 1, 2]
    """
    return np.searchsorted(np.asarray(edges, np.float64), np.asarray(values, np.float64), side="right").astype(np.int64)


def compact(ids: npt.NDArray[Any], size: int) -> tuple[Ints, Ints]:
    """The distinct values of `ids` (shape `(n,)`, 0 ≤ id < size), ascending, and the place of each id among them.

    >>> present, place = compact(np.array([7, 3, 7]), 10)
    >>> present.tolist(), place.tolist()
    ([3, 7], [1, 0, 1])
    """
    if size > _DENSE * len(ids):
        present, place = np.unique(ids, return_inverse=True)
        return present.astype(np.int64), place.astype(np.int64)
    seen = np.zeros(size, np.bool_)
    seen[ids] = True
    present = np.flatnonzero(seen)
    places = np.empty(size, np.int64)
    places[present] = np.arange(len(present))
    return present, places[ids]


def tally(ids: npt.NDArray[Any], size: int, times: Ints | None = None) -> tuple[Ints, Ints]:
    """The distinct values of `ids` (shape `(n,)`, 0 ≤ id < size), ascending, and how often each occurs.

    Id `j` counts `times[j]` ≥ 1 times, if given.

    >>> [part.tolist() for part in tally(np.array([7, 3, 7]), 10)]
    [[3, 7], [1, 2]]
    """
    if size > _DENSE * len(ids):
        present, place = np.unique(ids, return_inverse=True)
        return present.astype(np.int64), np.bincount(place, times, len(present)).astype(np.int64)
    table = np.bincount(ids, times, size)
    present = np.flatnonzero(table)
    return present, table[present].astype(np.int64)
