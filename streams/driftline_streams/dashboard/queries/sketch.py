"""Percentiles from sketches, for stretches of any length: percentiles cannot be averaged, sketches add.

As the view `latency_by_window` has them.
"""

from __future__ import annotations

SKETCH = "1.01 / 0.99 AS g, sumMap(windows.latency) AS sketch"


def quantiles(levels: str) -> str:
    """The expression `q`, an array of the percentiles at `levels` ("0.5, 0.99"), after `SKETCH` in a WITH."""
    return (
        f"arrayReduce('quantilesExactWeighted({levels})', "
        "arrayMap(i -> if(i = -32768, 0., 2 * pow(g, i) / (g + 1)), mapKeys(sketch)), mapValues(sketch)) AS q"
    )
