"""The error to expect of a model of numbers, learned directly from the features of matured days.

In the walk: `features` learns from samples of matured days and asks for days without labels. Direct loss estimation:
the absolute error is a number like any other, and trees learn where it is large. They are fitted twice, on every other
day, so that each half tells how far off the other is on days that it has not seen; together they are the estimate. The
root mean squared error has errors of the same shape: in the mean, squares are so many times the square of what is
expected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from driftline_streams.estimation import table, trees
from driftline_streams.estimation.expected import Estimate
from driftline_streams.estimation.table import Encoder, Table
from driftline_streams.estimation.trees import Trees
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.significance import student_95

NUMBERS = ("mae", "rmse")
MOST_STRANGE = 0.2  # of a day's events with a value beyond what was learned
CALCULABLE = (1e-70, 1e70)  # mean errors between which fourth powers are neither 0 nor infinite
_LEAST = 0.1  # of the mean error: no event is expected to be better than that


class Sample(NamedTuple):
    """Events of one matured day, and the absolute error of each: shape `(n,)`."""

    start_s: int
    events: Table
    errors: Floats


@dataclass(frozen=True, slots=True)
class Losses:
    """What was learned from the days that start at `days`."""

    days: tuple[int, ...]
    encoder: Encoder
    halves: tuple[Trees, ...]
    mean: float  # of the absolute errors
    deviation: float
    noise: float  # variance of an error about what is expected of it, over the square of what is expected
    wild: float  # the same of its square
    square: float  # mean of the squares over the mean square of what is expected
    spread: float  # variance of the mean of a day about what is expected, beyond chance, over its square

    def expect(self, events: Table) -> Floats:
        """The absolute error to expect of each event, shape `(n,)`."""
        return np.asarray(self.by_half(events).mean(axis=0), np.float64)

    def by_half(self, events: Table) -> Floats:
        """The same by each half alone, shape `(2, n)`."""
        bins = self.encoder.bins(events)
        return np.maximum(np.stack([half.predict(bins) for half in self.halves]), _LEAST * self.mean)

    def strange(self, events: Table) -> list[str]:
        """The features of which too many events have values that nothing was learned of."""
        return sorted(
            name.removeprefix(table.ANSWER[0])
            for name, share in self.encoder.strange(events).items()
            if share > MOST_STRANGE
        )


def learn(samples: Sequence[Sample]) -> Losses:
    """From the samples of at least two days, none of them empty, with a mean error in `CALCULABLE`."""
    errors = np.concatenate([sample.errors for sample in samples])
    events = table.concatenate([sample.events for sample in samples])
    day = np.repeat(np.arange(len(samples)), [len(sample.errors) for sample in samples])
    encoder = table.encoder(events, errors)
    bins, mean = encoder.bins(events), float(errors.mean())
    sides = [np.flatnonzero(day % 2 == side) for side in (0, 1)]
    halves = tuple(trees.fit(bins[side], errors[side]) for side in sides)
    expected = np.empty(len(errors))
    for half, other in zip(halves, reversed(sides), strict=True):
        expected[other] = np.maximum(half.predict(bins[other]), _LEAST * mean)
    total, squares = np.bincount(day, expected), np.bincount(day, np.square(expected))
    noise = float(np.square(errors - expected).sum() / np.square(expected).sum())
    square = float(np.square(errors).sum() / np.square(expected).sum())
    wild = float(np.square(np.square(errors) - square * np.square(expected)).sum() / np.power(expected, 4).sum())
    off = (np.bincount(day, errors) - total) / total
    beyond = float(np.mean(np.square(off) - noise * squares / np.square(total)))
    return Losses(
        days=tuple(sample.start_s for sample in samples),
        encoder=encoder,
        halves=halves,
        mean=mean,
        deviation=float(errors.std()),
        noise=noise,
        wild=wild,
        square=square,
        spread=max(0.0, beyond),
    )


def of_day(learned: Losses, events: Table, n: int) -> dict[str, Estimate]:
    """The errors of a day with `n` answers, of which `events` are a sample of at least one."""
    by_half = learned.by_half(events)
    expected = by_half.mean(axis=0)
    mean, square = float(expected.mean()), float(np.square(expected).mean())
    fourth = float(np.power(expected, 4).mean())
    reach = float(student_95(max(len(learned.days) - 1, 2)))
    # Chance of the errors, of which events were drawn, how far apart the halves are, and how much days differ; all over
    # the square of the mean.
    drawn, differ = float(expected.var()) / len(expected) / mean**2, learned.spread
    differ += float(np.diff(by_half.mean(axis=1))[0]) ** 2 / 4 / mean**2
    half = reach * math.sqrt(learned.noise * square / n / mean**2 + drawn + differ)
    root, chance = math.sqrt(learned.square * square), learned.wild * fourth / n / (2 * learned.square * square) ** 2
    wide = reach * math.sqrt(chance + drawn + differ)
    return {
        "mae": Estimate(mean, mean * max(0.0, 1 - half), mean * (1 + half)),
        "rmse": Estimate(root, root * max(0.0, 1 - wide), root * (1 + wide)),
    }
