"""Findings as records, rows and sentences.

In the walk: the last step of `detect`. The id of a finding is derived from what was found and where, so that a batch
that is applied again after a crash finds the same.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections.abc import Iterable, Sequence

import numpy as np

from driftline_schemas.records import Detection
from driftline_streams.kernel.effects import Coded, Rows

_MINUTE_MS, _DAY_MS = 60_000, 86_400_000


def id_of(*parts: str, start_ms: int) -> str:
    """16 hexadecimal digits from model, version, signal, method and kind, and the start of the window.

    >>> id_of("m", "1", "score", "psi", "drift", start_ms=0)
    'X'
    """
    text = "\x1f".join((*parts, str(start_ms)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def rows(found: Sequence[Detection], now_ms: int) -> Rows:
    """Rows of the table `detections`."""

    def numbers(values: Iterable[float | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([math.nan if value is None else value for value in values], np.float64)

    def times(values: Iterable[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array(list(values), np.int64)

    return Rows(
        "detections",
        len(found),
        {
            "id": [d.id for d in found],
            "model": [d.model for d in found],
            "version": [d.version for d in found],
            "signal": [d.signal for d in found],
            "kind": [d.kind for d in found],
            "method": [d.method for d in found],
            "start": times(d.start_ms for d in found),
            "end": times(d.end_ms for d in found),
            "direction": [d.direction for d in found],
            "statistic": numbers(d.statistic for d in found),
            "threshold": numbers(d.threshold for d in found),
            "effect": numbers(d.effect for d in found),
            "p_value": numbers(d.p_value for d in found),
            "before": numbers(d.before for d in found),
            "after": numbers(d.after for d in found),
            "n": np.array([d.n for d in found], np.uint64),
            "reference": Coded.constant(found[0].reference, len(found))
            if len({d.reference for d in found}) == 1
            else [d.reference for d in found],
            "detail": [d.detail for d in found],
            "detected_at": np.full(len(found), now_ms, np.int64),
        },
    )


def subject(signal: str) -> str:
    """What a sentence calls a signal.

    >>> subject("feature:distance"), subject("latency_ms")
    ('Feature distance', 'Latency')
    """
    if signal.startswith("feature:"):
        return f"Feature {signal.removeprefix('feature:')}"
    return {"latency_ms": "Latency", "error_rate": "Error rate"}.get(signal, signal.capitalize())


def amount(signal: str, value: float) -> str:
    """A level with its unit.

    >>> amount("latency_ms", 12.345), amount("error_rate", 0.0123), amount("feature:distance", 1040.2)
    ('12.3 ms', '1.2 %', '1,040')
    """
    if signal == "error_rate":
        return f"{100 * value:.3g} %" if abs(value) < 0.1 else f"{100 * value:.0f} %"
    return f"{number(value)} ms" if signal == "latency_ms" else number(value)


def number(value: float) -> str:
    """Three digits that matter, thousands separated.

    >>> number(0.12345), number(12.345), number(1040.2), number(1e9)
    ('0.123', '12.3', '1,040', '1e+09')
    """
    if value and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.3g}"
    digits = 0 if not value else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def chance(p_value: float) -> str:
    """A p-value for a sentence.

    >>> chance(0.0123), chance(1e-20)
    ('p = 0.012', 'p < 0.0001')
    """
    return "p < 0.0001" if p_value < 1e-4 else f"p = {p_value:.2g}"


def when(start_ms: int, end_ms: int) -> str:
    """A window for a sentence, in UTC.

    >>> when(0, 86_400_000), when(3_600_000, 3_610_000)
    ('on 1970-01-01', 'in the 10 s from 1970-01-01 01:00:00 UTC')
    """
    width_ms = end_ms - start_ms
    start = dt.datetime.fromtimestamp(start_ms / 1000, dt.UTC)
    if width_ms % _DAY_MS == 0 and start_ms % _DAY_MS == 0:
        days = width_ms // _DAY_MS
        return f"on {start:%Y-%m-%d}" if days == 1 else f"in the {days} days from {start:%Y-%m-%d}"
    if width_ms % _MINUTE_MS == 0:
        return f"in the {width_ms // _MINUTE_MS} min from {start:%Y-%m-%d %H:%M} UTC"
    return f"in the {width_ms / 1000:g} s from {start:%Y-%m-%d %H:%M:%S} UTC"


def since(ms: int) -> str:
    """A moment for a sentence, in UTC.

    >>> since(0)
    '1970-01-01 00:00 UTC'
    """
    return f"{dt.datetime.fromtimestamp(ms / 1000, dt.UTC):%Y-%m-%d %H:%M} UTC"
