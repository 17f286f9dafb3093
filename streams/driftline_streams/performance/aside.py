"""Days that ClickHouse could not sum up, set aside so that the others go on.

In the walk: `cohorts.py` asks which days it may try. Which of several failed is found out by trying each alone; one
that fails alone waits, for twice as long each time. Kept in memory only: a worker that starts tries everything again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

FIRST_WAIT = dt.timedelta(minutes=1)
MOST_WAIT = dt.timedelta(hours=1)

Key = tuple[str, dt.date]  # a model and a day of its predictions


@dataclass(frozen=True, slots=True)
class Came:
    """What has come for a day: when its first and last outcomes were joined, and about how many there are."""

    first: dt.datetime
    last: dt.datetime
    rows: int

    def merge(self, other: Came) -> Came:
        """Both; what they share counts once."""
        return Came(min(self.first, other.first), max(self.last, other.last), max(self.rows, other.rows))


@dataclass(frozen=True, slots=True)
class _Failed:
    came: Came
    wait: dt.timedelta
    until: dt.datetime


class Aside:
    """The days that failed and have not been summed up since; at most all days that labels came for."""

    def __init__(self) -> None:
        self._failed: dict[Key, _Failed] = {}

    def __iter__(self) -> Iterator[Key]:
        return iter(self._failed)

    def __contains__(self, key: Key) -> bool:
        return key in self._failed

    def fail(self, tried: Mapping[Key, Came], now: dt.datetime) -> dt.timedelta:
        """What was tried together failed; how long it waits, if it was one day."""
        wait = dt.timedelta()
        for key, came in tried.items():
            if len(tried) == 1:
                before = self._failed[key].wait if key in self._failed else wait
                wait = min(MOST_WAIT, max(FIRST_WAIT, 2 * before))
            self._failed[key] = _Failed(came, wait, now + wait)
        return wait

    def forget(self, key: Key) -> None:
        """It is summed up."""
        self._failed.pop(key, None)

    def waits(self, key: Key, now: dt.datetime) -> bool:
        """Whether it is too early to try a day again."""
        return key in self._failed and now < self._failed[key].until

    def remember(self, came: Mapping[Key, Came]) -> dict[Key, Came]:
        """What has come lately, with what came before for the days set aside."""
        for key, failed in self._failed.items():
            if key in came:
                self._failed[key] = _Failed(failed.came.merge(came[key]), failed.wait, failed.until)
        return {**came, **{key: failed.came for key, failed in self._failed.items()}}
