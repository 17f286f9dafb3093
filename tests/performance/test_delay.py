"""The delay curve is that of all labels, though of young days only the quick ones have come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from driftline_streams.performance import delay

HORIZON_MIN = 10 * delay.DAY_MIN
LAST = delay.last_bucket(HORIZON_MIN)
LAW = stats.lognorm(s=0.9, scale=30 * 60)  # minutes


def counts_of(delays_min: np.ndarray) -> np.ndarray:
    bucket = np.clip(np.ceil(delay.STEPS * np.log2(np.maximum(delays_min, 1))), 0, LAST).astype(int)
    return np.bincount(bucket, minlength=LAST + 1).astype(float)


def days_of(n_days: int, n: int, age_min: float, seed: int = 0) -> np.ndarray:
    """Days of one class as they have been seen when the last of them is so old: later labels have not come."""
    rng, out = np.random.default_rng(seed), []
    for day in range(n_days):
        delays_min, time_min = LAW.rvs(n, random_state=rng), delay.DAY_MIN * rng.random(n)
        came = time_min + delays_min <= age_min + delay.DAY_MIN * (n_days - day)
        out.append(counts_of(delays_min[came & (delays_min <= HORIZON_MIN)])[None])
    return np.array(out)


def curve_of(counts: np.ndarray, age_min: float, complete: np.ndarray | None = None) -> np.ndarray:
    lag = delay.lags(age_min, LAST, HORIZON_MIN)
    done = np.zeros(len(counts), bool) if complete is None else complete
    found: np.ndarray = delay.curves(counts, lag, done, [len(counts) - 1])[0]
    return found


def test_the_curve_agrees_with_scipy_where_the_share_of_what_has_come_is_too_quick() -> None:
    counts, age_min = days_of(40, 2_000, 0.0), 0.0
    (found,) = curve_of(counts, age_min)
    truth = LAW.cdf(np.minimum(delay.UPPER_MIN[: LAST + 1], HORIZON_MIN)) / LAW.cdf(HORIZON_MIN)
    assert np.abs(found - truth).max() < 0.01
    recent = counts[-4:].sum(axis=(0, 1))
    assert (recent.cumsum() / recent.sum() - truth).max() > 0.15


def test_of_days_seen_in_full_it_is_the_share_of_all_with_old_ones_forgotten() -> None:
    counts = days_of(12, 50, 30 * delay.DAY_MIN)
    (found,) = curve_of(counts, 30 * delay.DAY_MIN)
    weight = 0.5 ** (np.arange(12)[::-1] / delay.HALF_LIFE_DAYS)
    total = (weight[:, None] * counts[:, 0]).sum(axis=0)
    assert found == pytest.approx(total.cumsum() / total.sum())


def test_it_follows_a_label_process_that_has_changed() -> None:
    old, new = np.full((60, 1, LAST + 1), 0.0), np.full((42, 1, LAST + 1), 0.0)
    old[:, 0, 20], new[:, 0, 40] = 100, 100
    (found,) = curve_of(np.concatenate([old, new]), 30 * delay.DAY_MIN)
    assert found[39] == pytest.approx(0.5**3, rel=0.15)  # three half-lives ago


def test_nothing_is_known_beyond_the_age_of_the_oldest_day() -> None:
    young = days_of(3, 100, 0.0)
    assert np.isnan(curve_of(young, 0.0)[0, :-1]).all()
    # But of days whose labels are all there.
    quick = np.zeros((3, 1, LAST + 1))
    quick[:, 0, 4] = 10
    found = curve_of(quick, 60.0, np.array([True, True, False]))
    assert found[0].tolist() == [0.0] * 4 + [1.0] * (LAST - 3)


def test_a_class_of_few_labels_borrows_from_all() -> None:
    counts = np.zeros((20, 2, LAST + 1))
    counts[:, 0, 30] = 1_000
    counts[0, 1, 10] = 1
    both = curve_of(counts, 30 * delay.DAY_MIN)
    assert both[0, 29] == pytest.approx(0, abs=1e-3)
    assert 0 < both[1, 10] < 0.3  # by itself it would be 1


@given(
    arrays.arrays(np.int64, (9, 2, LAST + 1), elements=st.integers(0, 3)), st.floats(-delay.DAY_MIN, 2 * HORIZON_MIN)
)
def test_it_rises_from_0_to_1(counts: np.ndarray, age_min: float) -> None:
    found = curve_of(counts.astype(float), age_min)
    known = found[np.isfinite(found)]
    assert ((known >= 0) & (known <= 1)).all()
    assert (np.diff(np.nan_to_num(found), axis=1) >= -1e-12).all()
    assert (found[:, -1] == 1).all()


def test_what_has_come_of_a_day_agrees_with_counting() -> None:
    rng, n, clock_min = np.random.default_rng(1), 400_000, 30 * 60.0
    delays_min, time_min = LAW.rvs(n, random_state=rng), delay.DAY_MIN * rng.random(n)
    keep = delays_min <= HORIZON_MIN
    delays_min, time_min = delays_min[keep], time_min[keep]
    ages_min, weights = delay.ages({hour * 3_600: 100 for hour in range(24)}, int(clock_min * 60))
    came = counts_of(delays_min) @ delay.visible(ages_min, weights, LAST, HORIZON_MIN) / len(delays_min)
    assert came == pytest.approx((time_min + delays_min <= clock_min).mean(), abs=0.004)


def test_predictions_later_than_the_clock_have_no_labels_yet() -> None:
    ages_min, weights = delay.ages({0: 1, 86_400: 1}, 50_000)
    assert delay.visible(ages_min, weights, LAST, HORIZON_MIN).max() == 0.5
    assert delay.visible(*delay.ages({}, 0), LAST, HORIZON_MIN).tolist() == [0.0] * (LAST + 1)


def test_delays_that_cannot_be_count_as_none_and_endless_ones_as_the_longest() -> None:
    found = delay.classes({"tp\x1f-3": 1, "tp\x1f0": 2, "wrong\x1f1000": 4})
    assert (found["tp"][0], found["wrong"][-1]) == (3, 4)
    with pytest.raises(ValueError, match="invalid literal"):
        delay.classes({"tp": 1})
