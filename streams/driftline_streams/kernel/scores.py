"""Normal scores: values as the quantiles of a normal distribution that stand where they stand in theirs.

In the walk: the reference builder and `joint` compare whole vectors by them, so that neither a heavy tail nor the unit
of a feature decides what is found.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.histogram import Floats


def by_rank(values: Floats) -> Floats:
    """The scores of each column of `values` (shape `(n, k)`) by the ranks in it, standardised; NaN for no number.

    Ties share their mean score. A column with fewer than two different values is all NaN. No increasing function of a
    column changes its scores (van der Waerden, 1952).

    >>> by_rank(np.array([[1.0], [100.0], [np.nan], [2.0]])).round(2).ravel().tolist()
    [-1.22, 1.22, nan, 0.0]
    """
    scores = np.full(values.shape, np.nan)
    for column, out in zip(values.T, scores.T, strict=True):
        present = np.flatnonzero(np.isfinite(column))
        if not len(present):
            continue
        order = np.argsort(column[present])
        ranked = column[present][order]
        tie = np.concatenate([[0], np.cumsum(ranked[1:] != ranked[:-1])])
        if not tie[-1]:
            continue
        score = (np.bincount(tie, weights=_quantiles(len(tie))) / np.bincount(tie))[tie]
        out[present[order]] = score / np.sqrt(np.mean(np.square(score)))
    return scores


def by_edges(values: Floats, edges: npt.ArrayLike) -> Floats:
    """The scores of `values` (shape `(n,)`) by the quantiles `edges` of a reference; what is not finite is NaN.

    Linear between the edges and constant outside of them, so that no score is far out: at most 2.2. `edges` ascend and
    there is at least one; where they are tied they stand for the middle of their quantiles.

    >>> by_edges(np.array([-9.0, 2.0, 9.0, np.nan]), [1.0, 2.0, 3.0]).round(2).tolist()
    [-0.67, 0.0, 0.67, nan]
    """
    nodes, tie = np.unique(np.asarray(edges, np.float64), return_inverse=True)
    # Evenly spaced quantiles without the two ends, which the edges of bins do not have.
    score = np.array([NormalDist().inv_cdf(i / (len(tie) + 1)) for i in range(1, len(tie) + 1)])
    score = np.bincount(tie, weights=score) / np.bincount(tie)
    return np.where(np.isfinite(values), np.interp(values, nodes, score), np.nan)


@lru_cache(maxsize=64)
def _quantiles(n: int) -> Floats:
    """The `n` quantiles in the middle of as many equal parts of a normal distribution."""
    inverse = NormalDist().inv_cdf
    found = np.fromiter((inverse((i + 0.5) / n) for i in range(n)), np.float64, n)
    found.setflags(write=False)
    return found
