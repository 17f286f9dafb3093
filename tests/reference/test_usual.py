"""A reference knows how its hours and days differ, and a window is held against that."""

from __future__ import annotations

import numpy as np
import pytest

from driftline_schemas.records import Moments
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.kernel import divergence, moments
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.usual import NEAR, of_width, p_values
from driftline_streams.reference.build import build
from driftline_streams.reference.columns import Values

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
N = 400  # events of a day
DICE = np.random.default_rng(3)


def weather(days: int, spread: float = 1.0, shift: float = 0.0) -> Floats:
    """Days whose events share a level: shape `(days, N)`."""
    return np.asarray(DICE.normal(shift, spread, (days, 1)) + DICE.normal(0, 0.5, (days, N)), np.float64)


def times(days: int) -> np.ndarray:
    return (np.arange(days)[:, None] * DAY_MS + np.arange(N) * (DAY_MS // N)).ravel()


def reference_of(days: Floats) -> Reference:
    n = days.size
    return build(*("m", "1", {"feature:x": days.ravel()}), n=n, start_ms=0, end_ms=n, times_ms=times(len(days)))


def test_the_levels_are_those_of_each_day_beside_the_others() -> None:
    days = weather(20)
    reference = reference_of(days)
    profile = reference.signals["feature:x"]
    usual = of_width(profile, DAY_MS)
    assert usual is not None
    assert usual.n == 20
    unit = moments.deviation(profile.moments)
    moved = [(day.mean() - np.delete(days, i, axis=0).mean()) / unit for i, day in enumerate(days)]
    assert usual.mean is not None
    assert usual.mean.mean == pytest.approx(np.mean(moved))
    assert usual.mean.deviation == pytest.approx(np.std(moved, ddof=1))
    edges = profile.edges
    distances = []
    for i, day in enumerate(days):
        ours = np.bincount(np.searchsorted(edges, day, side="right"), minlength=64)
        theirs = np.bincount(np.searchsorted(edges, np.delete(days, i, axis=0).ravel(), side="right"), minlength=64)
        distances.append(float(divergence.ks(ours, theirs)))
    assert usual.ks is not None
    assert usual.ks.mean == pytest.approx(np.log(np.array(distances) + NEAR).mean())


@pytest.mark.parametrize("method", ["ks", "psi", "mean"])
def test_of_days_like_those_of_the_reference_few_surprise(method: str) -> None:
    reference = reference_of(weather(40))
    profile = reference.signals["feature:x"]
    usual = of_width(profile, DAY_MS)
    unit, centre = moments.deviation(profile.moments), moments.mean(profile.moments)
    expected = np.tile(np.array(profile.counts), (500, 1))
    new = weather(500)
    observed = np.stack(
        [np.bincount(np.searchsorted(profile.edges, day, side="right"), minlength=64) for day in new]
    ).astype(np.float64)
    group = divergence.coarse_bins(expected)
    effect = {
        "ks": divergence.ks(observed, expected),
        "psi": divergence.psi(
            *divergence.pooled(divergence.sum_by(group, observed), divergence.sum_by(group, expected))
        ),
        "mean": (new.mean(axis=1) - centre) / unit,
    }[method]
    p = p_values(method, [usual] * 500, effect, effect - 0.1, effect + 0.1)  # type: ignore[arg-type]
    assert (p < 0.05).mean() < 0.12
    assert (p < 0.001).mean() < 0.02


def test_a_day_beyond_all_days_surprises_and_one_of_independent_events_does_sooner() -> None:
    level = {
        name: of_width(reference_of(days).signals["feature:x"], DAY_MS)
        for name, days in (("weather", weather(28)), ("alike", weather(28, spread=0.0)))
    }
    effect = np.array([1.0])
    p = {name: float(p_values("mean", [usual], effect, effect - 0.1, effect + 0.1)[0]) for name, usual in level.items()}
    assert p["weather"] > 0.05
    assert p["alike"] < 1e-9
    far = np.array([12.0])
    assert float(p_values("mean", [level["weather"]], far, far - 0.1, far + 0.1)[0]) < 1e-6


def test_days_of_the_week_are_compared_with_their_like() -> None:
    week = np.where(np.arange(28) % 7 < 5, 0.0, 3.0)[:, None]
    days = week + DICE.normal(0, 0.5, (28, N))
    reference = reference_of(np.asarray(days, np.float64))
    assert reference.rhythm is not None
    usual = of_width(reference.signals["feature:x"], DAY_MS)
    assert usual is not None
    assert usual.mean is not None
    assert usual.mean.deviation < 0.1  # weekends are no surprise


def test_hours_and_days_have_their_own() -> None:
    hours = np.asarray(DICE.normal(0, 1, (10, 24, 1)) + DICE.normal(0, 0.5, (10, 24, 60)), np.float64)
    n = hours.size
    at = (np.arange(240)[:, None] * HOUR_MS + np.arange(60) * 60_000).ravel()
    profile = build("m", "1", {"feature:x": hours.ravel()}, n=n, start_ms=0, end_ms=n, times_ms=at).signals["feature:x"]
    hour, day = of_width(profile, HOUR_MS), of_width(profile, DAY_MS)
    assert hour is not None
    assert day is not None
    assert (hour.width_s, hour.n, day.width_s, day.n) == (3_600, 240, 86_400, 10)
    assert hour.mean is not None
    assert day.mean is not None
    assert hour.mean.deviation > 2 * day.mean.deviation
    assert of_width(profile, 7 * DAY_MS) == day
    assert of_width(profile, 60_000) == hour


def test_a_reference_that_cannot_know_says_nothing() -> None:
    few = reference_of(weather(4))
    assert all(each.width_s < 86_400 for each in few.signals["feature:x"].usual)
    timeless = build("m", "1", {"feature:x": weather(20).ravel()}, n=20 * N, start_ms=0, end_ms=1)
    assert timeless.signals["feature:x"].usual == []
    effect = np.array([0.5])
    assert np.isnan(p_values("psi", [None], effect, effect, effect)).all()


def test_constant_missing_and_odd_columns_do_no_harm() -> None:
    n = 20 * N
    columns: dict[str, Values] = {
        "feature:constant": np.full(n, 7.0),
        "feature:nothing": np.full(n, np.nan),
        "feature:__proto__": ["a", None] * (n // 2),
        "feature:million": [f"v{i}" for i in range(n)],
    }
    made = build("m", "1", columns, n=n, start_ms=0, end_ms=1, times_ms=times(20))
    assert made.signals["feature:nothing"].usual == []
    for name in ("feature:constant", "feature:__proto__", "feature:million"):
        for usual in made.signals[name].usual:
            assert np.isfinite([usual.psi.mean, usual.psi.deviation, usual.nulls.mean, usual.nulls.deviation]).all()
    constant = of_width(made.signals["feature:constant"], DAY_MS)
    assert constant is not None
    assert constant.mean is not None
    assert (constant.mean.mean, constant.mean.deviation) == (0.0, 0.0)


def test_findings_on_real_days_are_those_beyond_them() -> None:
    from driftline_streams.detectors.budget import thresholds
    from driftline_streams.detectors.window_tests import drift
    from driftline_streams.kernel.histogram import bin_index
    from driftline_streams.windows.cells import WideCell

    reference = reference_of(weather(28))
    spec = ModelSpec(model="m", test_windows_s=(86_400,))

    def drifted(day: Floats, against: Reference) -> bool:
        index, counts = np.unique(bin_index(day, against.signals["feature:x"].edges), return_counts=True)
        bins = {str(i): int(c) for i, c in zip(index, counts, strict=True)}
        sums: dict[str, Moments] = {"feature:x": moments.of_values(day)}
        cell = WideCell(40 * DAY_MS, DAY_MS, N, against.id, sums, {"feature:x": bins})
        (result,) = drift.compare(against, cell, spec.drift, thresholds(spec, DAY_MS))
        return result.state == "drift"

    days = weather(60)
    independent = build("m", "1", {"feature:x": weather(28).ravel()}, n=28 * N, start_ms=0, end_ms=1)
    assert sum(drifted(day, independent) for day in days) > 40  # a test of independent events
    assert sum(drifted(day, reference) for day in days) <= 3
    assert all(drifted(day, reference) for day in weather(20, shift=9.0))
