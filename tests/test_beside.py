"""Work beside the walk: whose it is, what comes first, when it waits, and that it fails alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest

from driftline_streams.beside import Beside, Once
from driftline_streams.errors import BrokenInvariant, Overloaded, Unavailable
from driftline_streams.kernel.pace import BACKLOG_REST

STEP_S = 0.5  # that each step takes


class Timers:
    def __init__(self) -> None:
        self.look: Callable[[], Awaitable[None]] | None = None

    def every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        self.look = work


class Jobs:
    """Three jobs on a clock of their own: the first is the most important and does not mind a backlog.

    A round of the last one has three steps. Each does what it is told to.
    """

    def __init__(self) -> None:
        self.mine, self.lagging = True, False
        self.now_s, self.step_s = 100.0, STEP_S
        self.failed: list[str] = []
        self.done: list[str] = []
        self.error: Exception | None = None
        self._timers = Timers()
        beside = Beside(
            self._timers,
            mine=lambda: self.mine,
            lags=lambda: self.lagging,
            failed=self.failed.append,
            clock=lambda: self.now_s,
        )
        beside.every(4, "sums", partial(Once, partial(self._work, "sums")), in_backlog=True)
        beside.every(60, "verdicts", partial(Once, partial(self._work, "verdicts")))
        beside.every(60, "estimates", self._three)

    async def look(self, after_s: float = 0.0) -> list[str]:
        """What is done at the next look, so many seconds after the last."""
        self.now_s += after_s
        self.done = []
        assert self._timers.look is not None
        await self._timers.look()
        return self.done

    async def _three(self) -> AsyncIterator[None]:
        for i in range(3):
            await self._work(f"estimate {i}")
            yield

    async def _work(self, name: str) -> None:
        self.now_s, self.step_s = self.now_s + self.step_s, STEP_S
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.done.append(name)


async def test_only_one_worker_does_it() -> None:
    jobs = Jobs()
    jobs.mine = False
    assert await jobs.look() == []
    jobs.mine = True
    assert await jobs.look() == ["sums", "verdicts", "estimate 0"]


async def test_a_round_that_another_worker_has_taken_over_is_not_gone_on_with() -> None:
    jobs = Jobs()
    await jobs.look()
    jobs.mine = False
    await jobs.look(1)
    jobs.mine = True
    assert await jobs.look(60) == ["sums", "verdicts", "estimate 0"]


async def test_in_a_backlog_what_does_not_mind_it_is_done_and_seldom() -> None:
    jobs = Jobs()
    jobs.lagging = True
    assert await jobs.look() == ["sums"]
    assert await jobs.look(0.95 * BACKLOG_REST * STEP_S) == []
    assert await jobs.look(0.05 * BACKLOG_REST * STEP_S) == ["sums"]


async def test_between_two_steps_of_a_long_round_comes_what_is_more_important() -> None:
    jobs = Jobs()
    assert await jobs.look() == ["sums", "verdicts", "estimate 0"]
    assert await jobs.look(1) == ["estimate 1"]
    assert await jobs.look(10) == ["sums", "estimate 2"]
    assert await jobs.look(1) == []
    assert await jobs.look(60) == ["sums", "verdicts", "estimate 0"]


async def test_an_outage_that_was_waited_out_is_not_atoned_for_by_hours() -> None:
    jobs = Jobs()
    jobs.step_s = 3_600  # of the first step
    assert await jobs.look() == ["sums", "verdicts", "estimate 0"]
    assert await jobs.look(100) == ["sums", "verdicts", "estimate 1"]


@pytest.mark.parametrize("error", [ZeroDivisionError(), Overloaded("too large")])
async def test_data_that_a_job_does_not_bear_stop_neither_the_worker_nor_the_other_jobs(error: Exception) -> None:
    jobs = Jobs()
    jobs.error = error
    assert await jobs.look() == ["verdicts", "estimate 0"]
    assert jobs.failed == ["sums"]
    assert "sums" in await jobs.look(10)


@pytest.mark.parametrize("error", [Unavailable("away"), BrokenInvariant("no")])
async def test_an_outage_and_a_broken_promise_are_the_timers_business(error: Exception) -> None:
    jobs = Jobs()
    jobs.error = error
    with pytest.raises(type(error)):
        await jobs.look()
    assert jobs.failed == []
    assert "sums" in await jobs.look(10)
