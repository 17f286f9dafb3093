"""Findings as rows, and their ids.

In the walk: the last step of `detect`. The id of a finding is derived from what was found and where, so that a batch
that is applied again after a crash finds the same.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence

import numpy as np

from driftline_schemas.records import Detection
from driftline_streams.kernel.effects import Coded, Rows


def id_of(*parts: str, start_ms: int) -> str:
    """16 hexadecimal digits from model, version, signal, method and kind, and the start of the window.

    >>> id_of("m", "1", "score", "psi", "drift", start_ms=0)
    'b9d6050642dccd9f'
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
