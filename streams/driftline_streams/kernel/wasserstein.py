"""How far values have moved, in their own unit: the Wasserstein-1 distance from bins, means and extremes.

In the walk: `detect` adds it to the measures of every numeric signal. All signals at once; see `kernel.divergence` for
the bins.

The distance is the area between the two distribution functions. At the edges both are known, and between two edges they
are taken as straight. The first and the last bin have no outer edge; the area there is the difference of how much each
side reaches beyond the edge, and the mean reach is taken as that of exponential tails, the longest of whose m values is
H(m) (the harmonic number) times the mean in expectation. What is then known exactly is the *signed* area, the
difference of the means; it sets the tails right. So the distance is never below the difference of the means, and one
extreme value cannot blow it up.
"""

from __future__ import annotations

import numpy as np

from driftline_streams.kernel.divergence import Counts
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.shifts import Sample


def distance(observed: Counts, expected: Counts, edges: Floats, ours: Sample, theirs: Sample) -> Floats:
    """The distance of each signal, shape `(signals,)`, in its unit; NaN where a side is empty.

    `edges` has the shape `(signals, bins - 1)`, ascending; the samples hold the means and the extremes of the same
    values.
    """
    n, reference_n = np.asarray(observed, np.float64), np.asarray(expected, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        p, q = n / n.sum(axis=-1, keepdims=True), reference_n / reference_n.sum(axis=-1, keepdims=True)
        gap = np.cumsum(p - q, axis=-1)[:, :-1]  # of the distribution functions at the edges
        left, right, width = gap[:, :-1], gap[:, 1:], np.diff(edges, axis=-1)
        size = np.abs(left) + np.abs(right)
        crossed = np.divide(left * left + right * right, size, out=np.zeros_like(size), where=size > 0)
        area = (np.where(left * right < 0, crossed, size) * width).sum(axis=-1) / 2
        signed = ((left + right) * width).sum(axis=-1) / 2
        first, last = edges[:, 0], edges[:, -1]
        low = _reach(p[:, 0], n[:, 0], first - ours.min) - _reach(q[:, 0], reference_n[:, 0], first - theirs.min)
        high = _reach(q[:, -1], reference_n[:, -1], theirs.max - last) - _reach(p[:, -1], n[:, -1], ours.max - last)
        rest = theirs.mean - ours.mean - signed - low - high
        both = np.abs(low) + np.abs(high)
        part = np.divide(np.abs(low), both, out=np.full_like(both, 0.5), where=both > 0)
        return np.asarray(area + np.abs(low + part * rest) + np.abs(high + (1 - part) * rest), np.float64)


def _reach(share: Floats, count: Floats, longest: Floats) -> Floats:
    """The mean reach beyond an edge of all values, a `share` of which lies there, the farthest `longest` away."""
    some = np.maximum(count, 1)
    harmonic = np.log(some) + np.euler_gamma + 1 / (2 * some)
    return np.where(count > 0, share * np.maximum(longest, 0) / harmonic, 0.0)
