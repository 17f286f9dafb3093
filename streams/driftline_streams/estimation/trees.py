"""Boosted trees on binned features: a function of many features, learned by least squares, in plain numpy.

In the walk: `losses` learns from them how wrong a model of numbers is where. Gradient boosting with squared error
(Friedman, 2001, Annals of Statistics 29) of shallow trees; a split is looked for between bins only, so that a level of
a tree costs one count of pairs a feature.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.histogram import Floats, Ints

ROUNDS = 100
DEPTH = 5  # of a tree: interactions of so many features
RATE = 0.1
LEAST_LEAF = 20  # rows
SHRINK = 1.0  # rows with a gradient of 0 that each leaf holds beside its own

Bins = npt.NDArray[np.uint8]


class Trees(NamedTuple):
    """A sum of trees: splits by tree, level and node, shape `(rounds, 2**DEPTH - 1)`, and leaves by tree."""

    start: float
    feature: Ints
    threshold: Ints  # rows with a larger bin go right
    leaves: Floats  # shape `(rounds, 2**DEPTH)`

    def predict(self, bins: Bins) -> Floats:
        """The function at rows of binned features, shape `(n, features)`."""
        out = np.full(len(bins), self.start)
        rows = np.arange(len(bins))
        for feature, threshold, leaves in zip(self.feature, self.threshold, self.leaves, strict=True):
            node = np.zeros(len(bins), np.int64)
            for level in range(DEPTH):
                at = node + (1 << level) - 1
                node = 2 * node + (bins[rows, feature[at]] > threshold[at])
            out += leaves[node]
        return out


def fit(bins: Bins, targets: Floats) -> Trees:
    """Trees for `targets` (shape `(n,)`) of the rows of `bins` (shape `(n, features)`); at least one row."""
    n, features = bins.shape
    width = int(bins.max(initial=0)) + 1
    start = float(targets.mean())
    gradient = targets - start
    splits = (ROUNDS, (1 << DEPTH) - 1)
    feature, threshold, leaves = np.zeros(splits, np.int64), np.full(splits, width), np.zeros((ROUNDS, 1 << DEPTH))
    rows, columns = np.arange(n), [np.ascontiguousarray(bins[:, each]).astype(np.int64) for each in range(features)]
    for tree in range(ROUNDS):
        node = np.zeros(n, np.int64)
        for level in range(DEPTH):
            nodes = 1 << level
            gains = np.full((features, nodes, width), -np.inf)
            for each, column in enumerate(columns):
                at = node * width + column
                sums = np.bincount(at, gradient, nodes * width).reshape(nodes, width).cumsum(axis=1)
                counts = np.bincount(at, minlength=nodes * width).reshape(nodes, width).cumsum(axis=1)
                gains[each] = _gains(sums, counts)
            best = gains.transpose(1, 0, 2).reshape(nodes, -1)
            chosen = best.argmax(axis=1)
            found = np.isfinite(best[np.arange(nodes), chosen])
            place = slice(nodes - 1, 2 * nodes - 1)
            feature[tree, place] = np.where(found, chosen // width, 0)
            threshold[tree, place] = np.where(found, chosen % width, width)  # nothing lies beyond it
            at = node + nodes - 1
            node = 2 * node + (bins[rows, feature[tree, at]] > threshold[tree, at])
        sums, counts = np.bincount(node, gradient, 1 << DEPTH), np.bincount(node, minlength=1 << DEPTH)
        leaves[tree] = RATE * sums / (counts + SHRINK)
        gradient = gradient - leaves[tree][node]
    return Trees(start, feature, threshold, leaves)


def _gains(sums: Floats, counts: Ints) -> Floats:
    """How much each split between bins explains, shape as the running `sums`; minus infinity with too small a side."""
    all_sums, all_counts = sums[:, -1:], counts[:, -1:]
    right, right_counts = all_sums - sums, all_counts - counts
    gain = sums**2 / (counts + SHRINK) + right**2 / (right_counts + SHRINK) - all_sums**2 / (all_counts + SHRINK)
    return np.where((counts >= LEAST_LEAF) & (right_counts >= LEAST_LEAF) & (gain > 0), gain, -np.inf)
