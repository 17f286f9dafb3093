"""How sure a number about a model is: 95 % intervals of F1 and of the area under the ROC curve.

In the walk: `objectives.py` compares their upper ends with the limits of the spec.
"""

from __future__ import annotations

import math

from driftline_streams.kernel.rates import wilson
from driftline_streams.kernel.significance import Z_95


def f1_interval(tp: float, wrong: float) -> tuple[float, float]:
    """The interval of F1 = 2·tp / (2·tp + wrong), `wrong` counting false positives and false negatives.

    F1 is 2J/(1+J) with J = tp/(tp+wrong), a plain rate: its Wilson interval, carried over.

    >>> [round(end, 3) for end in f1_interval(8, 2)]
    [0.658, 0.971]
    """
    low, high = wilson(tp, tp + wrong)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def roc_auc_interval(auc: float, positives: float, negatives: float) -> tuple[float, float]:
    """The interval of an area under the ROC curve, from a normal approximation; both counts at least 1.

    >>> [round(end, 2) for end in roc_auc_interval(0.8, 50, 100)]
    [0.72, 0.88]

    References
    ----------
    Hanley and McNeil (1982), Radiology 143, 29-36.
    """
    first, second = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    square = auc * auc
    variance = auc * (1 - auc) + (positives - 1) * (first - square) + (negatives - 1) * (second - square)
    half = Z_95 * math.sqrt(max(0.0, variance) / (positives * negatives))
    return max(0.0, auc - half), min(1.0, auc + half)
