"""Scores counted by their logit: finely, as the cells of `performance` count them, and coarsely, on a fixed grid.

In the walk: outcomes and unlabelled predictions meet here. Fine bucket `i` holds the scores whose logit lies in
`[i/128, (i+1)/128)`, the outermost ones the rest. The grid has `CELLS` cells, a sixteenth of a logit wide, from -8 to
8: so every day is an array of one shape, and days add up.
"""

from __future__ import annotations

from sys import float_info

import numpy as np

from driftline_streams.kernel.histogram import Floats, Ints

PER_LOGIT = 128
OUTERMOST = 3840
_PER_CELL = 8  # fine buckets
REACH = 8.0  # logits: one in three thousand. Scores further out say no more
CELLS = int(2 * REACH * PER_LOGIT) // _PER_CELL
CENTRES: Floats = (np.arange(CELLS) + 0.5) * _PER_CELL / PER_LOGIT - REACH  # of the cells, in logits
_CERTAIN = float_info.epsilon  # what a score of 0 counts as in a logarithm, as in the cells


def scores(buckets: Ints) -> Floats:
    """The score in the middle of each fine bucket; of the outermost ones, 0 and 1 as far as a logarithm knows them."""
    logit = (buckets + 0.5) / PER_LOGIT
    out = 0.5 * (1 + np.tanh(logit / 2))
    return np.where(buckets >= OUTERMOST, 1 - _CERTAIN, np.where(buckets <= -OUTERMOST, _CERTAIN, out))


def cell(buckets: Ints) -> Ints:
    """The cell of the grid that a fine bucket lies in: 0 to `CELLS - 1`."""
    return np.asarray(np.clip(np.floor_divide(buckets, _PER_CELL) + CELLS // 2, 0, CELLS - 1), np.int64)


def on_grid(buckets: Ints, counts: Floats) -> Floats:
    """Counts of fine buckets by cell of the grid, shape `(CELLS,)`."""
    return np.asarray(np.bincount(cell(buckets), counts, CELLS), np.float64)
