"""Findings as rows and messages, and ids that are derived from causes.

In the walk: the last step of `detect` and of the watch over performance. The id of a finding comes from what was found
and where, so that a batch that is applied again after a crash finds the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
import numpy as np

from driftline_schemas import topics
from driftline_schemas.records import Detection
from driftline_streams.kernel.effects import Effects, MapColumn, Message, Rows

_TEXTS = (
    *("id", "model", "version", "signal", "kind", "method", "direction", "reference", "detail"),
    *("dim", "value", "role", "shape"),
)
_NUMBERS = ("statistic", "threshold", "effect", "p_value", "before", "after", "low", "high")
_encode = msgspec.json.Encoder().encode


def id_of(*cause: str | int) -> str:
    """16 hexadecimal digits that are the same for the same cause.

    >>> id_of("m", "1", "score", "psi", "drift", 0)
    'b9d6050642dccd9f'
    """
    return hashlib.sha256("\x1f".join(map(str, cause)).encode(errors="replace")).hexdigest()[:16]


def effects(found: Sequence[Detection], prefix: str, now_ms: int) -> Effects:
    """A row and a message for each finding; nothing without any.

    One whose shape has been told has been published before, without it: its row is restated, and nobody is told again.
    """
    if not found:
        return Effects()
    topic = topics.DETECTIONS.full_name(prefix)
    return Effects(
        (_rows(found, now_ms),), [Message(topic, _encode(d), d.model.encode()) for d in found if not d.shape]
    )


def _rows(found: Sequence[Detection], now_ms: int) -> Rows:
    n = len(found)
    return Rows(
        "detections",
        n,
        {
            **{name: [getattr(detection, name) for detection in found] for name in _TEXTS},
            # `None` becomes NaN, which is NULL.
            **{name: np.array([getattr(detection, name) for detection in found], np.float64) for name in _NUMBERS},
            "start": np.array([detection.start_ms for detection in found], np.int64),
            "end": np.array([detection.end_ms for detection in found], np.int64),
            "n": np.array([detection.n for detection in found], np.uint64),
            "seasonal": np.array([detection.seasonal for detection in found], np.uint8),
            "observed": MapColumn.of([detection.observed for detection in found], np.uint64),
            "expected": MapColumn.of([detection.expected for detection in found], np.float64),
            "segments": [_encode(detection.segments).decode() for detection in found],
            "detected_at": np.full(n, now_ms, np.int64),
        },
    )
