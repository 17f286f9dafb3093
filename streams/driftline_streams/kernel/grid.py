"""Finding the bin of many values of many signals at once, without a search for each.

In the walk: `ingest` counts every number of a batch into the bins of its reference with it. A value's cell in a grid of
equal steps says how many edges lie below the cell; those within the cell are compared one after the other. That is
exact, for a cell is a monotone function of the value, also in floating point. It costs 15 ns a value, a search 30.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.histogram import BINS, Floats, Ints, bin_index

_CELLS = 512
_STEPS = 4  # edges in one cell; a signal with more (heavy tails) is searched
_WIDTH = BINS + _STEPS  # of the table of edges, the last ones beyond every number


@dataclass(frozen=True, slots=True)
class Grid:
    """The bins between `edges` (ascending, ties allowed, shape `(e,)` with 1 ≤ e ≤ 63), prepared for `bins_of`."""

    edges: Floats
    least: float
    cells_a_unit: float
    below: npt.NDArray[np.uint8]  # by cell: the distinct edges in lower cells
    distinct: Floats  # edges, then infinities; shape (_WIDTH,)
    bin: npt.NDArray[np.uint8]  # by the number of distinct edges that a value has reached
    steps: int  # the most distinct edges in one cell

    @classmethod
    def of(cls, edges: npt.ArrayLike) -> Grid:
        """The grid of finite edges, at least one."""
        given = np.asarray(edges, np.float64)
        distinct, counts = np.unique(given, return_counts=True)
        with np.errstate(over="ignore"):
            span = float(distinct[-1] - distinct[0])
        # Neither 0 nor infinite, whatever the span: 0 times infinity is not in any cell.
        cells_a_unit = min(max((_CELLS - 2) / span, 1e-300), 1e300) if span > 0 else 1.0
        cell = _cell(distinct, float(distinct[0]), cells_a_unit)
        in_cell = np.bincount(cell, minlength=_CELLS)
        padded = np.full(_WIDTH, np.inf)
        padded[: len(distinct)] = distinct
        return cls(
            edges=given,
            least=float(distinct[0]),
            cells_a_unit=cells_a_unit,
            below=(np.cumsum(in_cell) - in_cell).astype(np.uint8),
            distinct=padded,
            bin=np.pad(np.cumsum([0, *counts]), (0, _WIDTH - len(counts) - 1), mode="edge").astype(np.uint8),
            steps=int(in_cell.max()),
        )


def bins_of(grids: Sequence[Grid], which: Ints, values: Floats) -> Ints:
    """`bin_index` of every value by the edges of its own grid, `grids[which[j]]`; shape `(n,)`, NaN has no place.

    >>> grids = [Grid.of([1.0, 2.0]), Grid.of([5.0, 5.0])]
    >>> bins_of(grids, np.array([0, 0, 1, 1]), np.array([1.5, 2.0, 1.0, 5.0])).tolist()
    [1, 2, 0, 2]
    """
    if not len(values):
        return np.empty(0, np.int64)
    steps = max((grid.steps for grid in grids), default=0)
    if steps > _STEPS:
        return _apart(grids, which, values)
    least = np.array([grid.least for grid in grids])
    cells_a_unit = np.array([grid.cells_a_unit for grid in grids])
    below = np.concatenate([grid.below for grid in grids])
    distinct = np.concatenate([grid.distinct for grid in grids])
    bins = np.concatenate([grid.bin for grid in grids])
    cell = _cell(values, least[which], cells_a_unit[which])
    reached: Ints = np.add(which * _WIDTH, below[cell + which * _CELLS], dtype=np.int64)
    for _ in range(steps):
        reached += values >= distinct[reached]
    return bins[reached].astype(np.int64)


def _apart(grids: Sequence[Grid], which: Ints, values: Floats) -> Ints:
    """Those that need too many steps are searched, each by itself."""
    out = np.empty(len(values), np.int64)
    searched = np.array([grid.steps > _STEPS for grid in grids], np.bool_)
    for place in np.flatnonzero(searched).tolist():
        mine = which == place
        out[mine] = bin_index(values[mine], grids[place].edges)
    rest = np.flatnonzero(~searched[which])
    kept = np.flatnonzero(~searched)
    if len(rest):
        among_rest = np.cumsum(~searched) - 1
        out[rest] = bins_of([grids[i] for i in kept.tolist()], among_rest[which[rest]], values[rest])
    return out


def _cell(values: Floats, least: Floats | float, cells_a_unit: Floats | float) -> Ints:
    with np.errstate(over="ignore"):  # infinities are in the outermost cells
        at: Floats = (values - least) * cells_a_unit
    at += 1.0
    return at.clip(0, _CELLS - 1, out=at).astype(np.int64)
