"""How surprising a difference is beside those that windows of the reference have from each other.

In the walk: the reference builder measures the differences, `detect` holds those of a test window against them. Events
of one hour or day share their weather, campaigns and outages: they are not independent, and a test that takes them for
it finds something on nearly every real day. So a window is compared as one more of the same kind: a t-test with the
deviation of the windows, beside the one with that of the events, and the larger p-value counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from driftline_schemas.spec import Level, Profile, Usual
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.significance import Z_95, student

NEAR = 0.01  # a KS or PSI that is little; how it differs from window to window is looked at from here on
LEAST = 6  # windows: with fewer, how they differ cannot be known
Method = Literal["ks", "psi", "mean", "nulls"]
_DISTANCES = frozenset({"ks", "psi"})


def of_width(profile: Profile, width_ms: int) -> Usual | None:
    """What is usual of windows of this width, of the next shorter ones, else of the shortest; `None` when unknown."""
    fitting = [each for each in profile.usual if each.width_s * 1000 <= width_ms]
    return fitting[-1] if fitting else next(iter(profile.usual), None)


def level(values: Floats, method: Method) -> Level:
    """The level of what windows (at least two, finite) have by one method.

    >>> level(np.array([0.1, 0.3]), "mean")
    Level(mean=0.2, deviation=0.1414213562373095)
    """
    taken = np.log(values + NEAR) if method in _DISTANCES else values
    return Level(float(taken.mean()), float(taken.std(ddof=1)))


def p_values(method: Method, usual: Sequence[Usual | None], effect: Floats, low: Floats, high: Floats) -> Floats:
    """The chance that one more window of the reference has an effect like this; all shapes `(signals,)`.

    `low` and `high` are its 95 % interval when events are independent. Distances surprise by being large only. NaN
    where nothing is known of the windows.
    """
    levels = [None if each is None else getattr(each, method) for each in usual]
    mean, deviation, n = (
        np.array(
            [
                (np.nan,) * 3 if each is None or known is None else (known.mean, known.deviation, each.n)
                for each, known in zip(usual, levels, strict=True)
            ],
            np.float64,
        )
        .reshape(-1, 3)
        .T
    )
    spread = deviation * np.sqrt(1 + 1 / n)
    with np.errstate(invalid="ignore", divide="ignore"):
        if method in _DISTANCES:
            t = (np.log(effect + NEAR) - mean) / np.maximum(spread, 1e-9)
            return np.where(t > 0, student(t, n - 1) / 2, np.where(np.isnan(t), np.nan, 1.0))
        error = (high - low) / (2 * Z_95)
        t = (effect - mean) / np.maximum(np.hypot(spread, error), 1e-300)
        return student(t, n - 1)
