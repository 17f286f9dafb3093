"""Whether the windows that somebody counted are the windows that are true."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .contestants.work import Key
from .events import Truth

SKETCH = 0.02  # relative: a sketch of 1 % and its rank, which may fall between two values


def disagreement(windows: Iterable[Mapping[str, Any]], truth: Mapping[Key, Truth]) -> str:
    """What is wrong, in a few words; empty when nothing is.

    Windows are as `contestants.marks.Task.done` describes them. Every one must be there once, with all of its events.
    """
    found: dict[Key, Mapping[str, Any]] = {}
    twice = 0
    for window in windows:
        key = window["model"], window["version"], int(window["window"])
        twice += key in found
        found[key] = window
    wrong = sum(key not in found or not _agrees(found[key], each) for key, each in truth.items())
    if not (wrong or twice or len(found) != len(truth)):
        return ""
    events = sum(int(window["n"]) for window in found.values()) - sum(each.n for each in truth.values())
    said = [f"{wrong} of {len(truth)} windows"]
    said += [f"{events:+,} events"] if events else []
    said += [f"{twice} windows published again"] if twice else []
    return ", ".join(said)


def _agrees(found: Mapping[str, Any], true: Truth) -> bool:
    exact = found["n"] == true.n and found["errors"] == true.errors
    sums = all(
        math.isclose(found[name], getattr(true, name), rel_tol=1e-9)
        for name in ("latency_sum", "latency_max")
        if name in found
    )
    means = all(math.isclose(mean, true.means[name], rel_tol=1e-9) for name, mean in found.get("means", {}).items())
    quantiles = found.get("quantiles", ())
    sketched = all(math.isclose(a, b, rel_tol=SKETCH) for a, b in zip(quantiles, true.quantiles, strict=False))
    return exact and sums and means and sketched
