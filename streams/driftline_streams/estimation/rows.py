"""Estimates as rows of the table `estimates`.

In the walk: the last step of `watch` for a day without labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from driftline_streams.estimation.expected import Estimate
from driftline_streams.kernel.effects import Rows

Basis = Literal["scores", "features"]


class About(NamedTuple):
    """What the numbers of one day are of, and where they come from."""

    model: str
    version: str
    start_s: int
    basis: Basis
    method: str


class Estimated(NamedTuple):
    """All numbers of one day, version and role."""

    about: About
    role: str
    n: int  # predictions
    labelled: int  # labels that had come
    estimates: Mapping[str, Estimate]  # by metric


def rows(days: Sequence[Estimated], now_ms: int) -> Rows:
    """A row for each metric of each."""
    flat = [(day, metric, estimate) for day in days for metric, estimate in day.estimates.items()]
    n = len(flat)
    return Rows(
        "estimates",
        n,
        {
            **{
                name: [getattr(day.about, name) for day, _, _ in flat]
                for name in ("model", "version", "basis", "method")
            },
            "role": [day.role for day, _, _ in flat],
            "day": np.array([day.about.start_s // 86_400 for day, _, _ in flat], np.uint16),
            "metric": [metric for _, metric, _ in flat],
            "estimate": np.array([estimate.value for _, _, estimate in flat], np.float64),
            "low": np.array([estimate.low for _, _, estimate in flat], np.float64),
            "high": np.array([estimate.high for _, _, estimate in flat], np.float64),
            "n": np.array([day.n for day, _, _ in flat], np.uint64),
            "labelled": np.array([day.labelled for day, _, _ in flat], np.uint64),
            "coverage": np.full(n, np.nan),
            "reason": [estimate.reason for _, _, estimate in flat],
            "computed_at": np.full(n, now_ms, np.int64),
        },
    )
