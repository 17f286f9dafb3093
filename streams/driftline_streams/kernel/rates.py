"""How sure a rate is: the 95 % interval of so many in so many.

In the walk: whoever reports a share of events: the checks of data quality in `detect`, the watch over performance.
"""

from __future__ import annotations

from typing import TypeVar

from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.significance import Z_95

_Rates = TypeVar("_Rates", float, Floats)


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
    low, high = wilson_of(k / n, n)
    return max(0.0, low), min(1.0, high)


def wilson_of(rate: _Rates, n: _Rates) -> tuple[_Rates, _Rates]:
    """The same of rates of `n` events each, of any shape; rounding may put an end beyond 0 or 1, `n` may not be 0."""
    square = Z_95 * Z_95 / n
    middle = (rate + square / 2) / (1 + square)
    half = Z_95 * (rate * (1 - rate) / n + square / (4 * n)) ** 0.5 / (1 + square)
    return middle - half, middle + half
