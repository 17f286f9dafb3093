"""State that outlives a worker: a Faust table, in memory, with its changelog as the copy that lasts.

In the walk: `detect` keeps its detectors here. A value must carry the offset that it reflects, and skip what it has
seen: a batch that is done again after a crash finds the table as the first attempt left it.
"""

from __future__ import annotations

import logging
from typing import Any, cast

import faust
from faust.stores.memory import Store
from faust.tables.manager import TableManager
from faust.types import EventT
from faust.types.tuples import FutureMessage

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
        self.unsettled: list[FutureMessage] = []

    def _send_changelog(
        self,
        event: EventT[Any] | None,
        key: Any,
        value: Any,
        key_serializer: Any = None,
        value_serializer: Any = None,
    ) -> None:
        # Stock Faust forgets the future, and with it a write that the broker refused.
        if event is None:
            raise RuntimeError(f"write to table {self.name!r} from the handler of a batch: it decides the partition")
        partition = event.message.partition
        self.unsettled.append(self.send_changelog(partition, key, value, key_serializer, value_serializer))
        # Stock Faust notes the partition of a key only in recovery, so it would keep keys of partitions that it lost.
        cast("Store[str, bytes]", self.data)._key_partition[key] = partition
