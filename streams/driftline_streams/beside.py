"""Work beside the walk: what one worker does for all, now and then, from what stands in ClickHouse.

In the walk: beside it. All of this can be left for later, so it waits while there is a backlog, each job takes a
twentieth of the time and no more, and none stops the walk: a round that fails is logged, counted and tried again.

One step of one job is done at a time, always of the most important one that is due. So ClickHouse has a core left for
the events, and what people wait for (performance, alerts) does not wait for a year of estimates.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from driftline_streams.errors import stops_all
from driftline_streams.kernel.pace import BACKLOG_REST, LEAST_REST, Pace

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.5
# Charged for a step: as much as a statement may take. What is longer was an outage, which is not atoned for by hours.
MOST_FOR_STEP_S = 100.0
MOST_FOR_FAILURE_S = 10.0  # long enough that a query that always fails is not repeated without rest

Work = Callable[[], Awaitable[None]]
Steps = Callable[[], AsyncIterator[None]]


class Timers(Protocol):
    """What repeats work: `transport.app.BatchApp` does."""

    def every(self, seconds: float, work: Work) -> None:
        """Do it again and again."""


@dataclass(slots=True)
class _Job:
    name: str
    every_s: float
    steps: Steps
    in_backlog: bool
    pace: Pace
    next_s: float  # when its next round may begin
    round: AsyncIterator[None] | None = None  # that has begun


class Beside:
    """The jobs of one worker.

    Parameters
    ----------
    timers
        Who calls them.
    mine
        Whether this worker is the one that does them.
    lags
        Whether events wait to be read: then days look complete that are not.
    failed
        Told the name of a job whose round failed.
    clock
        Seconds, as `time.monotonic`.
    """

    def __init__(
        self,
        timers: Timers,
        *,
        mine: Callable[[], bool],
        lags: Callable[[], bool],
        failed: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mine = mine
        self._lags = lags
        self._failed = failed
        self._clock = clock
        self._jobs: list[_Job] = []  # the most important first
        timers.every(LOOK_EVERY_S, self._work)

    def every(self, seconds: float, name: str, steps: Steps, *, in_backlog: bool = False) -> None:
        """Have rounds of `steps` done `seconds` apart at least, after all jobs that were named before.

        Also `in_backlog`, ten times as seldom, if it does not mind what is still to come.
        """
        now = self._clock()
        self._jobs.append(_Job(name, seconds, steps, in_backlog, Pace(now), now))

    async def _work(self) -> None:
        """Do what is due, one step after the other."""
        while (job := self._next()) is not None:
            await self._step(job)

    def _next(self) -> _Job | None:
        now, lags = self._clock(), self._lags()
        if not self._mine():
            for job in self._jobs:
                job.round = None
            return None
        for job in self._jobs:
            waits = job.round is None and now < job.next_s
            if not waits and (job.in_backlog or not lags) and job.pace.due(now, BACKLOG_REST if lags else LEAST_REST):
                return job
        return None

    async def _step(self, job: _Job) -> None:
        began = self._clock()
        if job.round is None:
            job.round, job.next_s = job.steps(), began + job.every_s
        most_s = MOST_FOR_FAILURE_S
        try:
            await anext(job.round)
            most_s = MOST_FOR_STEP_S
        except StopAsyncIteration:
            job.round, most_s = None, MOST_FOR_STEP_S
        except Exception as error:
            job.round = None
            if stops_all(error):
                raise
            # The outermost loop of the job: data that it does not bear must not stop the events behind it.
            self._failed(job.name)
            log.exception("a job beside the walk failed, and will be tried again", job=job.name)
        finally:
            job.pace.spent(began, self._clock(), most_s)


class Once(AsyncIterator[None]):
    """A round of one step."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def __anext__(self) -> None:
        """Do it; there is no more."""
        await self._work()
        raise StopAsyncIteration
