"""Committed offsets and the names of batches, in one place: Kafka's own record of where the group stands.

A commit holds the offset where the next batch begins and, as its metadata, the last offset of that batch once it is
known. It is aiokafka's consumer that commits, because it is the member of the group; it lives in Faust's consumer
thread, so everything here crosses over to that thread's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import stamina
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from driftline_streams.errors import BrokenInvariant, DriftlineError

if TYPE_CHECKING:
    from driftline_streams.transport.membership import MemberThread

T = TypeVar("T")

Partition = tuple[str, int]  # topic and number


class PartitionLost(DriftlineError):
    """The partition went to another worker in the midst of a batch, which the new owner does under the same name."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a partition begins: the next batch is `first` to `named`, if that is on record; read from `position`."""

    first: int
    named: int | None
    position: int  # after `first` if what lies between was deleted


class Offsets:
    """Reads and writes the record, on behalf of the member that runs in `thread`."""

    def __init__(self, thread: MemberThread) -> None:
        self._thread = thread

    async def commit(self, topic: str, partition: int, first: int, named: int | None) -> None:
        """Everything before `first` is done, and the next batch will be `first` to `named`, if that is known.

        Waits for as long as the broker is away.

        Raises
        ------
        PartitionLost
            If the partition is no longer this worker's.
        """
        offset = OffsetAndMetadata(first, "" if named is None else str(named))
        try:
            await self._over_there(self._thread.member.commit({TopicPartition(topic, partition): offset}))
        except (CommitFailedError, IllegalStateError) as error:
            raise PartitionLost(f"{topic}:{partition} at {first}: {error}") from None

    async def recover(self, partitions: Iterable[Partition]) -> dict[Partition, Start]:
        """Where to begin; where nothing was committed, at the beginning.

        Waits for as long as the broker is away.

        Raises
        ------
        BrokenInvariant
            If a partition ends before the committed offset: its new messages would take the names of old ones.
        """
        return await self._over_there(_recover(self._thread.member, [TopicPartition(*p) for p in partitions]))

    async def begins(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offset of the first message that the broker still has; waits for as long as it is away."""
        return await self._over_there(_begins(self._thread.member, [TopicPartition(*p) for p in partitions]))

    async def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offset after the last message, asked of the broker now.

        Raises
        ------
        KafkaError
            If the broker does not answer.
        """
        found = await self._over_there(self._thread.member.end_offsets([TopicPartition(*p) for p in partitions]))
        return {(tp.topic, tp.partition): end for tp, end in found.items()}

    async def _over_there(self, work: Coroutine[None, None, T]) -> T:
        # Cancelling the caller cancels the work too, so that an abandoned commit is not repeated in a later generation.
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._thread.thread_loop))


def _patiently() -> AsyncIterator[stamina.Attempt]:
    return aiter(stamina.retry_context(on=KafkaError, attempts=None, timeout=None, wait_max=2.0))


async def _begins(member: AIOKafkaConsumer, partitions: list[TopicPartition]) -> dict[Partition, int]:
    async for attempt in _patiently():
        with attempt:
            begins = await member.beginning_offsets(partitions)
    return {(tp.topic, tp.partition): begin for tp, begin in begins.items()}


async def _recover(member: AIOKafkaConsumer, partitions: list[TopicPartition]) -> dict[Partition, Start]:
    if not partitions:
        return {}
    async for attempt in _patiently():
        with attempt:
            # aiokafka's `committed()` drops the metadata; confluent-kafka 2.16.1 cannot decode it.
            committed = await member._coordinator.fetch_committed_offsets(partitions)
            begins, ends = await member.beginning_offsets(partitions), await member.end_offsets(partitions)
    return {(tp.topic, tp.partition): _start(tp, committed.get(tp), begins[tp], ends[tp]) for tp in partitions}


def _start(tp: TopicPartition, record: OffsetAndMetadata | None, begin: int, end: int) -> Start:
    if record is None:
        return Start(begin, None, begin)
    if record.offset > end:
        raise BrokenInvariant(
            f"{tp.topic}:{tp.partition} ends at {end}, before the committed offset {record.offset}: it was cut off or "
            "recreated, and batch names would be used twice. Delete the group's offsets of this topic to start over"
        )
    named = int(record.metadata) if record.metadata else None
    # What is left of a named batch keeps its name, even nothing: if its effects exist, they are not repeated.
    return Start(record.offset, named, max(begin, record.offset))
