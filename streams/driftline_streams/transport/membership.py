"""Faust's Kafka driver, with the fetching of batch topics taken out: aiokafka stays the member, librdkafka reads.

Every override says why it exists. They reach into private parts of Faust 0.15.3 and aiokafka 0.14, so both versions
are pinned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from driftline_streams.transport.state import FAUST_LOG

if TYPE_CHECKING:
    from driftline_streams.transport.app import BatchApp

FETCH_WAIT_MS = 250


class MemberThread(driver.AIOKafkaConsumerThread):
    """Runs aiokafka's consumer in a thread and a loop of its own, so that heartbeats never wait for a batch."""

    app: BatchApp
    logger = FAUST_LOG

    @property
    def member(self) -> AIOKafkaConsumer:
        """The member of the group; use it on `thread_loop` only."""
        return self._ensure_consumer()

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> AIOKafkaConsumer:
        # Recovery's questions wait behind a fetch that waits for messages, for the 1.5 s that Faust has built in.
        consumer = super()._create_consumer(loop)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Pause the batch topics in aiokafka before anything else happens: its fetches would be thrown away."""
        self.member.pause(*[TopicPartition(*tp) for tp in assigned if tp.topic in self.app.feeds])
        await super().on_partitions_assigned(assigned, generation_id)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Batch topics are paused on purpose: without this, Faust reports every one as hanging after five minutes."""
        if tp.topic not in self.app.feeds:
            super().verify_event_path(now, tp)


class MemberConsumer(driver.Consumer):
    """Faust's consumer, which still reads the changelogs of tables."""

    app: BatchApp
    logger = FAUST_LOG
    _thread: MemberThread

    @property
    def thread(self) -> MemberThread:
        """Where the member lives."""
        return self._thread

    def _new_consumer_thread(self) -> MemberThread:
        return MemberThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - Faust's signature
    ) -> Mapping[TP, list[Any]]:
        # Whatever aiokafka fetched of a batch topic between the assignment and the pause, librdkafka reads as well. The
        # call itself must go on even so: aiokafka leaves the group when nobody has fetched for `max_poll_interval`.
        records = await super()._getmany(active_partitions, timeout)
        return {tp: found for tp, found in records.items() if tp.topic not in self.app.feeds}


class Transport(driver.Transport):
    """The driver that `BatchApp` uses."""

    Consumer = MemberConsumer
