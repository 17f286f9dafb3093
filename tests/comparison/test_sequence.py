"""Confidence sequences obey their laws; `tests/bench/test_compare.py` looks at them after every batch."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from driftline_streams.comparison import sequence

ALPHA = 0.05
count = st.integers(0, 5_000)


def ends(losses: float, wins: float, ties: float, alpha: float = ALPHA) -> tuple[float, float]:
    low, high = sequence.rates(losses, wins, ties, alpha)
    return float(low), float(high)


@settings(max_examples=40)
@given(count, count, count)
def test_the_sequence_of_rates_is_symmetric_and_holds_what_was_seen(losses: int, wins: int, ties: int) -> None:
    low, high = ends(losses, wins, ties)
    other_low, other_high = ends(wins, losses, ties)
    assert (low, high) == pytest.approx((-other_high, -other_low), abs=1e-12)
    assert -1 <= low <= (wins - losses) / max(1, losses + wins + ties) + 1e-12
    assert low <= high <= 1


@settings(max_examples=40)
@given(count, count, count)
def test_a_pair_that_one_side_wins_moves_both_ends_to_that_side(losses: int, wins: int, ties: int) -> None:
    low, high = ends(losses, wins, ties)
    for each, sign in (((losses, wins + 1, ties), 1), ((losses + 1, wins, ties), -1)):
        new_low, new_high = ends(*each)
        assert sign * (new_low - low) >= -1e-12
        assert sign * (new_high - high) >= -1e-12


@settings(max_examples=40)
@given(count, count, count)
def test_less_error_allowed_is_a_wider_interval(losses: int, wins: int, ties: int) -> None:
    low, high = ends(losses, wins, ties)
    wider_low, wider_high = ends(losses, wins, ties, ALPHA / 10)
    assert wider_low <= low
    assert wider_high >= high


def test_ten_times_the_pairs_narrow_the_interval() -> None:
    times = 10 ** np.arange(5)
    low, high = sequence.rates(4 * times, 6 * times, 90 * times, ALPHA)
    widths = high - low
    assert (np.diff(widths) < 0).all()
    assert widths[-1] < 0.01


def test_without_pairs_everything_is_possible() -> None:
    assert ends(0, 0, 0) == (-1, 1)
    assert sequence.means([0, 1], [0.0, 3.0], [0.0, 9.0], ALPHA)[0].tolist() == [-math.inf, -math.inf]


@pytest.mark.parametrize("limit", [-0.3, 0.0, 0.01, 0.2])
def test_evidence_is_expected_not_to_grow_while_the_difference_is_at_its_limit(limit: float) -> None:
    # The mean of the next fortune over the three outcomes of a pair is the fortune: a martingale.
    now = sequence.evidence(7, 12, 81, limit)
    losses, wins = 0.35 - limit / 2, 0.35 + limit / 2
    then = sequence.evidence([8, 7, 7], [12, 13, 12], [81, 81, 82], limit)
    assert np.exp(then) @ [losses, wins, 1 - losses - wins] == pytest.approx(np.exp(now), rel=1e-12)


def test_the_ends_are_where_the_evidence_is_enough() -> None:
    low, high = ends(40, 90, 870)
    assert sequence.evidence(40, 90, 870, low) == pytest.approx(math.log(2 / ALPHA), abs=1e-6)
    assert sequence.evidence(90, 40, 870, -high) == pytest.approx(math.log(2 / ALPHA), abs=1e-6)


def test_evidence_at_no_difference_is_about_that_of_a_smooth_mixture() -> None:
    # With any density of bets the evidence is an integral; of a flat one it is known, and ours is within a few nats.
    wins, losses = 70, 30
    flat, _ = integrate.quad(lambda bet: (1 + bet) ** wins * (1 - bet) ** losses, 0, 1)
    assert sequence.evidence(losses, wins, 0, 0.0) == pytest.approx(math.log(flat), abs=1.5)


@settings(max_examples=40)
@given(st.floats(-50, 50), st.floats(0.1, 20), st.integers(2, 10**6), st.floats(-5, 5))
def test_the_sequence_of_means_moves_with_the_data(mean: float, deviation: float, n: int, by: float) -> None:
    def around(center: float) -> tuple[float, float]:
        low, high = sequence.means(n, n * center, (n - 1) * deviation**2 + n * center**2, ALPHA)
        return float(low), float(high)

    low, high = around(mean)
    assert low < mean < high
    assert around(mean + by) == pytest.approx((low + by, high + by), abs=1e-4)
    assert around(-mean) == pytest.approx((-high, -low), abs=1e-6)
    assert high - mean > stats.norm.isf(ALPHA / 2) * deviation / math.sqrt(n)  # wider than for one look


def test_skewed_differences_need_25_times_their_squared_skewness() -> None:
    values = np.random.default_rng(2).lognormal(0, 1, (3, 400)) - 2
    sums = ((values**power).sum(axis=1) for power in (1, 2, 3))
    needed = sequence.pairs_needed(400, *sums)
    assert needed == pytest.approx(25 * stats.skew(values, axis=1) ** 2)
    assert sequence.pairs_needed([100, 0], [-300.0, 0.0], [900.0, 0.0], [-2700.0, 0.0]).tolist() == [math.inf] * 2
