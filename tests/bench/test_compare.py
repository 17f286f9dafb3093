"""Equal models are rarely told apart however often one looks, and different ones about as soon as one look would."""

from __future__ import annotations

import numpy as np

from driftline_streams.comparison import sequence

from . import compare
from .compare import ALPHA, Pairs


def test_two_equal_models_are_rarely_told_apart_however_often_one_looks() -> None:
    worst = 0.0
    for looks in (compare.draw(Pairs(0.05, 0.05), 1_000, 200, 100, 5), compare.wandering(1_000, 200, 100, 6)):
        worst = max(worst, float(compare.ours(looks).any(axis=1).mean()))
        assert compare.mcnemar(looks).any(axis=1).mean() > 0.3  # what looking does to a test for one look
    assert worst <= ALPHA
    for name in ("normal", "Student t, 3 degrees", "log-normal"):
        assert compare.paired_errors(name, 300, 100, 50, 7) <= ALPHA


def test_a_difference_is_held_at_all_times_at_once() -> None:
    looks = compare.draw(Pairs(0.08, 0.12), 300, 40, 100, 8)
    low, high = sequence.rates(*looks, ALPHA)
    assert ((low > 0.04) | (high < 0.04)).any(axis=1).mean() <= ALPHA


def test_a_better_challenger_is_found_with_about_the_pairs_that_one_look_needs() -> None:
    looks = compare.draw(Pairs(0.04, 0.06), 300, 100, 100, 9)
    verdict = compare.ours(looks)
    first = np.where(verdict.any(axis=1), verdict.argmax(axis=1) + 1, np.inf) * 100
    assert np.median(first) < 1.2 * 1_960  # McNemar, once, with a power of 80 %
    exact = compare.dirichlet(looks)
    assert verdict.sum() > exact.sum()  # nor does the multinomial mixture find as soon
