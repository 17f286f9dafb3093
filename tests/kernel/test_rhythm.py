"""What a rhythm promises: shares that sum to one, hours that add up to the whole, and nothing where nothing moves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from driftline_schemas.records import Moments
from driftline_schemas.spec import Profile, Reference, Rhythm
from driftline_streams.kernel import moments
from driftline_streams.kernel.limits import DAY_MS, OTHER_CATEGORY
from driftline_streams.kernel.rhythm import HOUR_MS, coverage, expected, groups, slot, slots_of

MONDAY_MS = 1_735_862_400_000 + 3 * DAY_MS  # 2025-01-06 00:00 UTC
SLOTS = st.sampled_from([24, 168])


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    if draw(st.booleans()):
        counts = draw(arrays(np.int64, 64, elements=st.integers(0, 40), fill=st.just(0)).filter(np.any)).tolist()
        n = sum(counts)
        edges = [float(edge) for edge in range(63)]
        return Profile(type="numeric", moments=Moments(n, 3, 2.0 * n, 5.0 * n, 0, 9), edges=edges, counts=counts)
    names = st.text(max_size=3) | st.sampled_from([OTHER_CATEGORY, "__proto__"])
    categories = draw(st.dictionaries(names, st.integers(1, 40), min_size=1, max_size=30))
    return Profile(type="categorical", moments=Moments(0, 3, 0, 0, 0, 0), categories=categories)


def coarse(profile: Profile) -> np.ndarray:
    fine = profile.counts if profile.type == "numeric" else list(profile.categories.values())
    return np.bincount(groups(profile), weights=fine).astype(np.int64)


def reference(profile: Profile, slots: int, counts: np.ndarray, weeks: int = 3) -> Reference:
    numeric = profile.type == "numeric"
    levels = {"x": [2.0] * slots} if numeric else {}
    return Reference(
        id="r",
        model="m",
        version="1",
        n=int(counts.sum()),
        start_ms=MONDAY_MS,
        end_ms=MONDAY_MS + weeks * 7 * DAY_MS - 1,
        description="",
        signals={"x": profile},
        rhythm=Rhythm(
            slots=slots,  # type: ignore[arg-type]
            n=counts.sum(axis=1).tolist(),
            means=levels,
            deviations=levels,
            counts={"x": counts.tolist()},
        ),
    )


def scattered(profile: Profile, slots: int, seed: int) -> np.ndarray:
    """The values of each coarse bin over the slots, at random."""
    dice = np.random.default_rng(seed)
    shares = dice.dirichlet(np.full(slots, 0.1), size=len(coarse(profile)))
    return np.stack([dice.multinomial(n, share) for n, share in zip(coarse(profile), shares, strict=True)], axis=1)


def proportions(profile: Profile) -> np.ndarray:
    fine = np.array(profile.counts if profile.type == "numeric" else list(profile.categories.values()), float)
    shares: np.ndarray = fine / fine.sum()
    return shares


@settings(max_examples=50)
@given(profiles(), SLOTS, st.integers(0, 99), st.integers(0, 10**8), st.integers(1, 400 * DAY_MS))
def test_expected_proportions_sum_to_one_in_every_window(
    profile: Profile, slots: int, seed: int, offset_ms: int, width_ms: int
) -> None:
    found = expected(reference(profile, slots, scattered(profile, slots, seed)), "x", MONDAY_MS + offset_ms, width_ms)
    assert found is not None
    assert found.counts.sum() == pytest.approx(1)
    assert (found.counts >= 0).all()
    assert 0 <= found.level.n <= proportions(profile).size * 40


@settings(max_examples=50)
@given(profiles(), SLOTS, st.integers(0, 10**8), st.integers(1, 30 * DAY_MS))
def test_a_flat_rhythm_expects_the_profile(profile: Profile, slots: int, offset_ms: int, width_ms: int) -> None:
    flat = np.tile(coarse(profile), (slots, 1))
    found = expected(reference(profile, slots, flat), "x", MONDAY_MS + offset_ms, width_ms)
    assert found is not None
    assert found.counts == pytest.approx(proportions(profile))
    if profile.type == "numeric":
        assert [found.level.mean, found.level.deviation] == pytest.approx([2, 2])
    else:
        assert math.isnan(found.level.mean)


@settings(max_examples=15)
@given(profiles(), SLOTS, st.integers(0, 99))
def test_all_hours_together_are_the_profile_again(profile: Profile, slots: int, seed: int) -> None:
    counts = scattered(profile, slots, seed)
    made = reference(profile, slots, counts)
    values = counts.sum(axis=1)
    hours = [expected(made, "x", MONDAY_MS + i * HOUR_MS, HOUR_MS) for i in range(slots)]
    total = sum(n * hour.counts for n, hour in zip(values, hours, strict=True) if hour is not None)
    assert total == pytest.approx(proportions(profile) * values.sum())
    whole = expected(made, "x", MONDAY_MS, slots * HOUR_MS)
    assert whole is not None
    assert whole.counts == pytest.approx(proportions(profile))
    assert whole.level.n == values.sum()


def test_bins_that_are_fuller_at_an_hour_are_expected_fuller_there() -> None:
    profile = Profile(
        type="numeric", moments=Moments(640, 0, 0, 640, -1, 1), edges=list(map(float, range(63))), counts=[10] * 64
    )
    counts = np.zeros((24, 10), np.int64)
    counts[:12, :5], counts[12:, 5:] = coarse(profile)[:5] // 12, coarse(profile)[5:] // 12
    morning = expected(reference(profile, 24, counts), "x", MONDAY_MS + 3 * HOUR_MS, HOUR_MS)
    assert morning is not None
    assert morning.counts[groups(profile) < 5].sum() == pytest.approx(1)
    assert morning.level.n == counts[3].sum()


def test_without_a_rhythm_nothing_is_expected_of_an_hour() -> None:
    profile = Profile(type="categorical", moments=moments.EMPTY, categories={"a": 3, "b": 1})
    made = reference(profile, 24, np.tile(coarse(profile), (24, 1)))
    assert expected(made, "y", MONDAY_MS, HOUR_MS) is None


def test_hours_that_the_reference_has_never_seen_expect_its_whole_with_no_certainty() -> None:
    profile = Profile(type="categorical", moments=moments.EMPTY, categories={"a": 3, "b": 1})
    counts = np.zeros((24, 2), np.int64)
    counts[12] = [3, 1]
    found = expected(reference(profile, 24, counts), "x", MONDAY_MS, HOUR_MS)
    assert found is not None
    assert (found.counts.tolist(), found.level.n) == ([0.75, 0.25], 0)
    assert math.isnan(found.nulls)


def test_the_rate_of_missing_values_is_that_of_the_hour() -> None:
    profile = Profile(type="categorical", moments=Moments(0, 20, 0, 0, 0, 0), categories={"a": 20, "b": 10})
    made = reference(profile, 24, np.tile([2, 1], (24, 1)))
    assert made.rhythm is not None
    made.rhythm.n[5] = 30  # of which three have a value
    night = expected(made, "x", MONDAY_MS + 5 * HOUR_MS, HOUR_MS)
    day = expected(made, "x", MONDAY_MS + 6 * HOUR_MS, HOUR_MS)
    assert night is not None
    assert day is not None
    assert [night.nulls, day.nulls] == pytest.approx([0.9, 0])


@given(st.integers(0, 4 * 10**12), st.integers(1, 20 * DAY_MS), SLOTS)
def test_a_window_covers_as_many_hours_as_it_is_long(start_ms: int, width_ms: int, slots: int) -> None:
    hours = coverage(start_ms, width_ms, slots)
    assert hours.sum() == pytest.approx(width_ms / HOUR_MS)
    assert len(slots_of(start_ms, width_ms, slots)) == (hours > 0).sum()
    assert hours[slot(np.array([start_ms]), slots)[0]] > 0


def test_weeks_begin_on_monday_in_utc() -> None:
    assert slot(np.array([MONDAY_MS - 1, MONDAY_MS, MONDAY_MS + 7 * DAY_MS]), 168).tolist() == [167, 0, 0]
    assert slots_of(MONDAY_MS, DAY_MS, 168).tolist() == list(range(24))
