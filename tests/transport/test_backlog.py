"""What takes days for complete waits while any worker of the group is behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from driftline_streams.beside import Beside, Once
from driftline_streams.transport.app import build
from driftline_streams.transport.backlog import Backlog
from driftline_streams.transport.batch import Batch


class Timers:
    def every(self, seconds: float, work: Any) -> None:
        self.look = work


class Group:
    """Two workers with a partition each, in batches of 100 messages; the second one finishes what it is told to."""

    def __init__(self, lab: Any) -> None:
        self._lab = lab
        self._settings = lab.settings(batch_events=100, batch_age_s=60.0, worker_id="one")
        self.topic = lab.topic(2)
        self.first, self._second = build(self._settings), build(self._settings.model_copy(update={"worker_id": "two"}))
        self.first.conf.broker_heartbeat_interval = 0.1  # by which it learns that there is another one
        self._finished, self._may = 0, 0  # messages of the second worker
        self._moved = asyncio.Condition()
        self.first.on_batches(self.topic, self._read_at_once)
        self._second.on_batches(self.topic, self._read)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self._lab.running(self.first), self._lab.running(self._second):
            apps = (self.first, self._second)
            await self._lab.until(lambda: [len(list(app.feeds[self.topic].partitions)) for app in apps] == [1, 1])
            (self.mine,), (self.its,) = (app.feeds[self.topic].partitions for app in apps)
            try:
                yield
            finally:
                await self._allow(1_000_000)  # a batch in flight would be waited for

    async def send(self, n: int, *, partition: int) -> None:
        await self._lab.send(self._settings, self.topic, n, partition=partition)

    async def let(self, n: int) -> None:
        """Let the second worker finish so many messages more, in whole batches, and wait until it has."""
        await self._allow(n)
        await self.done(self.its, self._may)

    async def done(self, partition: int, n: int) -> None:
        """Wait until so many messages of a partition have been committed."""
        async with asyncio.timeout(90):
            while (await self.first.progress(self.topic))[partition].done < n:  # noqa: ASYNC110 - Kafka's word for it
                await asyncio.sleep(0.01)

    async def _allow(self, n: int) -> None:
        async with self._moved:
            self._may += n
            self._moved.notify_all()

    async def _read_at_once(self, batch: Batch) -> None: ...

    async def _read(self, batch: Batch) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self._finished + len(batch) <= self._may)
            self._finished += len(batch)


async def test_days_are_not_judged_while_another_worker_is_more_than_a_batch_behind(lab: Any) -> None:
    group = Group(lab)
    backlog, timers, judged = Backlog(group.first), Timers(), []

    async def judge() -> None:
        judged.append("days")

    beside = Beside(timers, mine=lambda: True, lags=lambda: backlog.exists, failed=lambda _: None)
    beside.every(0, "judge", lambda: Once(judge))

    async def looks() -> list[str]:
        """What is judged at the next look."""
        judged.clear()
        await backlog.look({group.topic: 1.0})
        await timers.look()
        return list(judged)

    async with group.running():
        await timers.look()
        assert judged == []  # nothing is known yet
        await group.send(300, partition=group.mine)
        await group.send(100, partition=group.its)
        await group.done(group.mine, 300)
        assert await looks() == ["days"]  # one batch is always on its way
        await group.send(1, partition=group.its)
        assert await looks() == []
        await group.let(100)
        assert await looks() == ["days"]


async def test_a_stream_of_more_than_a_batch_in_flight_is_a_backlog_only_when_it_is_seconds_behind(lab: Any) -> None:
    group, now_s = Group(lab), 0.0
    backlog = Backlog(group.first, clock=lambda: now_s)
    exists = []

    async def go_on(*, finished: int) -> None:
        """2.5 s pass, in which 200 messages come, and so many are finished."""
        nonlocal now_s
        now_s += 2.5
        await group.send(200, partition=group.its)
        await group.let(finished)
        await backlog.look({group.topic: 1.0})
        exists.append(backlog.exists)

    async with group.running():
        for finished in (0, 200, 200, 200, 200):
            await go_on(finished=finished)
        assert exists == [True, True, False, False, False]  # after 5 s it is known that they flow
        for _ in range(2):
            await go_on(finished=0)
        assert exists[5:] == [False, True]  # the 200 that were left are 5 s old
        await group.let(600)
        await backlog.look({group.topic: 1.0})
        assert not backlog.exists
        now_s += 60
        await group.send(200, partition=group.its)
        await backlog.look({group.topic: 1.0})
        assert backlog.exists, "what was there a minute ago says nothing"
