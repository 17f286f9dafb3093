"""Is a window different from the reference, and does it matter: PSI and KS over one closed test window.

In the walk: `features` asks when a test window closes. Every signal of the reference is tested, so that one that has
disappeared is seen; a finding needs enough values, an effect over its limit, and significance among all tests of the
window. With a million rows everything is significant; with thirty nothing is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from driftline_schemas.records import Detection, Moments
from driftline_schemas.spec import DriftRules, ModelSpec, Profile, Reference
from driftline_streams.detectors.budget import thresholds
from driftline_streams.kernel import divergence, findings, moments, words
from driftline_streams.kernel.effects import MapColumn, Rows
from driftline_streams.kernel.histogram import BINS, Ints
from driftline_streams.kernel.limits import OTHER_CATEGORY
from driftline_streams.windows.cells import WideCell

_LABELS = [str(index) for index in range(BINS)]


class Comparison(NamedTuple):
    """One test of one signal in one window."""

    signal: str
    name: Literal["psi", "ks"]
    state: Literal["ok", "drift", "insufficient data"]
    statistic: float  # 0 when there was nothing to compare
    threshold: float
    p_value: float  # NaN when there was nothing to compare
    n: int
    n_reference: int
    bins: Mapping[str, int]  # what was compared
    moments: Moments  # of the window; empty for categories


def compare(reference: Reference, window: WideCell, rules: DriftRules, ignored: frozenset[str]) -> list[Comparison]:
    """Test every signal of the reference that a feature window can hold, but for those `ignored`.

    Bins that were counted by the edges of another reference cannot be compared: the signal has insufficient data.
    """
    tests: list[Comparison] = []
    ours = window.bins if window.reference == reference.id else {}
    for signal, profile in reference.signals.items():
        if signal in ignored or signal in _ELSEWHERE:
            continue
        if profile.type == "numeric":
            tests += _numeric(signal, profile, ours.get(signal, {}), window.moments.get(signal, moments.EMPTY), rules)
        else:
            tests += _categorical(signal, profile, ours.get(signal, {}), rules)
    enough = [test.n >= rules.min_n and test.n_reference >= rules.min_n for test in tests]
    p_values = [test.p_value if ok else math.nan for test, ok in zip(tests, enough, strict=True)]
    believed = divergence.significant(p_values, thresholds(rules).alpha)
    return [
        test._replace(state=_state(ok, yes and test.statistic >= test.threshold))
        for test, ok, yes in zip(tests, enough, believed, strict=True)
    ]


def _state(enough: bool, drifted: bool) -> Literal["ok", "drift", "insufficient data"]:
    if not enough:
        return "insufficient data"
    return "drift" if drifted else "ok"


def _numeric(
    signal: str, profile: Profile, bins: Mapping[str, int], sums: Moments, rules: DriftRules
) -> list[Comparison]:
    expected = np.array(profile.counts or [0] * BINS, np.int64)
    observed = np.array([bins.get(label, 0) for label in _LABELS[: len(expected)]], np.int64)
    group = divergence.coarse_bins(expected)
    statistic, n, n_reference = divergence.ks(observed, expected), int(observed.sum()), int(expected.sum())
    p_value = divergence.ks_p_value(statistic, n, n_reference)
    return [
        _psi(signal, _sum_by(group, observed), _sum_by(group, expected), rules)._replace(bins=bins, moments=sums),
        Comparison(signal, "ks", "ok", _or_zero(statistic), rules.ks, p_value, n, n_reference, bins, sums),
    ]


def _categorical(signal: str, profile: Profile, bins: Mapping[str, int], rules: DriftRules) -> list[Comparison]:
    names = [name for name in profile.categories if name != OTHER_CATEGORY]
    expected = [profile.categories[name] for name in names] + [profile.categories.get(OTHER_CATEGORY, 0)]
    known = [bins.get(name, 0) for name in names]
    # What the reference has never seen is one category: a hundred new values are one piece of news.
    observed = [*known, sum(bins.values()) - sum(known)]
    compared = {name: count for name, count in zip([*names, OTHER_CATEGORY], observed, strict=True) if count}
    test = _psi(signal, np.array(observed, np.int64), np.array(expected, np.int64), rules)
    return [test._replace(bins=compared)]


def _psi(signal: str, observed: Ints, expected: Ints, rules: DriftRules) -> Comparison:
    n, n_reference = int(observed.sum()), int(expected.sum())
    statistic, p_value = divergence.psi(observed, expected), math.nan
    if n and n_reference:
        p_value = divergence.chi_square_p_value(*divergence.chi_square(observed, expected))
    return Comparison(signal, "psi", "ok", _or_zero(statistic), rules.psi, p_value, n, n_reference, {}, moments.EMPTY)


def _sum_by(group: Ints, counts: Ints) -> Ints:
    return np.bincount(group, weights=counts, minlength=divergence.PSI_BINS).astype(np.int64)


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def rows(reference: Reference, version: str, window: WideCell, tests: Sequence[Comparison], now_ms: int) -> Rows:
    """Rows of the table `drift`."""
    ends = np.cumsum([len(test.bins) for test in tests]).astype(np.uint64)
    return Rows(
        "drift",
        len(tests),
        {
            "model": [reference.model] * len(tests),
            "version": [version] * len(tests),
            "window": np.full(len(tests), window.start_ms // 1000, np.uint32),
            "width_s": np.full(len(tests), window.width_ms // 1000, np.uint32),
            "signal": [test.signal for test in tests],
            "test": [test.name for test in tests],
            "state": [test.state for test in tests],
            "statistic": np.array([test.statistic for test in tests], np.float64),
            "threshold": np.array([test.threshold for test in tests], np.float64),
            "p_value": np.array([test.p_value for test in tests], np.float64),
            "n": np.array([test.n for test in tests], np.uint64),
            "n_reference": np.array([test.n_reference for test in tests], np.uint64),
            "reference": [reference.id] * len(tests),
            "bins": MapColumn(
                ends,
                [key for test in tests for key in test.bins],
                np.array([count for test in tests for count in test.bins.values()], np.uint64),
            ),
            "computed_at": np.full(len(tests), now_ms, np.int64),
        },
    )


def finding(spec: ModelSpec, version: str, reference: Reference, window: WideCell, test: Comparison) -> Detection:
    """The finding that a signal has drifted in a window."""
    profile = reference.signals[test.signal]
    end_ms = window.start_ms + window.width_ms
    numeric = profile.type == "numeric" and test.moments.n > 0 and profile.moments.n > 0
    before = moments.mean(profile.moments) if numeric else None
    after = moments.mean(test.moments) if numeric else None
    direction: Literal["up", "down", "both"] = "both"
    levels = ""
    if before is not None and after is not None:
        direction = "up" if after > before else "down"
        levels = f"; its mean went from {words.amount(test.signal, before)} to {words.amount(test.signal, after)}"
    return Detection(
        id=findings.id_of(spec.model, version, test.signal, test.name, "drift", window.start_ms),
        model=spec.model,
        version=version,
        signal=test.signal,
        kind="drift",
        method=test.name,
        start_ms=window.start_ms,
        end_ms=end_ms,
        direction=direction,
        statistic=test.statistic,
        threshold=test.threshold,
        effect=test.statistic,
        p_value=test.p_value,
        before=before,
        after=after,
        n=test.n,
        reference=reference.id,
        detail=(
            f"{words.subject(test.signal)} was distributed differently from the reference "
            f"{words.when(window.start_ms, end_ms)}: {test.name.upper()} {test.statistic:.2f}, limit "
            f"{test.threshold:g}, {words.chance(test.p_value)}, {test.n:,} events against "
            f"{test.n_reference:,}{levels}."
        ),
    )


# These are in the reference for the online detectors; feature windows do not hold them.
_ELSEWHERE = frozenset({"latency_ms", "error_rate"})
