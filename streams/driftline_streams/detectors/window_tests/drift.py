"""Is a window different from the reference, and does it matter: the tests of one closed test window.

In the walk: `features` asks when a test window closes. Every signal of the reference is tested, so that one that has
disappeared is seen. A finding needs enough values on both sides, an effect over its limit, and significance among all
signals of the window (Benjamini-Hochberg; segments are judged together, apart from the whole, each for half of what may
be false). With a million rows everything is significant; with thirty nothing is. A signal that cannot be judged has
insufficient data, which is not the absence of drift.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from driftline_schemas.records import Detection
from driftline_schemas.spec import DriftRules, Profile, Reference
from driftline_streams.detectors.budget import Thresholds
from driftline_streams.detectors.window_tests import bars, measures, pairs, wording
from driftline_streams.detectors.window_tests.measures import METHODS, Measured, Method, Tests
from driftline_streams.kernel import drift, moments
from driftline_streams.kernel.drift import Result, State
from driftline_streams.kernel.findings import Window
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.significance import believed
from driftline_streams.windows.cells import WideCell

_DECIDES = [METHODS.index("ks"), METHODS.index("psi")]  # without one of them a signal has not been judged


def compare(  # noqa: PLR0917
    reference: Reference,
    window: WideCell,
    rules: DriftRules,
    thresholds: Thresholds,
    ignored: frozenset[str] = frozenset(),
    segments: Iterable[WideCell] = (),
) -> list[Result]:
    """Test every signal of the reference that a feature window can hold, but for those `ignored`.

    `segments` are the parts of the window; those with fewer events than the rules ask for, and those that the reference
    does not have, are left out. Of a window with fewer nothing is measured. Signals that move with the hour are
    compared with the same hours of the reference.

    Bins that were counted by the edges of another reference cannot be compared: unless the mean or the missing values
    have drifted, the signal has insufficient data. So has one whose profile is empty.
    """
    if window.n < rules.min_n:
        return [_too_few(window, rules, name, profile) for name, profile in pairs.tested(reference, ignored)]
    large = [cell for cell in segments if cell.n >= rules.min_n]
    numbers, categories = pairs.of(reference, [window, *large], ignored)
    measured = measures.numeric(numbers, rules), measures.categorical(categories, rules)
    shown = bars.numeric(numbers) + bars.categorical(categories)
    signals = numbers.signals + categories.signals
    decided = _decide(Tests.join([each.tests for each in measured]), [not s.dim for s in signals], rules, thresholds)
    described = [description for each in measured for description in _described(each)]
    return [
        Result._make(
            (
                *(signal.dim, signal.value, signal.name),
                *verdict,
                signal.expected is not None,
                *_levels(verdict.method, values),
                *(values, p_values),
                *histograms,
            )
        )
        for signal, verdict, (values, p_values), histograms in zip(signals, decided, described, shown, strict=True)
    ]


def _too_few(window: WideCell, rules: DriftRules, name: str, profile: Profile) -> Result:
    numeric = profile.type == "numeric"
    return Result(
        dim="",
        value="",
        signal=name,
        state="insufficient data",
        method="ks" if numeric else "psi",
        statistic=0.0,
        threshold=rules.ks if numeric else rules.psi,
        effect=math.nan,
        low=math.nan,
        high=math.nan,
        p_value=math.nan,
        n=window.moments.get(name, moments.EMPTY).n,
        n_reference=sum(profile.counts) if numeric else sum(profile.categories.values()),
        seasonal=False,
        before=None,
        after=None,
        measures={},
        p_values={},
        observed={},
        expected={},
    )


class _Verdict(NamedTuple):
    """The fields of a `Result` that the tests decide, in its order."""

    state: State
    method: Method
    statistic: float
    threshold: float
    effect: float
    low: float
    high: float
    p_value: float
    n: int
    n_reference: int


def _decide(tests: Tests, whole: Sequence[bool], rules: DriftRules, thresholds: Thresholds) -> list[_Verdict]:
    judged, strength = tests.judged(rules.min_n), tests.strength
    p_values = np.where(judged, tests.p_value, np.nan)
    found = np.zeros_like(judged)
    families = [rows for rows in (np.array(whole, np.bool_), ~np.array(whole, np.bool_)) if rows.any()]
    for rows in families:
        found[rows] = believed(p_values[rows], thresholds.alpha / len(families)) & (strength[rows] >= 1)
    # The strongest of those that found drift, else of those that could, else of what there is; the first without any.
    rank = np.where(found, 3.0, np.where(judged, 2.0, 1.0))
    order = np.where(np.isnan(tests.effect), np.where(np.isnan(tests.limit), -1.0, 0.0), rank + 1 - 1 / (1 + strength))
    best = order.argmax(axis=1) if len(order) else np.empty(0, np.int64)
    states: list[State] = [
        "drift" if any_ else "ok" if enough else "insufficient data"
        for any_, enough in np.stack([found.any(axis=1), judged[:, _DECIDES].any(axis=1)], axis=1).tolist()
    ]
    chosen = [np.take_along_axis(column, best[:, None], axis=1)[:, 0] for column in tests]
    effect, low, high, p_value, limit, n, reference_n = (column.tolist() for column in chosen)
    sizes = np.nan_to_num(np.abs(chosen[0])).tolist()
    methods = [METHODS[place] for place in best.tolist()]
    counts = [[round(value) for value in values] for values in (n, reference_n)]
    return list(map(_Verdict, states, methods, sizes, limit, effect, low, high, p_value, *counts))


def _described(measured: Measured) -> list[tuple[dict[str, float], dict[str, float]]]:
    """The measures and the p-values of each signal, without those that are not finite."""
    return list(zip(_by_signal(measured.measures), _by_signal(measured.p_values), strict=True))


def _by_signal(columns: Mapping[str, Floats]) -> list[dict[str, float]]:
    table = np.array(list(columns.values())).T
    finite = np.isfinite(table)
    return [
        dict(zip(columns, row, strict=True))
        if all_
        else {name: value for name, value, there in zip(columns, row, some, strict=True) if there}
        for row, some, all_ in zip(table.tolist(), finite.tolist(), finite.all(axis=1).tolist(), strict=True)
    ]


def _levels(method: Method, values: Mapping[str, float]) -> tuple[float | None, float | None]:
    """Before and after, as the method sees it: shares of missing or unseen values, else means."""
    if method == "unseen":
        return 0.0, values.get("unseen")
    level = "nulls" if method == "nulls" else "mean"
    if level not in values or f"{level}_change" not in values:
        return None, None
    return values[level] - values[f"{level}_change"], values[level]


def span(reference: Reference, version: str, window: WideCell) -> Window:
    """The window that was compared, as rows and findings name it."""
    return Window(reference.model, version, reference.id, window.start_ms, window.start_ms + window.width_ms)


def finding(window: Window, result: Result) -> Detection:
    """The finding that a signal has drifted in a window."""
    return drift.finding(window, result, _direction(result), wording.detail(result, window.start_ms, window.end_ms))


def _direction(result: Result) -> Literal["up", "down", "both"]:
    if result.before is None or result.after is None or result.before == result.after:
        return "both"
    return "up" if result.after > result.before else "down"
