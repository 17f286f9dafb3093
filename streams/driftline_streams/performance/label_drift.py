"""Whether the labels of a window are distributed as the usual ones: the test, its row of `drift` and its finding.

In the walk: `labels` asks for each settled window.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from driftline_schemas.records import Detection, Moments
from driftline_schemas.spec import DriftRules
from driftline_streams.kernel import budget, divergence, findings, moments, shifts, significance, words
from driftline_streams.kernel.effects import Effects, MapColumn, Rows
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


class Result(NamedTuple):
    """How the labels of a window differ from the usual ones."""

    method: Literal["psi", "mean"]
    state: Literal["ok", "drift"]
    effect: float  # PSI, or the difference of the means in usual deviations
    threshold: float
    low: float  # 95 % interval of the effect
    high: float
    p_value: float
    before: float | None  # mean
    after: float | None
    observed: dict[str, int]
    expected: dict[str, float]


class Judged(NamedTuple):
    """A window of labels and what it is compared with."""

    model: str
    version: str
    reference: str  # its id; empty without one
    usual: Labels
    window: Labels


def compare(usual: Labels, window: Labels, rules: DriftRules) -> Result:
    """Classes by chi-square and PSI, numbers by Welch's test; a finding needs significance and an effect that matters.

    Neither side may be empty. A window of numbers against classes, or the other way round, has drifted by all there is.
    """
    alpha = budget.alpha(rules, budget.LABELS, (window.end_s - window.start_s) / DAY_S)
    if usual.numbers.n and window.numbers.n:
        return _numbers(usual.numbers, window.numbers, rules, alpha)
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
    return Result(
        "psi",
        "drift" if p_value <= alpha and effect >= rules.psi else "ok",
        *(effect, rules.psi, low, high, p_value, None, None),
        dict(zip(shown, [*map(int, ours[:top]), int(ours[top:].sum())], strict=True)),
        dict(zip(shown, (np.append(theirs[:top], theirs[top:].sum()) * (window.n / usual.n)).tolist(), strict=True)),
    )


def _counts(labels: Labels, names: Sequence[str]) -> Floats:
    """Counts by name, then of all the rest, numbers included; shape `(names + 1,)`."""
    named = [labels.classes[name] for name in names]
    return np.array([*named, labels.classes.total() + labels.numbers.n - sum(named)], np.float64)


def _numbers(usual: Moments, window: Moments, rules: DriftRules, alpha: float) -> Result:
    ours, theirs = Sample.of([window]), Sample.of([usual])
    moved, unit = shifts.mean_difference(ours, theirs), shifts.scale(ours, theirs)
    with np.errstate(invalid="ignore", divide="ignore"):
        effect, low, high = (float((each / unit)[0]) for each in (moved.value, moved.low, moved.high))
    p_value = float(moved.p_value[0])
    drifted = p_value <= alpha and abs(effect) >= rules.min_effect
    state: Literal["ok", "drift"] = "drift" if drifted else "ok"
    before, after = moments.mean(usual), moments.mean(window)
    return Result("mean", state, effect, rules.min_effect, low, high, p_value, before, after, {}, {})


def effects(judged: Judged, found: Result, prefix: str, now_ms: int) -> Effects:
    """The row of a window, and its finding when the labels have drifted."""
    drifted = [_detection(judged, found)] if found.state == "drift" else []
    published = findings.effects(drifted, prefix, now_ms)
    return Effects((_row(judged, found, now_ms), *published.rows), published.messages)


def _row(judged: Judged, found: Result, now_ms: int) -> Rows:
    model, version, reference, usual, window = judged
    texts = {"model": model, "version": version, "dim": "", "value": "", "signal": SIGNAL, "reference": reference}
    return Rows(
        "drift",
        1,
        {
            **{name: [text] for name, text in texts.items()},
            "window": np.array([window.start_s], np.uint32),
            "width_s": np.array([window.end_s - window.start_s], np.uint32),
            "state": [found.state],
            "method": [found.method],
            "statistic": np.nan_to_num(np.abs(np.array([found.effect]))),
            **{
                name: np.array([getattr(found, name)], np.float64)
                for name in ("threshold", "effect", "low", "high", "p_value")
            },
            "n": np.array([window.n], np.uint64),
            "n_reference": np.array([usual.n], np.uint64),
            "seasonal": np.zeros(1, np.uint8),
            "measures": MapColumn.of([{found.method: found.effect} if math.isfinite(found.effect) else {}], np.float64),
            "p_values": MapColumn.of(
                [{found.method: found.p_value} if math.isfinite(found.p_value) else {}], np.float64
            ),
            "bins": MapColumn.of([found.observed], np.uint64),
            "expected": MapColumn.of([found.expected], np.float64),
            "computed_at": np.array([now_ms], np.int64),
        },
    )


def _finite(name: str, value: float) -> dict[str, float]:
    return {name: value} if math.isfinite(value) else {}


def _detection(judged: Judged, found: Result) -> Detection:
    model, version, reference, usual, window = judged
    start_ms, end_ms = window.start_s * 1000, window.end_s * 1000
    direction: Literal["up", "down", "both"] = "both"
    levels = ""
    if found.before is not None and found.after is not None:
        direction = "up" if found.after > found.before else "down"
        levels = f"; their mean went from {words.number(found.before)} to {words.number(found.after)}"
    low, high = (words.effect(found.method, end) for end in (found.low, found.high))
    return Detection(
        id=findings.id_of(model, version, SIGNAL, "drift", start_ms, end_ms),
        model=model,
        version=version,
        signal=SIGNAL,
        kind="drift",
        method=found.method,
        start_ms=start_ms,
        end_ms=end_ms,
        direction=direction,
        statistic=abs(found.effect),
        threshold=found.threshold,
        effect=found.effect,
        p_value=found.p_value,
        before=found.before,
        after=found.after,
        n=window.n,
        reference=reference,
        detail=(
            f"The labels of the predictions {words.when(start_ms, end_ms)} were distributed differently from "
            f"{'those of the reference' if reference else 'the first ones of the version'}: "
            f"{words.effect(found.method, found.effect)} (95 % interval {low} to {high}, limit "
            f"{words.effect(found.method, found.threshold)}), {words.chance(found.p_value)}, "
            f"{window.n:,} labels against {usual.n:,}{levels}."
        ),
        low=found.low,
        high=found.high,
        observed=found.observed,
        expected=found.expected,
    )
