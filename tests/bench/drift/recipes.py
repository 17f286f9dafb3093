"""What people do without Driftline: river's detectors on every value, and a test of each feature in each window."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

import numpy as np
from river import drift
from scipy import stats

from .streams import Alarm, Column, Stream, numeric

P_VALUE = 0.05


class _Detector(Protocol):
    drift_detected: bool

    def update(self, x: float) -> Any: ...


def every_value(stream: Stream, detector: str, *, standardised: bool) -> list[Alarm]:
    """River's `ADWIN` or `PageHinkley` as it comes, on each number that is there.

    Standardised is by mean and deviation of the reference. Categories are beyond it.
    """
    found: list[Alarm] = []
    for name in stream.judged:
        column = stream.columns[name]
        if not numeric(column):
            continue
        level, deviation = _scale(stream.reference[name]) if standardised else (0.0, 1.0)
        found += [Alarm(at, name, detector) for at in _watch(getattr(drift, detector)(), (column - level) / deviation)]
    return found


def _watch(detector: _Detector, values: Column) -> list[int]:
    found = []
    update = detector.update
    for place, x in enumerate(values.tolist()):
        if x == x:  # noqa: PLR0124 - not NaN
            update(x)
            if detector.drift_detected:
                found.append(place + 1)
    return found


def _scale(values: Column) -> tuple[float, float]:
    return float(np.nanmean(values)), float(np.nanstd(values)) or 1.0


def every_window(stream: Stream, width_ms: int) -> list[Alarm]:
    """The two-sample Kolmogorov-Smirnov test of each number, chi-square of categories, an alarm below 0.05."""
    sample = stream.sample()
    return [
        Alarm(end, name, "ks" if numeric(stream.columns[name]) else "chi2")
        for name in stream.judged
        for begin, end in stream.windows(width_ms)
        if _p_value(sample[name], stream.columns[name][begin:end]) < P_VALUE
    ]


def _p_value(reference: Column, window: Column) -> float:
    if numeric(reference):
        there = window[np.isfinite(window)]
        return (
            float(stats.ks_2samp(reference[np.isfinite(reference)], there, method="asymp").pvalue)
            if len(there)
            else 1.0
        )
    expected, observed = Counter(reference.tolist()), Counter(window.tolist())
    table = [[counts[name] for name in expected | observed] for counts in (expected, observed)]
    return float(stats.chi2_contingency(table).pvalue) if len(table[0]) > 1 else 1.0
