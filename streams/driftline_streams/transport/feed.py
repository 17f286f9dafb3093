"""One batch topic in this worker: it is read, cut into batches, and these are handed to its agent, one at a time.

In the walk: the loop around every stage, so that no stage can forget a step of it:

1. write the batch's name down (mostly done by the commit that finished the one before),
2. let the handler act,
3. wait until what it wrote to tables is in their changelogs, and until what was lost on the way is on record,
4. cut the next batch, and commit the end of this one together with the name of that one.

A handler that raises stops the worker: the batch stays unacknowledged and comes back under the same name. (Stock
Faust acknowledges an event whose agent raised.)
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import structlog
from faust.types import ChannelT, EventT, StreamT
from faust.types.tuples import TP, Message

from driftline_streams.transport.batch import Batch
from driftline_streams.transport.cursor import Cursor, Limits
from driftline_streams.transport.offsets import PartitionLost, Start, commit
from driftline_streams.transport.reader import Chunk, Reader

if TYPE_CHECKING:
    from driftline_streams.transport.app import BatchApp

log = structlog.get_logger(__name__)

T = TypeVar("T")
Handler = Callable[[Batch], Awaitable[None]]

# A batch closes at this weight, however few messages that is: events of 1 MB or frames of 10,000 events must not fill
# the memory. Of frames it is 8 MiB, about 60,000 events.
BATCH_BYTES = 32 << 20
# Reading stops when a batch is ready and as many full batches as this wait: at most so much memory a topic, plus
# what librdkafka holds. Where nothing is ready, reading goes on; then every partition has less than one batch.
BUFFERED_BATCHES = 1
# Idleness is claimed on the broker's word, not on its silence: an answer older than this proves nothing.
ENDS_VALID_S = 5.0
PAST_ENDS = 60  # answers that are remembered: about as many seconds
# After a longer pause between two answers silence counts anew: nobody could send while the broker was away, and what
# was written meanwhile is on its way.
OUTAGE_S = 3.0


@dataclass(frozen=True, slots=True)
class Ends:
    """What the broker said where the partitions end, and when (monotonic seconds)."""

    asked_at: float
    offsets: Mapping[int, int]


class Feed:
    """Feeds one agent. Belongs to the app's loop; reading happens in a thread of its own."""

    def __init__(self, app: BatchApp, topic: str, handler: Handler, age_s: float) -> None:
        settings = app.settings
        self.topic = topic
        self.lost = 0  # messages that were deleted before they were read, since this worker started
        self._app = app
        self._handler = handler
        self._limits = Limits(settings.batch_events, BATCH_BYTES, age_s)
        # librdkafka waits until it has as many messages as it was asked for, so the wait is part of a batch's age.
        self._wait_s = min(0.1, age_s / 4)
        self._reader = Reader(settings, topic)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"read-{topic}")
        self._cursors: dict[int, Cursor] = {}
        self._mean_weight = 1.0  # of the messages of the last chunk
        self._turns: list[int] = []  # partitions, the one that has waited longest first
        self._generation = -1  # of the group, in which the partitions were assigned
        self._epoch = 0  # grows with every assignment and release; what was read in an earlier one is void
        self._queue: asyncio.Queue[EventT[Batch]] | None = None  # the agent's
        self._offered: Batch | None = None  # handed to the agent and not finished
        self._acting: asyncio.Task[None] | None = None
        self._assigned = asyncio.Event()
        self._progress = asyncio.Event()  # a batch was finished: there may be room to read again
        self._ends: Ends | None = None
        self._past: deque[Ends] = deque(maxlen=PAST_ENDS)
        self._heard_since = 0.0  # when the broker first answered after its last outage

    # --- membership: what the app tells

    async def assign(self, starts: Mapping[int, Start], generation: int) -> None:
        """Begin to read these partitions, assigned in this generation of the group."""
        self._generation = generation
        now = time.monotonic()
        self._cursors = {}
        for partition, start in sorted(starts.items()):
            cursor = Cursor(self.topic, partition, start.first, start.named, now)
            self._skip(cursor, start.position)
            self._cursors[partition] = cursor
        self._turns = list(self._cursors)
        self._epoch += 1
        await self._in_thread(self._reader.assign, {p: cursor.position for p, cursor in self._cursors.items()})
        if self._cursors:
            self._assigned.set()

    async def release(self, patience_s: float) -> None:
        """Give all partitions up: let the batch in flight finish for `patience_s`, then abandon it, unacknowledged."""
        self._assigned.clear()
        self._epoch += 1
        self._turns = []  # nothing is offered from now on
        if (task := self._acting) is not None:
            _, late = await asyncio.wait({task}, timeout=patience_s)
            if late:
                task.cancel()
                await asyncio.wait({task})
        self._cursors, self._offered, self._ends = {}, None, None
        self._past.clear()
        self._progress.set()

    async def close(self) -> None:
        """Disconnect the reader."""
        await self._in_thread(self._reader.close)
        self._thread.shutdown()

    # --- reading

    async def read(self) -> None:
        """Read for as long as the app runs; a Faust task."""
        while not self._app.failed:
            await self._assigned.wait()
            if self._full():
                self._progress.clear()
                await self._progress.wait()
                continue
            epoch = self._epoch
            chunk = await self._in_thread(self._reader.read, self._at_once(), self._wait_s)
            if epoch == self._epoch:
                await self._take(chunk)
                self._offer()

    def _at_once(self) -> int:
        """How many messages to read at once: as many as a batch has, of messages like the last ones."""
        return max(1, min(self._limits.messages, int(self._limits.weight / self._mean_weight)))

    async def _take(self, chunk: Chunk) -> None:
        now = time.monotonic()
        if chunk.messages:
            read = chunk.messages.values()
            self._mean_weight = max(1, sum(each.weight for each in read)) / sum(map(len, read))
        for partition, messages in chunk.messages.items():
            self._cursors[partition].add(messages, now)
        for partition, end in chunk.ends.items():
            self._cursors[partition].reach(end)
        for partition in chunk.out_of_range:
            # Retention overtook this worker.
            epoch, name = self._epoch, (self.topic, partition)
            begins = await self._app.watermarks.begins([name])
            if epoch == self._epoch:
                self._skip(self._cursors[partition], begins[name])
                await self._in_thread(self._reader.seek, partition, begins[name])

    def _skip(self, cursor: Cursor, position: int) -> None:
        lost = position - cursor.position
        if lost > 0:
            self.lost += lost
            cursor.lost.append((cursor.position, lost))
            log.error(
                "messages were deleted before they were read",
                topic=self.topic,
                partition=cursor.partition,
                first=cursor.position,
                lost=lost,
            )
            cursor.reach(position)

    def _full(self) -> bool:
        buffered = sum(cursor.buffered for cursor in self._cursors.values())
        weight = sum(cursor.weight for cursor in self._cursors.values())
        most = self._limits
        enough = buffered >= BUFFERED_BATCHES * most.messages or weight >= BUFFERED_BATCHES * most.weight
        return enough and self._offered is not None

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    # --- acting

    async def serve(self, stream: StreamT[Batch]) -> None:
        """The body of the topic's agent."""
        self._queue = cast("ChannelT[Batch]", stream.channel).queue
        async for batch in stream:
            if batch is self._offered:
                await self._act_on(batch)

    def _offer(self) -> None:
        """Give the agent the next batch, if it has none: partitions take turns."""
        if self._offered is not None or self._queue is None or self._app.failed:
            return
        now = time.monotonic()
        for partition in self._turns:
            batch = self._cursors[partition].cut(self._limits, now)
            if batch is not None:
                self._turns.remove(partition)
                self._turns.append(partition)
                self._offered = batch
                self._queue.put_nowait(self._event(batch))
                return

    def _event(self, batch: Batch) -> EventT[Batch]:
        # Tables find the partition of their changelog in the event that is current when they are written. The plain
        # `Message` does not report to Faust's own acknowledgements, which know nothing of names.
        message = Message(
            batch.topic,
            batch.partition,
            batch.last,
            timestamp=time.time(),
            timestamp_type=0,
            headers=None,
            key=None,
            value=cast("Any", batch),  # bytes, says Faust, but it only passes it on
            checksum=None,
            tp=TP(batch.topic, batch.partition),
            generation_id=self._app.consumer_generation_id,
        )
        return self._app.create_event(None, batch, None, message)

    async def _act_on(self, batch: Batch) -> None:
        # A task of its own, so that a revocation can abandon the batch without stopping the agent.
        task = self._acting = asyncio.create_task(self._act(batch), name=batch.name)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            self._acting = None
        if task.cancelled() or isinstance(task.exception(), PartitionLost):
            log.info("abandoned a batch whose partition went to another worker", batch=batch.name)
            return
        if (error := task.exception()) is not None:
            log.error("a batch failed; it is not acknowledged, the worker stops", batch=batch.name, exc_info=error)
            await self._app.fail(error)
            return
        self._offered = None
        self._progress.set()
        self._offer()

    async def confirm(self, batch: Batch) -> None:
        """Return when the broker agrees that the partition of the batch in flight is still this worker's.

        Raises
        ------
        PartitionLost
            If it is not.
        """
        member = self._app.member_thread
        await commit(member, self._generation, batch.place, batch.first, batch.last)

    async def _act(self, batch: Batch) -> None:
        cursor, member = self._cursors[batch.partition], self._app.member_thread
        if cursor.named is None:
            await commit(member, self._generation, batch.place, batch.first, batch.last)
            cursor.named = batch.last
        if len(batch):  # all of them may have been deleted since the batch was named
            await self._handler(batch)
            await self._app.settle_tables(self.topic)
        for first, n in cursor.lost:
            await self._app.record_loss(self.topic, batch.partition, first, n)
        cursor.lost.clear()
        cursor.finish()
        upcoming = cursor.cut(self._limits, time.monotonic())
        named = upcoming.last if upcoming else None
        await commit(member, self._generation, batch.place, cursor.first, named)
        cursor.named = named

    # --- knowledge

    def learn_ends(self, ends: Ends) -> None:
        """Remember where the broker says that the partitions end."""
        if self._ends is None or ends.asked_at - self._ends.asked_at > OUTAGE_S:
            self._heard_since = ends.asked_at
        self._ends = ends
        self._past.append(ends)

    @property
    def partitions(self) -> Iterable[int]:
        """The partitions that this worker reads now."""
        return self._cursors.keys() if self._assigned.is_set() else ()

    def idle(self, for_s: float, now: float) -> list[int]:
        """Partitions of which everything is finished, read `for_s` seconds ago or earlier; the broker confirms it.

        It must have answered for as long: an outage is no silence.
        """
        ends = self._ends
        if ends is None or now - ends.asked_at > ENDS_VALID_S:
            return []
        return [
            partition
            for partition, cursor in self._cursors.items()
            if cursor.resting
            and ends.asked_at - max(cursor.read_at, self._heard_since) >= for_s
            and cursor.position >= ends.offsets.get(partition, cursor.position + 1)
        ]

    def read_ages(self, now: float) -> dict[int, float]:
        """How many seconds ago everything that is finished was all there was, by partition: what was written earlier
        has been acted on. Without partitions that are farther behind than is remembered."""
        return {
            partition: now - max(asked_at)
            for partition, cursor in self._cursors.items()
            for done in [cursor.position if cursor.resting else cursor.first]
            if (asked_at := [ends.asked_at for ends in self._past if ends.offsets.get(partition, done + 1) <= done])
        }

    def lag(self) -> dict[int, int]:
        """Messages that are not finished, by partition; 0 where the broker has not said yet."""
        ends = self._ends.offsets if self._ends else {}
        return {p: max(0, ends.get(p, 0) - (c.position if c.resting else c.first)) for p, c in self._cursors.items()}
