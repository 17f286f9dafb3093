"""Whether the labels of a window are distributed as the usual ones: the test, its row of `drift` and its finding.

In the walk: `labels` asks for each settled window.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np

from driftline_schemas.records import Detection, Moments
from driftline_schemas.spec import DriftRules
from driftline_streams.kernel import budget, divergence, drift, moments, shifts, significance, words
from driftline_streams.kernel.drift import Result
from driftline_streams.kernel.effects import Effects
from driftline_streams.kernel.findings import Window
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.limits import DAY_MS, MAX_CATEGORIES, OTHER_CATEGORY
from driftline_streams.kernel.shifts import Sample

SIGNAL = "label"
DAY_S = DAY_MS // 1000


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of the predictions of one or more days: classes by name, or the moments of numbers."""

    start_s: int
    end_s: int
    classes: Counter[str] = field(default_factory=Counter)
    numbers: Moments = moments.EMPTY

    @property
    def n(self) -> int:
        """How many there are."""
        return self.classes.total() or self.numbers.n

    def merge(self, other: Labels) -> Labels:
        """Both together."""
        start_s, end_s = min(self.start_s, other.start_s), max(self.end_s, other.end_s)
        return Labels(start_s, end_s, self.classes + other.classes, moments.merge(self.numbers, other.numbers))


def compare(usual: Labels, window: Labels, rules: DriftRules) -> Result:
    """Classes by chi-square and PSI, numbers by Welch's test; a finding needs significance and an effect that matters.

    Neither side may be empty. A window of numbers against classes, or the other way round, has drifted by all there is.
    """
    alpha = budget.alpha(rules, budget.LABELS, (window.end_s - window.start_s) / DAY_S)
    if usual.numbers.n and window.numbers.n:
        return _numbers(usual, window, rules, alpha)
    # What the reference has counted together cannot be told from what it has not.
    listed = usual.classes if OTHER_CATEGORY in usual.classes else usual.classes + window.classes
    names = [name for name, _ in listed.most_common(MAX_CATEGORIES + 1) if name != OTHER_CATEGORY][:MAX_CATEGORIES]
    ours, theirs = (_counts(side, names) for side in (window, usual))
    observed, expected = divergence.pooled(ours, theirs)
    p_value = float(
        significance.chi_square(divergence.chi_square(observed, expected), divergence.degrees(observed, expected))
    )
    effect = float(divergence.psi(observed, expected))
    low, high = (float(end) for end in divergence.psi_interval(observed, expected))
    shown = [*names[: divergence.PSI_BINS - 1], OTHER_CATEGORY]
    top = len(shown) - 1
    return _result(
        usual,
        window,
        method="psi",
        drifted=p_value <= alpha and effect >= rules.psi,
        effect=effect,
        threshold=rules.psi,
        interval=(low, high),
        p_value=p_value,
        observed=dict(zip(shown, [*map(int, ours[:top]), int(ours[top:].sum())], strict=True)),
        expected=dict(
            zip(shown, (np.append(theirs[:top], theirs[top:].sum()) * (window.n / usual.n)).tolist(), strict=True)
        ),
    )


def _counts(labels: Labels, names: Sequence[str]) -> Floats:
    """Counts by name, then of all the rest, numbers included; shape `(names + 1,)`."""
    named = [labels.classes[name] for name in names]
    return np.array([*named, labels.classes.total() + labels.numbers.n - sum(named)], np.float64)


def _numbers(usual: Labels, window: Labels, rules: DriftRules, alpha: float) -> Result:
    ours, theirs = Sample.of([window.numbers]), Sample.of([usual.numbers])
    moved, unit = shifts.mean_difference(ours, theirs), shifts.scale(ours, theirs)
    with np.errstate(invalid="ignore", divide="ignore"):
        effect, low, high = (float((each / unit)[0]) for each in (moved.value, moved.low, moved.high))
    p_value = float(moved.p_value[0])
    return _result(
        usual,
        window,
        method="mean",
        drifted=p_value <= alpha and abs(effect) >= rules.min_effect,
        effect=effect,
        threshold=rules.min_effect,
        interval=(low, high),
        p_value=p_value,
        before=moments.mean(usual.numbers),
        after=moments.mean(window.numbers),
    )


def _result(
    usual: Labels,
    window: Labels,
    *,
    method: Literal["psi", "mean"],
    drifted: bool,
    effect: float,
    threshold: float,
    interval: tuple[float, float],
    p_value: float,
    before: float | None = None,
    after: float | None = None,
    observed: Mapping[str, int] = MappingProxyType({}),
    expected: Mapping[str, float] = MappingProxyType({}),
) -> Result:
    return Result(
        dim="",
        value="",
        signal=SIGNAL,
        state="drift" if drifted else "ok",
        method=method,
        statistic=abs(effect) if math.isfinite(effect) else 0.0,
        threshold=threshold,
        effect=effect,
        low=interval[0],
        high=interval[1],
        p_value=p_value,
        n=window.n,
        n_reference=usual.n,
        seasonal=False,
        before=before,
        after=after,
        measures={method: effect} if math.isfinite(effect) else {},
        p_values={method: p_value} if math.isfinite(p_value) else {},
        observed=observed,
        expected=expected,
    )


def effects(window: Window, found: Result, prefix: str, now_ms: int) -> Effects:
    """The row of a window, and its finding when the labels have drifted."""
    published = [_finding(window, found)] if found.state == "drift" else []
    return drift.effects(window, found, published, prefix, now_ms)


def _finding(window: Window, found: Result) -> Detection:
    direction: Literal["up", "down", "both"] = "both"
    levels = ""
    if found.before is not None and found.after is not None:
        direction = "up" if found.after > found.before else "down"
        levels = f"; their mean went from {words.number(found.before)} to {words.number(found.after)}"
    size, low, high, limit = (
        words.effect(found.method, value) for value in (found.effect, found.low, found.high, found.threshold)
    )
    detail = (
        f"The labels of the predictions {words.when(window.start_ms, window.end_ms)} were distributed differently from "
        f"{'those of the reference' if window.reference else 'the first ones of the version'}: "
        f"{size} (95 % interval {low} to {high}, limit {limit}), {words.chance(found.p_value)}, "
        f"{found.n:,} labels against {found.n_reference:,}{levels}."
    )
    return drift.finding(window, found, direction, detail)
