"""A rhythm is what comes back every day or every week, and only that."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from driftline_schemas.spec import Reference, Rhythm
from driftline_streams.kernel.histogram import Ints
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.rhythm import HOUR_MS, expected, level, phase, slot
from driftline_streams.reference import fit
from driftline_streams.reference.build import build

MONDAY_MS = 1_736_121_600_000  # 2025-01-06


def times(days: float, n: int, seed: int = 1) -> Ints:
    return np.sort(np.random.default_rng(seed).integers(MONDAY_MS, MONDAY_MS + int(days * DAY_MS), n))


def made(at_ms: Ints, segments: Any = None, **columns: Any) -> Reference:
    return build(
        "m",
        "1",
        {f"feature:{name}": values for name, values in columns.items()},
        n=len(at_ms),
        start_ms=int(at_ms.min()),
        end_ms=int(at_ms.max()),
        times_ms=at_ms,
        segments=segments,
    )


def rhythm_of(reference: Reference) -> Rhythm:
    assert reference.rhythm is not None
    return reference.rhythm


def daily(at_ms: Ints, size: float, seed: int = 2) -> np.ndarray:
    noise: np.ndarray = np.random.default_rng(seed).standard_normal(len(at_ms))
    return noise + size * np.sin(2 * np.pi * slot(at_ms, 24) / 24)


def weekly(at_ms: Ints) -> np.ndarray:
    """Daily, but at weekends."""
    values: np.ndarray = daily(at_ms, 1) + 2 * (slot(at_ms, 168) >= 5 * 24)
    return values


def test_three_weeks_are_known_by_the_hour_of_the_week_and_three_days_by_that_of_the_day() -> None:
    for days, slots in ((21.5, 168), (20, 24), (3.5, 24)):
        at_ms = times(days, 20_000)
        assert rhythm_of(made(at_ms, x=daily(at_ms, 1))).slots == slots
    at_ms = times(2.5, 20_000)
    assert made(at_ms, x=daily(at_ms, 1)).rhythm is None


def test_three_weeks_of_which_two_are_empty_are_no_weeks() -> None:
    at_ms = np.concatenate([times(2, 5_000), times(2, 5_000) + 28 * DAY_MS])
    assert rhythm_of(made(at_ms, x=daily(at_ms, 1))).slots == 24


def test_only_signals_that_move_with_the_hour_have_a_rhythm() -> None:
    at_ms = times(28, 40_000)
    dice = np.random.default_rng(3)
    hour = slot(at_ms, 24)
    reference = made(
        at_ms,
        level=daily(at_ms, 0.5),
        weak=daily(at_ms, 0.05),
        spread=dice.standard_normal(40_000) * np.where(hour < 12, 1, 2),
        noise=dice.standard_normal(40_000),
        constant=np.ones(40_000),
        empty=[None] * 40_000,
        at_night=np.where(hour < 6, np.nan, dice.standard_normal(40_000)),
        kind=np.where(dice.random(40_000) < np.where(hour < 12, 0.5, 0.3), "a", "b"),
        label=np.where(dice.random(40_000) < 0.5, "a", "b"),
    )
    rhythm = rhythm_of(reference)
    assert set(rhythm.counts) == {f"feature:{name}" for name in ("level", "spread", "at_night", "kind")}
    assert (
        set(rhythm.means) == set(rhythm.deviations) == {f"feature:{name}" for name in ("level", "spread", "at_night")}
    )


def test_500_signals_without_a_rhythm_have_none() -> None:
    at_ms = times(28, 20_000)
    noise = np.random.default_rng(4).standard_normal((500, 20_000))
    assert made(at_ms, **{f"x{i}": column for i, column in enumerate(noise)}).rhythm is None


def test_one_odd_monday_is_no_rhythm() -> None:
    at_ms = times(28, 40_000)
    level = np.random.default_rng(5).standard_normal(40_000)
    odd = at_ms < MONDAY_MS + DAY_MS
    assert made(at_ms, x=level + 3 * odd).rhythm is None
    every_monday = (at_ms - MONDAY_MS) // DAY_MS % 7 == 0
    assert made(at_ms, x=level + 3 * every_monday).rhythm is not None


def test_a_day_in_the_life_of_odd_weeks_is_still_a_day() -> None:
    at_ms = times(28, 40_000)
    of_day = np.random.default_rng(7).standard_normal(28)[(at_ms - MONDAY_MS) // DAY_MS]  # as weather is
    values = daily(at_ms, 1) + 2 * of_day
    rhythm = rhythm_of(made(at_ms, x=values, y=of_day))
    assert set(rhythm.counts) == {"feature:x"}
    assert rhythm.slots == 168
    counts = np.array(rhythm.counts["feature:x"])
    assert counts.sum(axis=1).tolist() == rhythm.n
    shares = (counts / counts.sum(axis=1, keepdims=True)).reshape(7, 24, 10)
    assert np.abs(shares - shares.mean(axis=0)).max() < 0.01
    assert rhythm.means["feature:x"][:24] == rhythm.means["feature:x"][24:48]
    noon = values[slot(at_ms, 24) == 12]
    assert rhythm.means["feature:x"][12] == pytest.approx(noon.mean(), abs=0.001)


def test_levels_by_the_hour_are_those_of_its_values() -> None:
    at_ms = times(28, 60_000)
    values = 1e6 + 10 * weekly(at_ms)
    rhythm = rhythm_of(made(at_ms, x=values))
    for index in (0, 30, 167):
        mine = values[slot(at_ms, 168) == index]
        assert rhythm.n[index] == sum(rhythm.counts["feature:x"][index]) == len(mine)
        assert rhythm.means["feature:x"][index] == pytest.approx(mine.mean(), abs=0.01)
        assert rhythm.deviations["feature:x"][index] == pytest.approx(mine.std(), abs=0.01)


def test_a_mean_can_move_where_the_bins_do_not() -> None:
    at_ms = times(28, 100_000)
    failed = np.random.default_rng(6).random(100_000) < np.where(slot(at_ms, 24) < 12, 0.012, 0.0)
    assert set(rhythm_of(made(at_ms, failed=failed.astype(float), x=daily(at_ms, 1))).counts) == {"feature:x"}
    failed = np.random.default_rng(6).random(100_000) < np.where(slot(at_ms, 24) == 12, 0.15, 0.001)
    assert "feature:failed" in rhythm_of(made(at_ms, failed=failed.astype(float))).counts


def test_what_is_expected_of_an_hour_is_what_it_held() -> None:
    at_ms = times(28, 60_000)
    values = weekly(at_ms)
    reference = made(at_ms, x=values)
    profile = reference.signals["feature:x"]
    hour = MONDAY_MS + 100 * 7 * DAY_MS + 30 * HOUR_MS
    found = expected(reference, "feature:x", hour, HOUR_MS)
    assert found is not None
    mine = values[slot(at_ms, 168) == 30]
    assert found.level.n == len(mine)
    share = (mine[:, None] >= np.array(profile.edges)).mean(axis=0)
    assert np.abs(1 - np.cumsum(found.counts)[:-1] - share).max() < 0.04  # a coarse bin is split as in the whole
    day = expected(reference, "feature:x", hour // DAY_MS * DAY_MS, DAY_MS)
    assert day is not None
    assert day.level.mean == pytest.approx(0, abs=0.05)
    sunday = expected(reference, "feature:x", MONDAY_MS + 6 * DAY_MS, DAY_MS)
    assert sunday is not None
    assert sunday.level.mean == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("width_ms", [1_000, 60_000, HOUR_MS, 90 * 60_000, 6 * HOUR_MS, DAY_MS])
@pytest.mark.parametrize("slots", [24, 168])
def test_windows_of_the_same_phase_are_expected_at_the_same_level(slots: int, width_ms: int) -> None:
    at_ms = times(28 if slots == 168 else 4, 20_000)
    reference = made(at_ms, x=weekly(at_ms) if slots == 168 else daily(at_ms, 1))
    assert reference.rhythm is not None
    assert reference.rhythm.slots == slots
    for start_ms in range(MONDAY_MS + 40 * 7 * DAY_MS, MONDAY_MS + 41 * 7 * DAY_MS, 7 * HOUR_MS + width_ms // 2):
        there = expected(reference, "feature:x", start_ms, width_ms)
        here = level(reference, "feature:x", *phase(start_ms, width_ms, slots))
        assert there is not None
        assert here is not None
        assert here.n == there.level.n
        assert here[1:] == pytest.approx(there.level[1:], rel=1e-12)


def test_values_beyond_all_measure_are_no_accident() -> None:
    at_ms = times(28, 2_000)
    assert made(at_ms, x=np.where(slot(at_ms, 24) < 12, 1e308, -1e308), y=np.full(2_000, 5e-324)).rhythm is not None


def test_a_rhythm_survives_the_topic() -> None:
    at_ms = times(28, 20_000)
    reference = made(at_ms, x=daily(at_ms, 1), c=np.where(slot(at_ms, 24) < 12, "a", "b"))
    assert msgspec.json.decode(msgspec.json.encode(reference), type=Reference) == reference


def test_the_least_seasonal_signals_are_left_out_of_a_record_that_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fit, "RHYTHM_BYTES", 20_000)
    at_ms = times(28, 20_000)
    reference = made(at_ms, **{f"x{size}": daily(at_ms, size, size) for size in range(1, 6)})
    rhythm = rhythm_of(reference)
    assert len(msgspec.json.encode(rhythm)) <= 20_000
    kept = sorted(rhythm.counts)
    assert 0 < len(kept) < 5
    assert kept == [f"feature:x{size}" for size in range(6 - len(kept), 6)]


def test_segments_are_the_most_frequent_values_and_the_rest() -> None:
    at_ms = times(2, 3_000)
    country = [f"c{i % 60:02}" if i % 3 else "AT" for i in range(2_990)] + [None] * 5 + [""] * 5
    values = np.arange(3_000.0)
    values[::10] = np.nan
    reference = made(at_ms, segments={"country": country}, x=values, c=["a", "b"] * 1_500)
    slices = reference.segments["country"]
    assert len(slices) == 41
    assert sum(piece.n for piece in slices.values()) == 2_990
    mine = np.array([value == "AT" for value in country])
    assert slices["AT"].n == mine.sum()
    assert slices["AT"].moments["feature:x"].nulls == np.isnan(values[mine]).sum()
    assert sum(slices["AT"].bins["feature:x"].values()) == slices["AT"].moments["feature:x"].n
    assert slices["AT"].bins["feature:c"] == {
        "a": sum(mine[::2]),
        "b": sum(mine[1::2]),
    }
    total = np.zeros(64, np.int64)
    everyone = made(at_ms, segments={"all": ["x"] * 3_000}, x=values)
    for label, count in everyone.segments["all"]["x"].bins["feature:x"].items():
        total[int(label)] = count
    assert total.tolist() == reference.signals["feature:x"].counts


def test_segments_beyond_the_fiftieth_are_other_and_fewer_when_the_record_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_ms = times(2, 4_000)
    user = [f"u{int(i**0.5)}" for i in range(4_000)]
    slices = made(at_ms, segments={"user": user}, x=np.arange(4_000.0)).segments["user"]
    assert len(slices) == 51
    assert sum(piece.n for piece in slices.values()) == 4_000
    assert "u62" in slices
    assert "u0" not in slices
    monkeypatch.setattr(fit, "MAX_BYTES", 5_000)
    slices = made(at_ms, segments={"user": user}, x=np.arange(4_000.0)).segments["user"]
    assert len(slices) == 26
    assert sum(piece.n for piece in slices.values()) == 4_000
