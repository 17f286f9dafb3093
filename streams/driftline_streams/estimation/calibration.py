"""How often a score comes true, learned from matured days, with how much one day differs from the next.

In the walk: `expected` reads the performance of an unlabelled day from it, `relation` holds a matured day against it.
Outcomes of one day are more alike than those of many: the weather is the same for all. So beside the curve stands how
much days differ, in level and in slope, and whatever is said of one day allows for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftline_streams.estimation import curve
from driftline_streams.estimation.curve import Curve, expit
from driftline_streams.estimation.histogram import CELLS, CENTRES
from driftline_streams.kernel.histogram import Floats

BANDS = 20  # of scores, each a twentieth wide, as in the cells


@dataclass(frozen=True, slots=True)
class Day:
    """The outcomes of one day, or of several, of which at least one has a score: as many as they tell when weighted."""

    start_s: int
    end_s: int
    positives: Floats  # by cell of the grid, shape `(CELLS,)`
    negatives: Floats
    answers: Floats  # by band of the score, shape `(BANDS,)`
    wrong: Floats

    @property
    def n(self) -> float:
        """Outcomes with a score."""
        return float(self.positives.sum() + self.negatives.sum())


def merge(days: Sequence[Day]) -> Day:
    """All of them together; at least one."""
    return Day(
        min(day.start_s for day in days),
        max(day.end_s for day in days),
        *(
            np.sum([getattr(day, name) for day in days], axis=0)
            for name in ("positives", "negatives", "answers", "wrong")
        ),
    )


@dataclass(frozen=True)
class Calibration:
    """What was learned from `days` days, and their sum."""

    curve: Curve
    learned: Day
    days: int
    spread: Floats  # variances of the level and of the slope of a day, in logits, shape `(2,)`

    @cached_property
    def logit(self) -> Floats:
        """Of the probability in each cell, shape `(CELLS,)`."""
        return self.curve.at(CENTRES)

    @cached_property
    def probability(self) -> Floats:
        """Of coming true in each cell, shape `(CELLS,)`."""
        return expit(self.logit)

    @cached_property
    def contrasts(self) -> Floats:
        """The level and the slope of a day as functions of the cell, shape `(CELLS, 2)`."""
        return contrasts(self.learned, self.probability)


def learn(days: Sequence[Day]) -> Calibration:
    """From at least one day; with fewer than two nothing is known of how days differ, and none is assumed."""
    together = merge(days)
    drawn = curve.fit(CENTRES, together.positives, together.negatives)
    p = expit(drawn.at(CENTRES))
    shape = contrasts(together, p)
    positives = np.array([day.positives for day in days])
    total = positives + np.array([day.negatives for day in days])
    variance = total * p * (1 - p)
    moved, information = (positives - total * p) @ shape, variance @ np.square(shape)  # shape `(days, 2)`
    # The days were part of the curve, which therefore comes closer to them than to the next one.
    fewer = len(days) / max(len(days) - 1, 1)
    spread = np.maximum((np.square(moved) * fewer - information).sum(axis=0), 0) / np.maximum(
        np.square(information).sum(axis=0), 1e-12
    )
    return Calibration(drawn, together, len(days), spread if len(days) > 1 else np.zeros(2))


def contrasts(learned: Day, p: Floats) -> Floats:
    """Level and slope, apart from each other on the days that were learned from; shape `(CELLS, 2)`."""
    weight = (learned.positives + learned.negatives) * p * (1 - p)
    middle = np.average(CENTRES, weights=weight)
    width = np.sqrt(np.average(np.square(CENTRES - middle), weights=weight)) or 1.0
    return np.stack([np.ones(CELLS), np.clip((CENTRES - middle) / width, -3, 3)], axis=1)
