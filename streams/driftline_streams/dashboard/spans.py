"""Which stretch of time a page shows, and how finely: always in the model's own time, never by the wall clock.

A replay of 2013 is looked at in 2013: "the last day" ends with the newest event.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

HOUR_S, DAY_S = 3_600, 86_400
MOST_POINTS = 400  # of a series: more than the pixels that tell them apart, and a year is drawn in a blink

LENGTHS_S = {"hour": HOUR_S, "day": DAY_S, "week": 7 * DAY_S, "month": 30 * DAY_S}
CHOICES = (*LENGTHS_S, "all")

_BUCKETS_S = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1_800,
    HOUR_S,
    2 * HOUR_S,
    3 * HOUR_S,
    6 * HOUR_S,
    43_200,
    DAY_S,
)
_HISTORY_S = 30 * DAY_S  # data older than this is a replay, and looked at as a whole
_ENOUGH = 60  # windows: a chart with fewer says little
_FEWEST_DAYS = 14  # of what is counted by day


@dataclass(frozen=True, slots=True)
class Span:
    """From `start_s` up to `end_s` (Unix time, s)."""

    start_s: int
    end_s: int

    @property
    def length_s(self) -> int:
        """At least 1."""
        return max(1, self.end_s - self.start_s)

    @property
    def bounds(self) -> dict[str, int]:
        """Its ends as the parameters of a query."""
        return {"start": self.start_s, "end": self.end_s}

    def bucket_s(self, width_s: int) -> int:
        """The width of one point when there may be at most `MOST_POINTS`: never finer than the windows themselves.

        >>> Span(0, 334 * DAY_S).bucket_s(HOUR_S) // HOUR_S, Span(0, HOUR_S).bucket_s(10)
        (24, 10)
        """
        fine = max(width_s, -(-self.length_s // (MOST_POINTS - 1)))  # a span that starts within a bucket has one more
        for bucket_s in _BUCKETS_S:
            if bucket_s >= fine and bucket_s % width_s == 0:
                return bucket_s
        unit_s = width_s if DAY_S % width_s else DAY_S
        return -(-fine // unit_s) * unit_s

    def by_day(self) -> Span:
        """The span for what is counted by day: whole days, and enough of them to see a course."""
        return Span(min(self.start_s, self.end_s - _FEWEST_DAYS * DAY_S) // DAY_S * DAY_S, self.end_s)


def span(choice: str, first_s: int, newest_s: int) -> Span:
    """The chosen stretch before the newest event, as far as there is data."""
    return Span(max(first_s, newest_s - LENGTHS_S.get(choice, newest_s)), newest_s)


def default(first_s: int, newest_s: int, width_s: int, now_s: float | None = None) -> str:
    """All of what is history; of what is live the shortest stretch with enough windows in it.

    >>> default(0, 300 * DAY_S, HOUR_S), default(0, 300 * DAY_S, 10, now_s=300 * DAY_S)
    ('all', 'hour')
    """
    if newest_s < (time.time() if now_s is None else now_s) - _HISTORY_S:
        return "all"
    for choice, length_s in LENGTHS_S.items():
        if length_s >= _ENOUGH * width_s or length_s >= newest_s - first_s:
            return choice
    return "all"
