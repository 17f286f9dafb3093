"""Clocks: messages by which `detect` knows the source partitions, and which of them are silent.

In the walk: beside it, between `ingest` and `detect`. A window closes when all source partitions have passed it; a
model is silent when all of them have been read and none had an event of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import msgspec

from driftline_schemas.records import Clock
from driftline_schemas.topics import PARTIALS, PREDICTIONS
from driftline_streams.kernel.clock import Steady
from driftline_streams.kernel.effects import Message
from driftline_streams.settings import Settings
from driftline_streams.transport.producer import Producer
from driftline_streams.transport.topics import describe


class Clocks:
    """The clocks that one worker sends, to every partition of `partials`."""

    def __init__(self, settings: Settings, producer: Producer) -> None:
        self._settings = settings
        self._producer = producer
        self._source = PREDICTIONS.full_name(settings.topic_prefix)
        self._target = PARTIALS.full_name(settings.topic_prefix)
        self._steady = Steady()
        self._partitions: dict[str, int] = {}  # by topic, as the broker has them
        self._announced = 0  # source partitions that `detect` knows of

    def look_at_topics(self) -> list[str]:
        """Learn how many partitions there are; the names of topics that do not exist.

        Raises
        ------
        Unavailable
            If Kafka does not answer.
        """
        self._partitions = {topic.name: topic.partitions for topic in describe(self._settings)}
        return [name for name, partitions in self._partitions.items() if not partitions]

    async def announce(self, partition: int) -> None:
        """Tell which source partitions there are, unless this one is known: `detect` waits for all of them.

        To be called before the first partial of a source partition is sent.
        """
        if partition < self._announced:
            return
        if self._announced:  # the topic has grown since
            await asyncio.to_thread(self.look_at_topics)
        partitions = range(self._partitions[self._source])
        await self._send(dict.fromkeys(partitions, 0))
        self._announced = len(partitions)

    async def pass_time(self, idle: Iterable[int]) -> None:
        """Tell that these source partitions are silent, so that their windows close."""
        await self._send(dict.fromkeys(idle, self._steady.now_ms()))

    async def keep_pace(self, ages_s: Mapping[int, float]) -> None:
        """Tell that all is known that these source partitions held so many seconds ago, so that silence is noticed."""
        now_ms = self._steady.now_ms()
        await self._send({partition: now_ms - round(1000 * age_s) for partition, age_s in ages_s.items()}, busy=True)

    async def _send(self, times_ms: Mapping[int, int], *, busy: bool = False) -> None:
        clocks = [
            msgspec.json.encode(Clock(topic=self._source, partition=partition, time_ms=time_ms, busy=busy))
            for partition, time_ms in times_ms.items()
        ]
        targets = range(self._partitions[self._target])
        await self._producer.send([Message(self._target, clock, partition=t) for clock in clocks for t in targets])
