"""The cells of performance: sums over the outcomes of each day, computed anew when labels have come for it.

In the walk: beside it, by the worker that reads the first partition of predictions. Nothing is counted up, so a crash
at any point, a repeated label, a correction or two workers at once change nothing in the end: a row replaces the one
that was computed before it, and what is not known to be done is done again.

A day that ClickHouse cannot sum up, because it is too large or a statement fails, is set aside (`aside.py`): the round
ends with its error, and the next one goes on with the others.

A label may be joined at a time (`joined_at`) and become visible a little later, when its insert is through. So a day is
settled only when it was computed `SLACK_S` after its last label; it is computed at once all the same.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from driftline_streams.errors import Overloaded, Unavailable, UsageError
from driftline_streams.kernel.catalog import Catalog, sliced_by
from driftline_streams.kernel.query import Execute, Query
from driftline_streams.performance.aside import Aside, Came, Key
from driftline_streams.performance.sums import CLEAR, COMPUTE, REPORT

log = structlog.get_logger(__name__)

SLACK_S = 30.0  # an insert takes less, and clocks of replicas differ by less
MOST_OUTCOMES = 2_000_000  # of a round: some ten seconds; at least one day of one model, and one that was set aside

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_TIME = "%Y-%m-%d %H:%M:%S.%f"

CLOCK = "SELECT now64(3, 'UTC') AS now"

CHANGED = """
SELECT
    model, toDate(timestamp) AS day, min(joined_at) AS first, max(joined_at) AS last, count() AS rows
FROM outcomes
WHERE joined_at >= {since:DateTime64(3, 'UTC')}
GROUP BY model, day
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
    came: Came  # since the last settled one
    computed: dt.datetime | None
    rows: int  # at most so many outcomes

    @property
    def key(self) -> Key:
        return self.model, self.day

    def due(self, now: dt.datetime, slack: dt.timedelta) -> bool:
        if self.computed is None or self.came.last >= self.computed:
            return True
        return not self.settled(slack) and now >= self.came.last + slack

    def settled(self, slack: dt.timedelta) -> bool:
        return self.computed is not None and self.computed >= self.came.last + slack

    def open_since(self, slack: dt.timedelta) -> dt.datetime:
        """What was joined before this is in its sums."""
        return self.came.first if self.computed is None else self.computed - slack


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
        self._aside = Aside()
        self._left = True
        self._since = _EPOCH  # all that was joined before is in the sums: a new worker looks at everything once

    async def __call__(self) -> Round:
        """One round, the oldest days first, and those that failed before last; the next round makes up for an error.

        Raises
        ------
        UsageError, Overloaded
            If days could not be summed up; they are set aside.
        """
        now, days = await self._days()
        ready = [day for day in days if not self._aside.waits(day.key, now)]
        open_since = [day.open_since(self._slack) for day in ready if not day.settled(self._slack)]
        self._since = min([now - self._slack, *open_since])
        due = sorted((day for day in ready if day.due(now, self._slack)), key=lambda day: (day.day, day.model))
        fresh = [day for day in due if day.key not in self._aside]
        failed = [day for day in due if day.key in self._aside]
        done: set[Key] = set()
        try:
            for group in (*_by_model(_bounded(fresh)), *([day] for day in _bounded(failed))):
                await self._compute(group, now)
                done.update(day.key for day in group)
        finally:
            self._left = any(day.key not in done and day.key not in self._aside for day in due)
        return Round(len(done), len(due) - len(done))

    async def report(self) -> None:
        """Keep the days that are final now as they stand: not in a backlog, whose labels have yet to be read.

        Days that are set aside stand without some of their labels; they are reported when they are summed up.
        """
        if not self._left:
            aside = list(self._aside)
            models, days = [model for model, _ in aside], [day.isoformat() for _, day in aside]
            await self._execute(REPORT, {"aside_models": models, "aside_days": days})

    async def _compute(self, group: Sequence[_Day], now: dt.datetime) -> None:
        """Sum up days of one model."""
        model, days = group[0].model, [day.day.isoformat() for day in group]
        parameters = {
            "model": model,
            "days": days,
            "at": now.strftime(_TIME)[:-3],
            "segments": sliced_by(self._catalog.spec(model)),
        }
        try:
            for statement in self._statements:
                await self._execute(statement, parameters)
        except (UsageError, Unavailable) as error:
            # In an outage the clock cannot be asked either. Else it was the statement that the answer got lost of.
            if isinstance(error, Unavailable):
                await self._query(CLOCK, {})
            wait = self._aside.fail({day.key: day.came for day in group}, now)
            log.warning(
                "days could not be summed up and are set aside",
                model=model,
                days=days,
                wait_s=wait.total_seconds(),
                reason=str(error),
            )
            if isinstance(error, UsageError):
                raise
            raise Overloaded(str(error)) from error
        for day in group:
            self._aside.forget(day.key)

    async def _days(self) -> tuple[dt.datetime, list[_Day]]:
        """The time by the clock of ClickHouse, and the days that labels came for."""
        (clock,) = await self._query(CLOCK, {})
        changed = await self._query(CHANGED, {"since": self._since.strftime(_TIME)[:-3]})
        came = self._aside.remember(
            {(row["model"], row["day"]): Came(row["first"], row["last"], row["rows"]) for row in changed}
        )
        if not came:
            return clock["now"], []
        asked = sorted({day.isoformat() for _, day in came})
        known = {(row["model"], row["day"]): row for row in await self._query(COMPUTED, {"days": asked})}
        found = []
        for (model, day), labels in came.items():
            before = known.get((model, day))
            at, rows = (before["at"], before["rows"]) if before else (None, 0)
            found.append(_Day(model, day, labels, at, labels.rows + rows))
            if found[-1].settled(self._slack):
                self._aside.forget((model, day))
        return clock["now"], found


def _by_model(days: Iterable[_Day]) -> list[list[_Day]]:
    groups: dict[str, list[_Day]] = defaultdict(list)
    for day in days:
        groups[day.model].append(day)
    return [group for _, group in sorted(groups.items())]


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
