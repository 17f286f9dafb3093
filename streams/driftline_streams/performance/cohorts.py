"""The cells of performance: sums over the outcomes of each day, computed anew when labels have come for it.

In the walk: beside it, by the worker that reads the first partition of predictions. Nothing is counted up, so a crash
at any point, a repeated label, a correction or two workers at once change nothing in the end: a row replaces the one
that was computed before it, and what is not known to be done is done again.

A label may be joined at a time (`joined_at`) and become visible a little later, when its insert is through. So a day is
settled only when it was computed `SLACK_S` after its last label; it is computed at once all the same.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from driftline_streams.kernel.catalog import Catalog, sliced_by
from driftline_streams.kernel.query import Execute, Query
from driftline_streams.performance.sums import CLEAR, COMPUTE, REPORT

SLACK_S = 30.0  # an insert takes less, and clocks of replicas differ by less
MOST_OUTCOMES = 2_000_000  # of one round, which takes some ten seconds; at least one day of one model

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_TIME = "%Y-%m-%d %H:%M:%S.%f"

CLOCK = "SELECT now64(3, 'UTC') AS now"

CHANGED = """
SELECT
    model, toDate(timestamp) AS day, min(joined_at) AS first, max(joined_at) AS last, count() AS rows
FROM outcomes
WHERE joined_at >= {since:DateTime64(3, 'UTC')}
GROUP BY model, day
ORDER BY day, model
"""

# The oldest row of a day tells: they are written together, and what is left over from before is cleared after that.
COMPUTED = """
SELECT model, day, min(computed_at) AS at, sumIf(n, dim = '') AS rows
FROM performance FINAL
WHERE stage = 'latest' AND n > 0 AND day IN {days:Array(Date)}
GROUP BY model, day
"""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round has done."""

    computed: int  # days of models
    left: int  # that labels have come for as well; the next round goes on with them


@dataclass(frozen=True, slots=True)
class _Day:
    model: str
    day: dt.date
    first: dt.datetime  # label since the last settled one
    last: dt.datetime
    computed: dt.datetime | None
    rows: int  # at most so many outcomes

    def due(self, now: dt.datetime, slack: dt.timedelta) -> bool:
        if self.computed is None or self.last >= self.computed:
            return True
        return not self.settled(slack) and now >= self.last + slack

    def settled(self, slack: dt.timedelta) -> bool:
        return self.computed is not None and self.computed >= self.last + slack

    def open_since(self, slack: dt.timedelta) -> dt.datetime:
        """What was joined before this is in its sums."""
        return self.first if self.computed is None else self.computed - slack


class Cohorts:
    """The days that labels come for.

    Parameters
    ----------
    catalog
        The segments of each model, read anew for every round.
    statements
        Run in this order for each model, before the sums of its days, which mark them as done. They are given `model`,
        `days` (dates), `at` (when the round began, by the clock of ClickHouse) and `segments` (the keys to slice by),
        and must bear to run again.
    slack_s
        After which a label that was joined is visible.
    """

    def __init__(
        self,
        catalog: Catalog,
        query: Query,
        execute: Execute,
        statements: Sequence[str] = (),
        *,
        slack_s: float = SLACK_S,
    ) -> None:
        self._catalog = catalog
        self._query = query
        self._execute = execute
        self._statements = (*statements, COMPUTE, CLEAR)
        self._slack = dt.timedelta(seconds=slack_s)
        self._left = True
        self._since = _EPOCH  # all that was joined before is in the sums: a new worker looks at everything once

    async def __call__(self) -> Round:
        """One round, the oldest days first; raises what ClickHouse raises, and the next round makes up for it."""
        now, days = await self._days()
        due = [day for day in days if day.due(now, self._slack)]
        chosen = _bounded(due)
        by_model: dict[str, list[_Day]] = defaultdict(list)
        for day in chosen:
            by_model[day.model].append(day)
        for model, mine in sorted(by_model.items()):
            parameters = {
                "model": model,
                "days": sorted({day.day.isoformat() for day in mine}),
                "at": now.strftime(_TIME)[:-3],
                "segments": sliced_by(self._catalog.spec(model)),
            }
            for statement in self._statements:
                await self._execute(statement, parameters)
        open_since = [day.open_since(self._slack) for day in days if not day.settled(self._slack)]
        self._since = min([now - self._slack, *open_since])
        self._left = len(chosen) < len(due)
        return Round(len(chosen), len(due) - len(chosen))

    async def report(self) -> None:
        """Keep the days that are final now as they stand: not in a backlog, whose labels have yet to be read."""
        if not self._left:
            await self._execute(REPORT, {})

    async def _days(self) -> tuple[dt.datetime, list[_Day]]:
        """The time by the clock of ClickHouse, and the days that are not settled, in order."""
        (clock,) = await self._query(CLOCK, {})
        changed = await self._query(CHANGED, {"since": self._since.strftime(_TIME)[:-3]})
        if not changed:
            return clock["now"], []
        asked = sorted({row["day"].isoformat() for row in changed})
        known = {(row["model"], row["day"]): row for row in await self._query(COMPUTED, {"days": asked})}
        found = []
        for row in changed:
            before = known.get((row["model"], row["day"]))
            at, rows = (before["at"], before["rows"]) if before else (None, 0)
            found.append(_Day(row["model"], row["day"], row["first"], row["last"], at, row["rows"] + rows))
        return clock["now"], found


def _bounded(due: Sequence[_Day]) -> list[_Day]:
    """The first of them, with at most `MOST_OUTCOMES` outcomes together."""
    chosen: list[_Day] = []
    room = MOST_OUTCOMES
    for day in due:
        room -= day.rows
        if chosen and room < 0:
            break
        chosen.append(day)
    return chosen
