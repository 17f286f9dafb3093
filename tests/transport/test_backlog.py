"""What takes days for complete waits while any worker of the group is behind."""

from __future__ import annotations

import asyncio
from typing import Any

from driftline_streams.beside import Beside, Once
from driftline_streams.transport.app import build
from driftline_streams.transport.backlog import Backlog
from driftline_streams.transport.batch import Batch


class Timers:
    def every(self, seconds: float, work: Any) -> None:
        self.look = work


async def test_days_are_not_judged_while_another_worker_is_more_than_a_batch_behind(lab: Any, recorder: Any) -> None:
    one = lab.settings(batch_events=100, batch_age_s=0.1, worker_id="one")
    other = one.model_copy(update={"worker_id": "other"})
    topic = lab.topic(2)
    go_on = asyncio.Event()

    async def slow(batch: Batch) -> None:
        await go_on.wait()

    first, second = build(one), build(other)
    first.on_batches(topic, recorder)
    second.on_batches(topic, slow)
    backlog, timers, judged = Backlog(first), Timers(), []

    async def judge() -> None:
        judged.append("days")

    beside = Beside(timers, mine=lambda: True, lags=lambda: backlog.exists, failed=lambda _: None)
    beside.every(0, "judge", lambda: Once(judge))

    async def looks() -> list[str]:
        """What is judged at the next look."""
        judged.clear()
        await backlog.look({topic: 1.0})
        await timers.look()
        return list(judged)

    async with lab.running(first), lab.running(second):
        await lab.until(lambda: [len(list(app.feeds[topic].partitions)) for app in (first, second)] == [1, 1])
        await timers.look()
        assert judged == []  # nothing is known yet
        (mine,), (its,) = first.feeds[topic].partitions, second.feeds[topic].partitions
        await lab.send(one, topic, 300, partition=mine)
        await lab.send(one, topic, 100, partition=its)
        await lab.until(lambda: len(recorder.offsets) == 300)
        assert await looks() == ["days"]  # one batch is always on its way
        await lab.send(one, topic, 1, partition=its)
        assert (await first.unread(topic))[its] == 101
        assert await looks() == []
        go_on.set()
        async with asyncio.timeout(90):
            while not await looks():  # noqa: ASYNC110 - until the other one has read it all
                await asyncio.sleep(0.01)
