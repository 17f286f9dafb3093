"""Findings as rows and messages, and ids that are derived from causes.

In the walk: the last step of `detect` and of the watch over performance. The id of a finding comes from what was found
and where, so that a batch that is applied again after a crash finds the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

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


class Window(NamedTuple):
    """Where something is found: a window of one model version, and the id of what it is compared with."""

    model: str
    version: str
    reference: str  # empty where that is no reference
    start_ms: int
    end_ms: int
    dim: str = ""  # segment key; empty for all events
    value: str = ""


def quality(
    window: Window,
    signal: str,
    method: str,
    detail: str,
    *,
    direction: Literal["up", "down", "both"],
    statistic: float,
    threshold: float,
    n: int,
    effect: float | None = None,
    p_value: float | None = None,
    before: float | None = None,
    after: float | None = None,
    interval: tuple[float | None, float | None] = (None, None),
    seasonal: bool = False,
) -> Detection:
    """A finding about the data themselves; its effect, with an `interval` of 95 %, is its statistic unless given."""
    cause = (direction, "quality", window.start_ms, window.end_ms - window.start_ms, window.dim, window.value)
    return Detection(
        id=id_of(window.model, window.version, signal, method, *cause),
        model=window.model,
        version=window.version,
        signal=signal,
        kind="quality",
        method=method,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        direction=direction,
        statistic=statistic,
        threshold=threshold,
        effect=statistic if effect is None else effect,
        p_value=p_value,
        before=before,
        after=after,
        n=n,
        reference=window.reference,
        detail=detail,
        dim=window.dim,
        value=window.value,
        low=interval[0],
        high=interval[1],
        seasonal=seasonal,
    )


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
