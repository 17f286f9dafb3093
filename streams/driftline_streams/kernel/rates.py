"""How sure a rate is: the 95 % interval of so many in so many.

In the walk: whoever reports a share of events: the checks of data quality in `detect`, the watch over performance.
"""

from __future__ import annotations

import math

Z = 1.959963984540054  # 95 %, two-sided


def wilson(k: float, n: float) -> tuple[float, float]:
    """The interval of a rate of `k` in `n`; (0, 1) when `n` is 0.

    >>> [round(end, 3) for end in wilson(8, 10)]
    [0.49, 0.943]

    References
    ----------
    Wilson (1927), JASA 22, 209-212.
    """
    if n == 0:
        return 0.0, 1.0
    rate, square = k / n, Z * Z
    middle = (rate + square / (2 * n)) / (1 + square / n)
    half = Z * math.sqrt(rate * (1 - rate) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, middle - half), min(1.0, middle + half)
