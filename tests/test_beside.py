"""Work beside the walk: whose it is, when it waits, and that it fails alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from driftline_streams.beside import Beside
from driftline_streams.errors import BrokenInvariant, Unavailable


class Timers:
    def __init__(self) -> None:
        self.rounds: list[Callable[[], Awaitable[None]]] = []

    def every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        self.rounds.append(work)


class Jobs:
    """Two jobs, of which the second does not mind a backlog; each round does what it is told to."""

    def __init__(self) -> None:
        self.mine, self.lagging = True, False
        self.failed: list[str] = []
        self.done: list[str] = []
        self.error: Exception | None = None
        timers = Timers()
        beside = Beside(timers, mine=lambda: self.mine, lags=lambda: self.lagging, failed=self.failed.append)
        beside.every(1, "settled", lambda: self._work("settled"))
        beside.every(1, "always", lambda: self._work("always"), in_backlog=True)
        self.settled, self.always = timers.rounds

    async def _work(self, name: str) -> None:
        if self.error is not None:
            raise self.error
        self.done.append(name)


async def test_only_one_worker_does_it_and_in_a_backlog_what_does_not_mind() -> None:
    jobs = Jobs()
    jobs.lagging = True
    await jobs.settled()
    await jobs.always()
    jobs.mine = False
    await jobs.always()
    assert jobs.done == ["always"]


async def test_data_that_a_job_does_not_bear_stop_neither_the_worker_nor_the_other_jobs() -> None:
    jobs = Jobs()
    jobs.error = ZeroDivisionError()
    await jobs.settled()
    jobs.error = None
    await jobs.always()
    assert (jobs.failed, jobs.done) == (["settled"], ["always"])


@pytest.mark.parametrize("error", [Unavailable("away"), BrokenInvariant("no")])
async def test_an_outage_and_a_broken_promise_are_the_timers_business(error: Exception) -> None:
    jobs = Jobs()
    jobs.error = error
    with pytest.raises(type(error)):
        await jobs.settled()
    assert jobs.failed == []
