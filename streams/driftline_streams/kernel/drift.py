"""What became of a signal in a test window: a row of the table `drift` and, if it drifted, a finding.

In the walk: the last step of whoever compares a window with what is usual: `detect`, and the watches over labels and
over how features go together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Literal, NamedTuple

import numpy as np

from driftline_schemas.records import Detection
from driftline_streams.kernel import findings
from driftline_streams.kernel.effects import Coded, Effects, MapColumn, Rows
from driftline_streams.kernel.findings import Window

State = Literal["ok", "drift", "insufficient data"]

_TEXTS = ("dim", "value", "signal", "state", "method")
_NUMBERS = ("statistic", "threshold", "effect", "low", "high", "p_value")


class Result(NamedTuple):
    """What became of one signal, in all events or in a segment."""

    dim: str  # segment key; empty for all events
    value: str
    signal: str
    state: State
    method: str  # the strongest test
    statistic: float  # the size of the effect, which `threshold` limits; 0 when there was nothing to compare
    threshold: float
    effect: float  # signed, of means in standard deviations; NaN, as the next three, when there was nothing to compare
    low: float  # 95 % interval of the effect
    high: float
    p_value: float  # NaN as well where nothing varies
    n: int
    n_reference: int
    seasonal: bool
    # The level or share that the method is about, in its own unit; `None` when it is about neither.
    before: float | None
    after: float | None
    measures: Mapping[str, float]  # those that are finite
    p_values: Mapping[str, float]
    observed: Mapping[str, int]
    expected: Mapping[str, float]


def rows(window: Window, results: Sequence[Result], now_ms: int) -> Rows:
    """Rows of the table `drift`."""
    n, width_ms = len(results), window.end_ms - window.start_ms
    columns = dict(zip(Result._fields, zip(*results, strict=True) if n else repeat(()), strict=False))
    return Rows(
        "drift",
        n,
        {
            "model": Coded.constant(window.model, n),
            "version": Coded.constant(window.version, n),
            "window": np.full(n, window.start_ms // 1000, np.uint32),
            "width_s": np.full(n, width_ms // 1000, np.uint32),
            **{name: list(columns[name]) for name in _TEXTS},
            **{name: np.array(columns[name], np.float64) for name in _NUMBERS},
            "n": np.array(columns["n"], np.uint64),
            "n_reference": np.array(columns["n_reference"], np.uint64),
            "reference": Coded.constant(window.reference, n),
            "seasonal": np.array(columns["seasonal"], np.uint8),
            "measures": MapColumn.of(columns["measures"], np.float64),
            "p_values": MapColumn.of(columns["p_values"], np.float64),
            "bins": MapColumn.of(columns["observed"], np.uint64),
            "expected": MapColumn.of(columns["expected"], np.float64),
            "computed_at": np.full(n, now_ms, np.int64),
        },
    )


def finding(window: Window, result: Result, direction: Literal["up", "down", "both"], detail: str) -> Detection:
    """The finding that a signal has drifted; `detail` says so in one sentence."""
    width_ms = window.end_ms - window.start_ms
    cause = ("drift", window.start_ms, width_ms, result.dim, result.value)
    return Detection(
        id=findings.id_of(window.model, window.version, result.signal, *cause),
        model=window.model,
        version=window.version,
        signal=result.signal,
        kind="drift",
        method=result.method,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        direction=direction,
        statistic=result.statistic,
        threshold=result.threshold,
        effect=result.effect,
        p_value=result.p_value,
        before=result.before,
        after=result.after,
        n=result.n,
        reference=window.reference,
        detail=detail,
        dim=result.dim,
        value=result.value,
        low=result.low,
        high=result.high,
        seasonal=result.seasonal,
        observed=dict(result.observed),
        expected=dict(result.expected),
    )


def effects(window: Window, result: Result, found: Sequence[Detection], prefix: str, now_ms: int) -> Effects:
    """The row of a window that has one signal, and its findings."""
    published = findings.effects(found, prefix, now_ms)
    return Effects((rows(window, [result], now_ms), *published.rows), published.messages)
