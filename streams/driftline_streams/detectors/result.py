"""What became of one signal in one test window.

In the walk: `drift.compare` makes one for every signal; from it come a row of the table `drift` and, if it drifted, a
finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from driftline_streams.detectors.measures import Method

State = Literal["ok", "drift", "insufficient data"]


class Result(NamedTuple):
    """The strongest test of a signal in a window, and all that was measured."""

    dim: str  # segment key; empty for all events
    value: str
    signal: str
    state: State
    method: Method
    statistic: float  # the size of the effect, which `threshold` limits; 0 when there was nothing to compare
    threshold: float
    effect: float  # signed, of means in standard deviations; NaN, as the next three, when there was nothing to compare
    low: float  # 95 % interval of the effect
    high: float
    p_value: float  # NaN as well where nothing varies
    n: int
    n_reference: int
    seasonal: bool
    before: (
        float | None
    )  # the level or share that the method is about, in its own unit; `None` when it is about neither
    after: float | None
    measures: Mapping[str, float]  # those that are finite
    p_values: Mapping[str, float]
    observed: Mapping[str, int]
    expected: Mapping[str, float]
