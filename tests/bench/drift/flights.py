"""A year of flights: January is the reference, and what came after it is as it was; or in no order at all.

What changed in them nobody knows, but in no order nothing does. So what somebody finds in the first is worth as much as
how little of it is found in the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from driftline_streams.demo.features import CATEGORIES, NUMBERS
from driftline_streams.demo.flights import load

from .streams import HOUR_MS, Alarm, Ints, Stream, rows

JANUARY = 1
MONTHS = 11
BEHIND_MS = 5 * HOUR_MS  # New York's clocks: the last evening of the year is no month of its own


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody said of a stream of flights: alarms, and in how many months each signal had one."""

    alarms: int
    months: dict[str, int]

    @property
    def cells(self) -> int:
        """Pairs of a signal and a month with an alarm."""
        return sum(self.months.values())


@cache
def flights() -> Stream:
    """Thirteen features of every flight from February on, as they were known at the hour of the prediction."""
    data = load()
    table = {name: np.array(data.categories[name].tolist()) for name in CATEGORIES}
    table |= {name: data.numbers[:, i].copy() for i, name in enumerate(NUMBERS)}
    reference = int((data.month == JANUARY).sum())  # rows are in the order of predictions, which is that of departures
    return Stream(
        rows(table, slice(reference, None)),
        data.predicted_ms[reference:],
        rows(table, slice(0, reference)),
        reference_ms=data.predicted_ms[:reference],
    )


def shuffled(seed: int) -> Stream:
    """The same flights, each at the time of another one."""
    whole = flights()
    size = len(whole.reference_ms)
    order = np.random.default_rng([4, seed]).permutation(size + len(whole))
    table = {name: np.concatenate([whole.reference[name], whole.columns[name]])[order] for name in whole.columns}
    return Stream(
        rows(table, slice(size, None)), whole.time_ms, rows(table, slice(0, size)), reference_ms=whole.reference_ms
    )


def months(stream: Stream) -> list[tuple[int, int]]:
    """The first flight and the end of each month."""
    borders = np.flatnonzero(np.diff(_month(stream))) + 1
    return list(zip([0, *borders.tolist()], [*borders.tolist(), len(stream)], strict=True))


def told(stream: Stream, alarms: Sequence[Alarm]) -> Told:
    """Sum up somebody's alarms."""
    month = _month(stream)
    cells = {(each.signal, int(month[min(each.at, len(month)) - 1])) for each in alarms}
    return Told(len(alarms), {name: sum(signal == name for signal, _ in cells) for name in stream.columns})


def _month(stream: Stream) -> Ints:
    return (stream.time_ms - BEHIND_MS).astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
