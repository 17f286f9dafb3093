"""State that outlives a worker: a Faust table, in memory, with its changelog as the copy that lasts.

In the walk: `detect` keeps its detectors here. A value must carry the offset that it reflects, and skip what it has
seen: a batch that is done again after a crash finds the table as the first attempt left it.

Every change is marked with the batch that made it. A worker that was frozen, and wakes up after others have taken its
partitions, can still write one old value behind newer ones, although it asks for its right first (`BatchApp.confirm`):
between the answer and the write it may be frozen as well. So recovery passes over changes that are older than what it
has seen of a key, and writes the newer value again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, cast

import faust
import structlog
from faust.stores.memory import Store
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery as StockRecovery
from faust.types import ConsumerT, EventT
from faust.types.codecs import CodecArg
from faust.types.tuples import TP, FutureMessage

from driftline_streams.errors import BrokenInvariant

# Faust logs every start and stop of its parts under the module of their class; these keep that apart from our own logs.
FAUST_LOG = logging.getLogger("faust")

log = structlog.get_logger(__name__)

WRITTEN = "driftline-written"  # header of a change: the last offset of the batch that made it


class Recovery(StockRecovery):
    """Faust's recovery, which does not crash when a rebalance comes between two of its steps."""

    logger = FAUST_LOG

    async def _seek_offsets(self, consumer: ConsumerT, tps: set[TP], offsets: Counter[TP], title: str) -> None:
        # Partitions of a new assignment have no offsets yet: stock Faust seeks them to `None`, which crashes the
        # worker just before recovery would begin again.
        if all(offsets[tp] is not None for tp in tps):
            await super()._seek_offsets(consumer, tps, offsets, title)


class Tables(TableManager):
    """Faust's tables, without a second of waiting for some that might still be declared: ours are, before the start."""

    logger = FAUST_LOG

    @property
    def recovery(self) -> StockRecovery:
        """Called by Faust; made when it is first asked for."""
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Register the tables and get ready to recover them."""
        await self._update_channels()
        await self.recovery.start()


class Table(faust.Table[str, bytes]):
    """Key → bytes, written by the handler of a batch; an entry lives in the partition of the batch that wrote it.

    Reading gives the entries of all partitions that this worker owns. The changelog holds the last value of each key
    for as long as it is not deleted, so the number of keys bounds both memory and recovery.
    """

    logger = FAUST_LOG

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._written: dict[str, int] = {}  # the last offset of the batch that made the latest change, by key
        self._outdated: dict[str, int] = {}  # partitions of the keys whose latest record is not the latest change
        self._unsettled: defaultdict[str, list[FutureMessage]] = defaultdict(list)  # by the topic that caused them

    async def settle(self, topic: str) -> None:
        """Wait until the broker has every change that batches of `topic` made; raises what it answered to one."""
        if unsettled := self._unsettled.pop(topic, None):
            done, _ = await asyncio.wait(unsettled)  # not `gather`, which cancels what Faust is about to resolve
            for future in done:
                future.result()

    def send_changelog(
        self,
        partition: int | None,
        key: Any,
        value: Any,
        key_serializer: CodecArg | None = None,
        value_serializer: CodecArg | None = None,
    ) -> FutureMessage:
        """Called by Faust for every change; keeps the future, which stock Faust forgets together with its failure."""
        event = faust.current_event()
        if event is None or partition is None:
            raise BrokenInvariant(f"table {self.name!r} was written outside the handler of a batch")
        self._written[key] = event.message.offset
        future = self._send(partition, key, value)
        self._unsettled[event.message.topic].append(future)
        # Stock Faust notes the partition of a key only in recovery, so it would keep keys of partitions that it lost.
        partition_of = cast("Store[str, bytes]", self.data)._key_partition
        if value is None:
            partition_of.pop(key, None)
        else:
            partition_of[key] = partition
        return future

    def _send(self, partition: int, key: str, value: bytes | None) -> FutureMessage:
        return self.changelog_topic.send_soon(
            key=key,
            value=value,
            partition=partition,
            headers={WRITTEN: str(self._written[key]).encode()},
            key_serializer=self.key_serializer,
            value_serializer=self.value_serializer,
            eager_partitioning=True,  # the future names the partition
        )

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Called by Faust in recovery; leaves out what is older than what has been seen."""
        super().apply_changelog_batch(event for event in batch if self._is_news(event))

    def _is_news(self, event: EventT[Any]) -> bool:
        key, written = cast("str", event.key), int(dict(event.headers or {})[WRITTEN])
        if written < self._written.get(key, -1):
            self._outdated[key] = event.message.partition
            return False
        self._written[key] = written
        self._outdated.pop(key, None)
        return True

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Called by Faust; makes the changelog's latest records the latest changes again."""
        await super().on_recovery_completed(active_tps, standby_tps)
        mine = {partition for _, partition in active_tps}
        for key, partition in self._outdated.items():
            if partition in mine:
                log.warning(
                    "a frozen worker wrote an old value: the newer one is written again", table=self.name, key=key
                )
                await self._send(partition, key, self.data.get(key))
        self._outdated.clear()
        self._written = {key: self._written[key] for key in self.data if key in self._written}
