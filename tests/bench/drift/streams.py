"""What everybody is given: a stream of events with or without a change, and what came before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

SECOND_MS, HOUR_MS, DAY_MS = 1_000, 3_600_000, 86_400_000
START_MS = 1_767_571_200_000  # Monday, 5 January 2026
STEP_MS = 10 * SECOND_MS  # between events: 8,640 a day, 30 in a feature window
ERRORS = "wrong"  # the column that says of each prediction whether it was wrong; the others are features

Ints = npt.NDArray[np.int64]
Column = npt.NDArray[Any]  # of float64, NaN where a value is missing, or of text; shape (n,)
Table = dict[str, Column]


@dataclass(frozen=True, slots=True)
class Stream:
    """Events in the order of their time, and those before them that everybody may learn from.

    From event `change` on the signals `changed` are different; without a change every alarm is false.
    """

    columns: Table
    time_ms: Ints
    reference: Table
    change: int | None = None
    changed: frozenset[str] = frozenset()
    reference_ms: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # where the hour matters

    def __len__(self) -> int:
        return len(self.time_ms)

    @property
    def days(self) -> float:
        """Of stream time."""
        return float(self.time_ms[-1] - self.time_ms[0]) / DAY_MS

    @property
    def judged(self) -> list[str]:
        """The signals whose alarms say something: after a change those that changed, else all."""
        return [name for name in self.columns if not self.changed or name in self.changed]

    def sample(self, n: int = 5_000) -> Table:
        """At most `n` events of the reference, for those whose cost grows with it."""
        size = len(next(iter(self.reference.values())))
        if size <= n:
            return self.reference
        chosen = np.sort(np.random.default_rng(0).choice(size, n, replace=False))
        return {name: column[chosen] for name, column in self.reference.items()}

    def windows(self, width_ms: int) -> Iterator[tuple[int, int]]:
        """The first event and the end of each tumbling window that holds any."""
        borders = np.flatnonzero(np.diff(self.time_ms // width_ms)) + 1
        yield from zip([0, *borders.tolist()], [*borders.tolist(), len(self)], strict=True)


class Alarm(NamedTuple):
    """Somebody said that a signal had changed, when so many events of the stream had come."""

    at: int
    signal: str
    how: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the report: a kind of stream, made from a seed."""

    key: str
    title: str
    make: Callable[[int], Stream]
    seeds: int


def numeric(column: Column) -> bool:
    """Whether a column holds numbers."""
    return column.dtype.kind == "f"


def times(n: int, step_ms: int = STEP_MS, start_ms: int = START_MS) -> Ints:
    """Evenly spread."""
    return start_ms + step_ms * np.arange(n, dtype=np.int64)


def rows(table: Mapping[str, Column], part: slice) -> Table:
    """Some events of a table."""
    return {name: column[part] for name, column in table.items()}
