"""What a change of level turned out to be, told some time after it was found.

In the walk: `watch` asks when `LATER` more values have come. In this order:

- temporary: the level has returned to what it was before;
- recurring: the new level is one that held earlier, before the last one;
- gradual: the way from the old level to the new one is a slope over at least eight values, clearly rather than a step;
- abrupt: the rest.

Values are in standard errors from the level before the change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from driftline_streams.kernel.histogram import Floats

Shape = Literal["", "abrupt", "gradual", "temporary", "recurring"]

LATER = 48  # values
_LAST = 12  # of them tell where the level is now
_SLOPES = (8, 12, 16, 24, 32, 48, 64, 96)  # values
_CLEARLY = 9.0  # less squared error: three standard errors
_NOISE = 3.0  # standard errors within which two levels are the same
_SAME = 0.1  # of the change, where that is more


def tell(history: Sequence[float], later: Sequence[float], size: float, earlier: Sequence[float]) -> Shape:
    """The shape of a change of `size` with the values until it was found, those after, and the earlier levels.

    >>> tell([0.0] * 40 + [5.0] * 8, [5.0] * 48, 5.0, [])
    'abrupt'
    >>> tell([0.0] * 40 + [5.0] * 8, [5.0] * 20 + [0.0] * 28, 5.0, [])
    'temporary'
    """
    same = max(_NOISE / math.sqrt(_LAST), _SAME * abs(size))
    now = sum(later[-_LAST:]) / _LAST
    if abs(now) <= min(same, abs(size) / 2):
        return "temporary"
    same = max(_NOISE / math.sqrt(len(later)), _SAME * abs(size))
    level = sum(later) / len(later)
    if any(abs(level - each) <= min(same, abs(size) / 2) for each in earlier):
        return "recurring"
    values = np.array([*history, *later])
    return "gradual" if _step_error(values) - _slope_error(values) > _CLEARLY else "abrupt"


def _step_error(values: Floats) -> float:
    """Squared error of the best step between two levels."""
    left = np.cumsum(values)[:-1]
    k = np.arange(1, len(values))
    explained = left**2 / k + (values.sum() - left) ** 2 / (len(values) - k)
    return float((values**2).sum() - explained.max())


def _slope_error(values: Floats) -> float:
    """Squared error of the best slope between two levels, of any of the lengths and anywhere."""
    place = np.arange(len(values))
    best = math.inf
    for length in _SLOPES:
        starts = np.arange(-length // 2, len(values) - length // 2)[:, None]
        risen = np.clip((place - starts) / length, 0.0, 1.0)
        risen -= risen.mean(axis=1, keepdims=True)
        spread = (risen**2).sum(axis=1)
        explained = np.divide((risen @ values) ** 2, spread, out=np.zeros(len(starts)), where=spread > 1e-9)
        best = min(best, float(((values - values.mean()) ** 2).sum() - explained.max()))
    return best
