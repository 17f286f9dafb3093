"""Every measure of how far a window is from the reference, and the tests that decide whether it has drifted.

In the walk: `drift.compare` hands over both sides as arrays and gets arrays back. KS and the Wasserstein distance use
the 64 bins of the reference; PSI, Jensen-Shannon, Kullback-Leibler, Hellinger, chi-square and total variation ten of
about equal shares (of categories all), in which those too empty to be judged are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from driftline_schemas.spec import DriftRules
from driftline_streams.detectors.window_tests.pairs import Pairs
from driftline_streams.kernel import divergence, shifts, significance, usual, wasserstein
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.limits import OTHER_CATEGORY
from driftline_streams.kernel.shifts import Difference, Sample

Method = Literal["ks", "psi", "mean", "nulls", "unseen"]
METHODS: tuple[Method, ...] = get_args(Method)
_FINITE = 1e300  # JSON has no infinity


class Tests(NamedTuple):
    """The deciding tests; all arrays have the shape `(signals, methods)`, NaN where a method does not apply."""

    effect: Floats
    low: Floats  # 95 % interval of the effect
    high: Floats
    p_value: Floats
    limit: Floats  # of the size of the effect
    n: Floats  # events of the window and of the reference that the test rests on
    n_reference: Floats

    @classmethod
    def join(cls, parts: Sequence[Tests]) -> Tests:
        """The signals of one part after the other."""
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    @property
    def strength(self) -> Floats:
        """The size of the effect in limits."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.effect == 0, 0.0, np.abs(self.effect) / self.limit)

    def judged(self, min_n: int) -> npt.NDArray[np.bool_]:
        """Where there is enough on both sides to decide."""
        return ~np.isnan(self.effect) & (self.n >= min_n) & (self.n_reference >= min_n)


class Measured(NamedTuple):
    """What was measured of signals of one kind; `measures` and `p_values` hold arrays of shape `(signals,)` by name."""

    tests: Tests
    measures: dict[str, Floats]
    p_values: dict[str, Floats]  # of independent events, and with the suffix "_usual" of windows like the reference's


def numeric(pairs: Pairs, rules: DriftRules) -> Measured:
    """Those of numbers."""
    n, reference_n = pairs.observed.sum(axis=1), pairs.expected.sum(axis=1)
    group = divergence.coarse_bins(pairs.profile)
    coarse = [divergence.sum_by(group, side) for side in (pairs.observed, pairs.expected)]
    binned, binned_p, psi = _binned(coarse[0], coarse[1])
    ks = divergence.ks(pairs.observed, pairs.expected)
    ks_p = significance.kolmogorov(ks, n, reference_n)
    mean, unit = shifts.mean_difference(pairs.ours, pairs.theirs), shifts.scale(pairs.ours, pairs.theirs)
    nulls = _nulls(pairs)
    moved = wasserstein.distance(pairs.observed, pairs.expected, pairs.edges, pairs.ours, pairs.theirs)
    standardised = Difference(_over(mean.value, unit), _over(mean.low, unit), _over(mean.high, unit), mean.p_value)
    deviation = np.sqrt(pairs.ours.variance)
    tests = _tests(
        pairs,
        {
            "ks": (Difference(ks, *divergence.ks_interval(ks, n, reference_n), ks_p), rules.ks, n, reference_n),
            "psi": (psi, rules.psi, n, reference_n),
            "mean": (standardised, rules.min_effect, pairs.ours.n, pairs.theirs.n),
            "nulls": (nulls, rules.rate, *_events(pairs)),
        },
    )
    measures = {
        "ks": ks,
        "wasserstein": moved,
        "wasserstein_deviations": _over(moved, unit),
        **binned,
        "mean": pairs.ours.mean,
        "mean_change": mean.value,
        "mean_change_deviations": standardised.value,
        "deviation": deviation,
        "deviation_change": deviation - np.sqrt(pairs.theirs.variance),
        "min": pairs.ours.min,
        "min_change": pairs.ours.min - pairs.theirs.min,
        "max": pairs.ours.max,
        "max_change": pairs.ours.max - pairs.theirs.max,
        **_rates(pairs, nulls),
    }
    p_values = {"ks": ks_p, **binned_p, "mean": mean.p_value, "nulls": nulls.p_value}
    # What is usual of means is in deviations of the profile, not of the hours or of the segment.
    whole = np.sqrt(Sample.of([signal.profile.moments for signal in pairs.signals]).variance)
    return _beside(pairs, Measured(tests, measures, p_values), _over(unit, whole))


def categorical(pairs: Pairs, rules: DriftRules) -> Measured:
    """Those of categories."""
    n, reference_n = pairs.observed.sum(axis=1), pairs.expected.sum(axis=1)
    binned, binned_p, psi = _binned(pairs.observed, pairs.expected)
    nulls = _nulls(pairs)
    # A reference that counted rare categories together cannot tell them from new ones.
    listed = np.array([OTHER_CATEGORY not in signal.profile.categories for signal in pairs.signals], np.bool_)
    last = np.array([len(signal.profile.categories) for signal in pairs.signals], np.int64)
    hits = pairs.observed[np.arange(len(last)), last]
    zero = np.zeros_like(hits)
    unseen = shifts.rate_difference(hits, np.where(listed, n, np.nan), zero, reference_n)
    tests = _tests(
        pairs,
        {
            "psi": (psi, rules.psi, n, reference_n),
            "nulls": (nulls, rules.rate, *_events(pairs)),
            "unseen": (unseen, rules.rate, n, reference_n),
        },
    )
    cardinality = np.array([len(signal.bins) or np.nan for signal in pairs.signals], np.float64)
    measures = {
        **binned,
        "cardinality": cardinality,
        "cardinality_change": cardinality - (pairs.expected > 0).sum(axis=1),
        "unseen": unseen.value,
        **_rates(pairs, nulls),
    }
    p_values = {**binned_p, "nulls": nulls.p_value, "unseen": unseen.p_value}
    return _beside(pairs, Measured(tests, measures, p_values), np.ones(len(pairs.signals)))


def _beside(pairs: Pairs, measured: Measured, scale: Floats) -> Measured:
    """The same with the p-values that windows of the reference lead to where they are larger.

    `scale` turns differences of means into the unit in which those of the windows are known.
    """
    known, tests = [signal.usual for signal in pairs.signals], measured.tests
    if not any(known):
        return measured
    found, of_windows = tests.p_value.copy(), dict[str, Floats]()
    for method in get_args(usual.Method):
        place, unit = METHODS.index(method), scale if method == "mean" else np.ones_like(scale)
        sides = (column[:, place] * unit for column in (tests.effect, tests.low, tests.high))
        of_windows[f"{method}_usual"] = p = usual.p_values(method, known, *sides)
        found[:, place] = np.where(np.isnan(found[:, place]), np.nan, np.fmax(found[:, place], p))
    return Measured(tests._replace(p_value=found), measured.measures, measured.p_values | of_windows)


def _binned(observed: Floats, expected: Floats) -> tuple[dict[str, Floats], dict[str, Floats], Difference]:
    """What the divergences of the bins measure, their p-values, and PSI as a test."""
    ours, theirs = divergence.pooled(observed, expected)
    psi, chi_square = divergence.psi(ours, theirs), divergence.chi_square(ours, theirs)
    p_value = significance.chi_square(chi_square, divergence.degrees(ours, theirs))
    entropy = divergence.entropy(ours)
    measures = {
        "psi": psi,
        "jensen_shannon": divergence.jensen_shannon(ours, theirs),
        "kl": divergence.kl(ours, theirs),
        "hellinger": divergence.hellinger(ours, theirs),
        "chi_square": chi_square,
        "total_variation": divergence.total_variation(ours, theirs),
        "entropy": entropy,
        "entropy_change": entropy - divergence.entropy(theirs),
    }
    return measures, {"chi_square": p_value}, Difference(psi, *divergence.psi_interval(ours, theirs), p_value)


def _nulls(pairs: Pairs) -> Difference:
    n, reference_n = _events(pairs)
    return shifts.rate_difference(pairs.ours.nulls, n, pairs.theirs.nulls, reference_n)


def _events(pairs: Pairs) -> tuple[Floats, Floats]:
    return pairs.ours.n + pairs.ours.nulls, pairs.theirs.n + pairs.theirs.nulls


def _rates(pairs: Pairs, nulls: Difference) -> dict[str, Floats]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"nulls": pairs.ours.nulls / (pairs.ours.n + pairs.ours.nulls), "nulls_change": nulls.value}


def _over(value: Floats, unit: Floats) -> Floats:
    """The value in units; 0 where all values are the same and there is no unit."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((unit == 0) & (value == 0), 0.0, value / unit)


def _tests(pairs: Pairs, given: dict[Method, tuple[Difference, float, Floats, Floats]]) -> Tests:
    shape = len(METHODS), len(pairs.signals)
    tests = Tests(*(np.full(shape, np.nan) for _ in Tests._fields))
    for place, method in enumerate(METHODS):
        if method in given:
            found, limit, n, reference_n = given[method]
            parts: list[Floats | float] = [*found, limit, n, reference_n]
            for column, part in zip(tests, parts, strict=True):
                column[place] = np.clip(part, -_FINITE, _FINITE)
    return Tests(*(column.T for column in tests))
