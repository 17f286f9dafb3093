"""What a test must show to count, so that false alarms stay within what the spec allows.

In the walk: `watch` and `drift` ask once for each model.
"""

from __future__ import annotations

from typing import NamedTuple

from driftline_schemas.spec import DriftRules


class Thresholds(NamedTuple):
    """Those of the tests of one model."""

    alpha: float  # false-discovery rate over the tests of one test window
    adwin_delta: float
    page_hinkley: float  # in standard errors of a window's mean


def thresholds(rules: DriftRules) -> Thresholds:
    """Those that the spec gives, else what follows from its budget."""
    return Thresholds(
        alpha=0.01 if rules.alpha is None else rules.alpha,
        adwin_delta=0.002 if rules.adwin_delta is None else rules.adwin_delta,
        page_hinkley=50.0 if rules.page_hinkley_threshold is None else rules.page_hinkley_threshold,
    )
