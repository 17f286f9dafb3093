"""Did as many events come as usual: a test window against the rate that its reference was learned at.

In the walk: asked of every closed test window of all events that spans a time, not a number of events. Only a
reference that was taken from the served events of this version itself knows a rate: training data has none.

What is usual is known by the hour of the week where the reference has a rhythm of the week. Else days are compared with
the mean day, and since weekends may well be empty, a third as much as the limit allows is not enough either.

Counts vary by more than chance: they are read as Poisson with a rate that itself varies log-normally by 30 %. Their
variance m + (0.3 m)^2 is made even by the transformation of Anscombe (1948), The transformation of Poisson, binomial
and negative-binomial data, Biometrika 35.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.detectors.quality.silence import SIGNAL
from driftline_streams.kernel import findings, words
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.rhythm import WEEK, coverage
from driftline_streams.kernel.significance import Z_95
from driftline_streams.windows.cells import WideCell

SPREAD = 0.3  # of usual counts around what is expected, beyond chance
SURE = 3.29  # standard errors: p < 0.001
UNKNOWN_WEEKDAY = 3.0  # times as much as the limit, where a weekend may look like that


class Usual(NamedTuple):
    """What a window should bring: so many events, and whether that knows the hour of the week."""

    n: float
    seasonal: bool


def check(spec: ModelSpec, version: str, reference: Reference | None, window: WideCell) -> list[Detection]:
    """The finding that far fewer or far more events came than usual, or nothing."""
    usual = None if reference is None else expected(reference, version, window.start_ms, window.width_ms)
    if reference is None or usual is None or not usual.n > 0 or window.dim:
        return []
    factor = spec.quality.volume * (1.0 if usual.seasonal else UNKNOWN_WEEKDAY)
    ratio = window.n / usual.n
    if 1 / factor < ratio < factor:
        return []
    errors = (_even(window.n) - _even(usual.n)) * 2 / SPREAD
    if abs(errors) < SURE:
        return []
    end_ms = window.start_ms + window.width_ms
    half = Z_95 * SPREAD / 2
    low, high = (max(0.0, _count(max(0.0, _even(window.n) + side * half)) / usual.n) for side in (-1, 1))
    hours = "those hours of the week" if usual.seasonal else "a time as long"
    detail = (
        f"{window.n:,} events came {words.when(window.start_ms, end_ms)}, where {hours} should bring about "
        f"{usual.n:,.0f}: {ratio:.2g} times as many; {factor:g} times more or fewer is the limit."
    )
    return [
        findings.quality(
            findings.Window(spec.model, version, reference.id, window.start_ms, end_ms),
            SIGNAL,
            "volume",
            detail,
            direction="up" if ratio > 1 else "down",
            statistic=errors,
            threshold=factor,
            n=window.n,
            effect=ratio,
            p_value=math.erfc(abs(errors) / math.sqrt(2)),
            before=usual.n,
            after=float(window.n),
            interval=(low, high),
            seasonal=usual.seasonal,
        )
    ]


def expected(reference: Reference, version: str, start_ms: int, width_ms: int) -> Usual | None:
    """How many events a window should bring; `None` where nobody can say.

    That is: by a reference of other events, in the time that it was learned from, and for parts of a day without a
    rhythm.
    """
    lived_ms = reference.end_ms - reference.start_ms
    if reference.source == "given" or reference.version != version or start_ms < reference.end_ms or lived_ms <= 0:
        return None
    rhythm, drawn = reference.rhythm, max(1.0, reference.drawn_from / max(1, reference.n))
    if rhythm is None:
        whole_days = width_ms % DAY_MS == 0 and lived_ms >= DAY_MS
        return Usual(drawn * reference.n * width_ms / lived_ms, False) if whole_days else None
    span = coverage(reference.start_ms, lived_ms + 1, rhythm.slots)
    window = coverage(start_ms, width_ms, rhythm.slots)
    if (span[window > 0] < 1).any():  # hours of which the reference has seen a part at most
        return None
    rates = drawn * np.array(rhythm.n, np.float64) / np.maximum(span, 1.0)
    return Usual(float(window @ rates), rhythm.slots == WEEK)


def _even(count: float) -> float:
    """A count on a scale on which all of them vary by `SPREAD` / 2."""
    return math.asinh(SPREAD * math.sqrt(count))


def _count(even: float) -> float:
    return (math.sinh(even) / SPREAD) ** 2
