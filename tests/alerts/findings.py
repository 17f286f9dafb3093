"""Findings to raise alerts from."""

from __future__ import annotations

from typing import Any

import msgspec

from driftline_schemas.records import Detection

HOUR, DAY = 3_600_000, 86_400_000
START = 1_370_044_800_000  # 2013-06-01


def finding(**given: Any) -> Detection:
    base = Detection(
        id="d1",
        model="flights",
        version="1",
        signal="latency_ms",
        kind="objective",
        method="threshold",
        start_ms=START,
        end_ms=START + HOUR,
        direction="up",
        statistic=150.0,
        threshold=100.0,
        effect=150.0,
        p_value=None,
        before=None,
        after=150.0,
        n=500,
        reference="",
        detail="The 99th percentile of latency was 150 ms; the objective is at most 100 ms.",
    )
    return msgspec.structs.replace(base, **given)


def drift(feature: str = "distance", **given: Any) -> Detection:
    signal = given.pop("signal", f"feature:{feature}")
    return finding(
        **{"signal": signal, "kind": "drift", "method": "psi", "statistic": 0.3, "threshold": 0.2, "before": 1.0}
        | given
    )


def quality(method: str, signal: str = "feature:distance", **given: Any) -> Detection:
    return finding(
        **{"signal": signal, "kind": "quality", "method": method, "statistic": 0.5, "threshold": 0.01} | given
    )


def verdict(word: str = "better", **given: Any) -> Detection:
    usual = {"signal": "accuracy", "kind": "comparison", "method": word, "role": "challenger"}
    return finding(**usual | {"version": "2", "reference": "1", "statistic": 0.02, "threshold": 0.0} | given)
