"""What the watch over a signal promises: standard normal values without a change, by the hour too, and changes told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from driftline_schemas.records import Moments
from driftline_schemas.spec import DriftRules, ModelSpec, Profile, Reference
from driftline_streams.detectors.changes import shapes, skew
from driftline_streams.detectors.changes.levels import watch_of
from driftline_streams.detectors.changes.noise import Noise
from driftline_streams.detectors.changes.watch import WARM_UP, Change, Point, Watch, WatchState
from driftline_streams.kernel import moments
from driftline_streams.reference.build import build

from .builders import DAY, HOUR, SECOND

WIDTH = 10 * SECOND
BUDGET = 1 / 720  # false alarms a day: a signal of four, with the default of 30 days
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

SIGNALS: dict[str, Draw] = {
    "normal": lambda r, shape: r.normal(5, 2, shape),
    "skewed": lambda r, shape: r.exponential(1.0, shape),
    "heavy-tailed": lambda r, shape: r.lognormal(0, 1, shape),
    "discrete": lambda r, shape: r.poisson(3, shape).astype(float),
    "binary": lambda r, shape: (r.random(shape) < 0.2).astype(float),
}
EACH = pytest.mark.parametrize("draw", SIGNALS.values(), ids=list(SIGNALS))


def reference_of(values: np.ndarray, **more: object) -> Reference:
    return build("m", "1", {"feature:x": values}, n=len(values), start_ms=0, end_ms=DAY, **more)  # type: ignore[arg-type]


def watch(reference: Reference | None = None, allowed: float = BUDGET) -> Watch:
    return watch_of(ModelSpec(model="m"), reference, "feature:x", allowed, None)


def feed(watch: Watch, windows: Iterable[np.ndarray], start: int = 0, width_ms: int = WIDTH) -> list[Change]:
    found = []
    for i, values in enumerate(windows, start):
        sums = moments.of_values(values)
        found += watch.update(Point(i * width_ms, (i + 1) * width_ms, sums.n, moments.mean(sums)), sums)
    return found


@EACH
def test_fed_values_are_standard_normal_whatever_the_signal_and_the_size_of_windows(
    draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    r = np.random.default_rng(1)
    one = watch(reference_of(draw(r, (20_000,))))
    fed: list[float] = []
    detector = one._detectors[0]
    update = detector.update

    def listen(x: float) -> bool:
        fed.append(x)
        return update(x)

    monkeypatch.setattr(detector, "update", listen)
    sizes = r.choice([3, 30, 200], 3_000)
    feed(one, (draw(r, (n,)) for n in sizes))
    assert 0.85 < np.var(fed) < 1.15
    assert abs(stats.skew(fed)) < 0.3
    assert stats.kstest(np.array(fed) - np.mean(fed), "norm").statistic < 0.06


@EACH
def test_false_alarms_are_as_many_as_allowed(draw: Draw) -> None:
    """A smoke test of what `make run-length` measures: two detectors, one alarm in 300 values allowed of each."""
    windows, allowed, seen = 6_000, 20.0, 0
    for seed in range(2):
        r = np.random.default_rng(seed)
        one = watch(reference_of(draw(r, (20_000,))), allowed=2 * DAY / WIDTH / 300)
        seen += sum(not change.shape for change in feed(one, draw(r, (windows // 2, 30))))
    assert 0.4 * 2 * allowed < seen < 1.6 * 2 * allowed


def test_a_step_is_found_with_its_size_and_interval_in_the_signals_own_unit() -> None:
    r = np.random.default_rng(2)
    one = watch(reference_of(r.normal(100, 20, 20_000)))
    found = feed(one, [*r.normal(100, 20, (300, 25)), *r.normal(110, 20, (100, 25))])
    changes = [change for change in found if not change.shape]
    assert {change.method for change in changes} == {"adwin", "page_hinkley"}
    for change in changes:
        assert 300 * WIDTH <= change.point.start_ms < 340 * WIDTH
        assert abs(change.since_ms - 300 * WIDTH) <= 5 * WIDTH
        assert change.before == pytest.approx(100, abs=1)
        assert change.after == pytest.approx(110, abs=3)
        assert change.effect == pytest.approx(0.5, abs=0.15)
        assert change.low < change.effect < change.high < change.low + 0.4
    assert [change.shape for change in found if change.shape] == ["abrupt", "abrupt"]
    told = [change._replace(shape="") for change in found if change.shape]
    assert sorted(told) == sorted(changes)  # the same finding again


def test_what_windows_differ_by_beyond_sampling_raises_nothing() -> None:
    r = np.random.default_rng(3)
    levels = r.normal(0, 1.0, 3_000)  # each window its own, as large as single values vary
    assert feed(watch(), (r.normal(level, 1, 50) for level in levels)) == []


def test_windows_that_wander_and_return_raise_little_because_neighbours_vary_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def alarms() -> int:
        r, level, windows = np.random.default_rng(4), 0.0, []
        for _ in range(3_000):
            level = 0.7 * level + r.normal(0, 0.3)
            windows.append(r.normal(level, 1, 50))
        return sum(not change.shape for change in feed(watch(), windows))

    few = alarms()
    monkeypatch.setattr("driftline_streams.detectors.changes.noise.NEIGHBOURS", math.inf)
    assert few <= 4
    assert alarms() > 2 * few


def test_a_million_events_a_window_make_no_change_of_what_always_varies() -> None:
    r = np.random.default_rng(5)
    one = watch()
    for i in range(1_000):
        mean = 20 + r.normal(0, 0.1)
        sums = Moments(1_000_000, 0, mean * 1e6, (mean**2 + 4) * 1e6, 0.0, 40.0)
        assert one.update(Point(i * WIDTH, (i + 1) * WIDTH, sums.n, mean), sums) == []


def rhythm(r: np.random.Generator, times_ms: np.ndarray) -> np.ndarray:
    """Ten deviations between night and day, and less at the weekend."""
    hours = times_ms / HOUR
    weekend = ((hours // 24 + 3) % 7 >= 5) * -2.0
    return np.asarray(20 + 5 * np.sin(2 * np.pi * hours / 24) + weekend + r.normal(0, 1, len(times_ms)), np.float64)


def seasonal() -> Reference:
    r = np.random.default_rng(6)
    times_ms = np.sort(r.integers(0, 28 * DAY, 40_000))
    return build("m", "1", {"feature:x": rhythm(r, times_ms)}, n=40_000, start_ms=0, end_ms=28 * DAY, times_ms=times_ms)


def hours(r: np.random.Generator, first: int, last: int, shift: float = 0.0) -> list[np.ndarray]:
    return [rhythm(r, r.integers(i * HOUR, (i + 1) * HOUR, 40)) + shift for i in range(first, last)]


def test_a_weekly_rhythm_raises_nothing_in_eight_weeks_and_a_shift_on_top_of_it_is_found() -> None:
    reference = seasonal()
    assert reference.rhythm is not None
    r = np.random.default_rng(7)
    one, weeks = watch(reference), 8 * 7 * 24
    assert feed(one, hours(r, 0, weeks), width_ms=HOUR) == []
    found = feed(one, hours(r, weeks, weeks + 7 * 24, shift=1.0), start=weeks, width_ms=HOUR)
    quick, sized = (next(each for each in found if each.method == method) for method in ("adwin", "page_hinkley"))
    assert quick.point.start_ms <= (weeks + 3) * HOUR
    assert sized.seasonal
    assert sized.point.start_ms < (weeks + 12) * HOUR
    assert sized.effect == pytest.approx(1.0, abs=0.25)
    assert sized.after - sized.before == pytest.approx(1.0, abs=0.25)


def test_a_change_without_a_rhythm_is_not_seasonal() -> None:
    r = np.random.default_rng(8)
    found = feed(watch(), [*r.normal(0, 1, (100, 20)), *r.normal(2, 1, (60, 20))])
    assert found
    assert not any(change.seasonal for change in found)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(0, 260), size=st.integers(1, 40))
def test_a_restored_watch_goes_on_as_if_nothing_had_happened(seed: int, cut: int, size: int) -> None:
    r = np.random.default_rng(seed)
    windows = [*r.exponential(1, (150, size)), *r.exponential(2, (110, size))]
    whole, rules = Watch(DriftRules(), None, allowed=1.0), DriftRules()
    expected = feed(whole, windows)
    before = Watch(rules, None, allowed=1.0)
    got = feed(before, windows[:cut])
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(before.snapshot()), type=WatchState)
    after = Watch(rules, None, allowed=1.0, state=stored)
    got += feed(after, windows[cut:], start=cut)
    assert got == expected
    assert after.snapshot() == whole.snapshot()


def test_a_state_is_as_small_as_stated() -> None:
    r = np.random.default_rng(9)
    one = watch(reference_of(r.normal(0, 1, 20_000)))
    feed(one, r.normal(0, 1, (3_000, 30)))
    assert len(msgspec.msgpack.encode(one.snapshot())) < 3_000
    feed(one, [r.normal(level, 1, 30) for level in range(0, 40, 2) for _ in range(15)], start=3_000)
    assert len(msgspec.msgpack.encode(one.snapshot())) < 5_000


@pytest.mark.parametrize(
    "values",
    [np.full(40, np.nan), np.array([]), np.full(40, 5.0), np.array([1e300, -1e300] * 20), np.array([0.0])],
    ids=["nan", "empty", "constant", "huge", "zero"],
)
def test_strange_windows_raise_nothing_and_break_nothing(values: np.ndarray) -> None:
    assert feed(watch(), [values] * 100) == []
    empty = Reference(
        id="r", model="m", version="1", n=0, start_ms=0, end_ms=0, description="",
        signals={"feature:x": Profile(type="numeric", moments=moments.EMPTY)},
    )  # fmt: skip
    assert feed(watch(empty), [values] * 100) == []


def test_nothing_is_said_before_the_warm_up_is_over() -> None:
    one = watch()
    assert feed(one, [np.full(10, 1.0 if i < 10 else 9.0) for i in range(WARM_UP - 1)]) == []
    assert one.state.arms == []


# --- shapes


def around(levels: Iterable[float], seed: int = 0) -> list[float]:
    r = np.random.default_rng(seed)
    return [float(level + r.normal()) for level in levels]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("shape", "levels", "earlier"),
    [
        ("abrupt", [0] * 40 + [3] * 56, []),
        ("gradual", [0] * 24 + list(np.linspace(0, 4, 48)) + [4] * 24, []),
        ("temporary", [0] * 40 + [3] * 26 + [0] * 30, []),
        ("recurring", [0] * 40 + [3] * 56, [-4.0, 3.2]),
        ("abrupt", [0] * 40 + [3] * 56, [-4.0, 8.0]),
    ],
)
def test_shapes_are_told_from_the_values_before_and_after(
    shape: str, levels: list[float], earlier: list[float], seed: int
) -> None:
    values = around(levels, seed)
    assert shapes.tell(values[:48], values[48:], 3.0, earlier) == shape


def test_a_level_that_comes_back_is_recurring_after_it_was_told_temporary_or_abrupt() -> None:
    r = np.random.default_rng(10)
    one = watch(reference_of(r.normal(0, 1, 20_000)))
    levels = [0.0] * 200 + [1.5] * 200 + [0.0] * 200
    found = [c for c in feed(one, [r.normal(level, 1, 20) for level in levels]) if c.method == "adwin" and c.shape]
    assert [(change.direction, change.shape) for change in found] == [("up", "abrupt"), ("down", "recurring")]


# --- parts


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda r: r.normal(size=20_000), 0.0),
        (lambda r: r.exponential(size=20_000), 2.0),
        (lambda r: -r.exponential(size=20_000), -2.0),
        (lambda r: r.lognormal(0, 0.5, 20_000), 1.75),
        (lambda r: r.random(20_000), 0.0),
        (lambda r: r.standard_t(4, 20_000), 0.0),
    ],
)
def test_the_skewness_of_a_profile_is_that_of_its_values(draw: Callable[..., np.ndarray], expected: float) -> None:
    profile = reference_of(draw(np.random.default_rng(11))).signals["feature:x"]
    assert skew.of_profile(profile) == pytest.approx(expected, abs=0.3)


@given(st.floats(-20, 20), st.floats(0, 20), st.floats(-8, 8), st.booleans())
def test_straightening_keeps_the_order(x: float, step: float, skewness: float, rate: bool) -> None:
    low, high = (skew.straighten(value, skewness, rate=rate) for value in (x, x + step))
    assert low <= high + 1e-9
    assert math.isfinite(low)


@pytest.mark.parametrize("excess", [0.0, 0.02, 0.5])
def test_the_excess_between_windows_is_estimated_and_only_where_there_is_some(excess: float) -> None:
    r = np.random.default_rng(12)
    noise = Noise(within=1.0, freedom=1e5)
    for _ in range(1_300):
        n = int(r.integers(10, 90))
        noise.update(float(r.normal(0, math.sqrt(1 / n + excess))), n, 0.0)
    assert noise.excess == pytest.approx(excess, rel=0.2)
    assert noise.inflation == 1.0


def test_neighbours_that_vary_together_count_for_less() -> None:
    r = np.random.default_rng(13)
    noise, level = Noise(within=1.0, freedom=1e5), 0.0
    for _ in range(1_300):
        level = 0.5 * level + r.normal(0, 0.5)
        noise.update(level, 100, 0.0)
    assert noise.inflation == pytest.approx(3.0, rel=0.35)  # (1 + 0.5) / (1 - 0.5)
