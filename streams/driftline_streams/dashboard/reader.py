"""Asks ClickHouse on behalf of all open pages at once, and remembers the answers for some seconds."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.telemetry.availability import Outage

T = TypeVar("T")

FRESH_S = 4.0  # a little less than a page waits between two looks
SHARE = 10  # an answer is kept for so many times what it cost: a slow query takes at most a tenth of the time
MOST_ANSWERS = 300


@dataclass(slots=True)
class _Answer:
    rows: asyncio.Task[list[dict[str, Any]]]
    asked_at: float
    took_s: float = 0.0


class Reader:
    """Typed rows of `clickhouse`; the same question of many pages is asked once."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._answers: OrderedDict[str, _Answer] = OrderedDict()

    @property
    def outage(self) -> Outage | None:
        """Since when ClickHouse does not answer; `None` when it does."""
        return self._clickhouse.availability.outage

    @property
    def address(self) -> str:
        """Where ClickHouse is."""
        return self._clickhouse.address

    async def rows(self, kind: type[T], sql: str, parameters: Mapping[str, Any] | None = None) -> list[T]:
        """The answer as records of `kind`, at most some seconds old.

        Raises
        ------
        UsageError
            If ClickHouse refuses the query, for example because there are no tables yet.
        Unavailable
            If it does not answer.
        """
        return msgspec.convert(await self.plain(sql, parameters), list[kind])  # type: ignore[valid-type]

    async def plain(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The answer as dicts."""
        key = f"{sql}\x00{sorted((parameters or {}).items())!r}"
        answer = self._answers.get(key)
        if answer is None or (answer.rows.done() and self._stale(answer)):
            answer = _Answer(asyncio.create_task(self._ask(sql, parameters)), time.monotonic())
            answer.rows.add_done_callback(lambda _, a=answer: _done(a))  # type: ignore[misc]
            self._answers[key] = answer
            while len(self._answers) > MOST_ANSWERS:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        return await asyncio.shield(answer.rows)  # a page that is closed must not take the answer from the others

    async def _ask(self, sql: str, parameters: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        return await self._clickhouse.query(sql, parameters)

    @staticmethod
    def _stale(answer: _Answer) -> bool:
        if answer.rows.cancelled() or answer.rows.exception() is not None:
            return True
        return time.monotonic() - answer.asked_at > answer.took_s + max(FRESH_S, SHARE * answer.took_s)


def _done(answer: _Answer) -> None:
    answer.took_s = time.monotonic() - answer.asked_at
    if not answer.rows.cancelled():
        answer.rows.exception()  # whoever waits hears of it; nobody may be left
