"""What a worker does beside the walk, as `app.py` lists it: what waits, and how often it is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import pytest

from driftline_streams import app
from driftline_streams.beside import Beside
from driftline_streams.kernel.pace import BURST_S, SHARE
from driftline_streams.outcomes.join import Join
from driftline_streams.performance.sums import REPORT
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.transport.app import BatchApp


async def test_final_days_are_kept_in_a_share_of_the_time_and_not_in_a_backlog(
    settings: Any, database: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, kept_at = 0.0, []
    timers: list[Callable[[], Awaitable[None]]] = []

    async def execute(_: ClickHouse, sql: str, parameters: Mapping[str, Any]) -> None:
        nonlocal now_s
        if sql == REPORT:
            kept_at.append(now_s)
            now_s += 30

    monkeypatch.setattr(BatchApp, "every", lambda _, seconds, work: timers.append(work))
    monkeypatch.setattr(app, "Beside", partial(Beside, clock=lambda: now_s))
    monkeypatch.setattr(app.Pipeline, "_reads_first", lambda _: True)
    monkeypatch.setattr(ClickHouse, "execute", execute)
    pipeline = app.Pipeline(settings(clickhouse_database=database.settings.clickhouse_database, batch_events=100))
    [look] = [work for work in timers if isinstance(getattr(work, "__self__", None), Beside)]
    await look()
    assert kept_at == []  # whether there is a backlog is not known
    pipeline.backlog.exists = False
    while now_s < 1_000:
        now_s += 10
        await look()
    assert kept_at[:3] == [10, 70, 130]  # it rests at least as long as it took
    assert len(kept_at) * 30 <= BURST_S + now_s * SHARE + 30
    kept_at.clear()
    for waiting, labels, kept in ((True, 0, 0), (False, 101, 0), (False, 100, 1)):
        pipeline.backlog.exists = waiting
        monkeypatch.setattr(Join, "fresh", labels)  # that have not been looked up yet; some always have not
        now_s += 10_000
        await look()
        assert len(kept_at) == kept
