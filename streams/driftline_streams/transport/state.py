"""State that outlives a worker: a Faust table, in memory, with its changelog as the copy that lasts.

In the walk: `detect` keeps its detectors here. A value must carry the offset that it reflects, and skip what it has
seen: a batch that is done again after a crash finds the table as the first attempt left it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import Any, cast

import faust
from faust.stores.memory import Store
from faust.tables.manager import TableManager
from faust.types.codecs import CodecArg
from faust.types.tuples import FutureMessage

from driftline_streams.errors import BrokenInvariant

# Faust logs every start and stop of its parts under the module of their class; these keep that apart from our own logs.
FAUST_LOG = logging.getLogger("faust")


class Tables(TableManager):
    """Faust's tables, without a second of waiting for some that might still be declared: ours are, before the start."""

    logger = FAUST_LOG

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
        future = super().send_changelog(partition, key, value, key_serializer, value_serializer)
        event = faust.current_event()
        if event is None or partition is None:
            raise BrokenInvariant(f"table {self.name!r} was written outside the handler of a batch")
        self._unsettled[event.message.topic].append(future)
        # Stock Faust notes the partition of a key only in recovery, so it would keep keys of partitions that it lost.
        partition_of = cast("Store[str, bytes]", self.data)._key_partition
        if value is None:
            partition_of.pop(key, None)
        else:
            partition_of[key] = partition
        return future
