"""Committed offsets and the names of batches, in one place: Kafka's own record of where the group stands.

A commit holds the offset where the next batch begins and, as its metadata, the last offset of that batch once it is
known. It is aiokafka's consumer that commits, because it is the member of the group; it lives in Faust's consumer
thread, so everything here crosses over to that thread's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import stamina
from aiokafka.errors import IllegalGenerationError, KafkaError, RebalanceInProgressError, UnknownMemberIdError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from driftline_streams.errors import BrokenInvariant, DriftlineError, Unavailable
from driftline_streams.transport.watermarks import Partition, Watermarks

if TYPE_CHECKING:
    from driftline_streams.transport.membership import MemberThread

T = TypeVar("T")
RETRY_S = 0.1  # between two attempts to commit


class PartitionLost(DriftlineError):
    """The partition went to another worker in the midst of a batch, which the new owner does under the same name."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a partition begins: the next batch is `first` to `named`, if that is on record; read from `position`."""

    first: int
    named: int | None
    position: int  # after `first` if what lies between was deleted


class Progress(NamedTuple):
    """How far the group is in a partition, which ends at `end`: everything before `done` is finished."""

    done: int
    end: int


async def commit(thread: MemberThread, generation: int, partition: Partition, first: int, named: int | None) -> None:
    """Everything before `first` is done, and the next batch will be `first` to `named`, if that is known.

    Waits for as long as the broker is away. `generation` is that of the assignment of the partition: a worker that was
    frozen and wakes up must not overwrite the name that a newer owner has written.

    Raises
    ------
    PartitionLost
        If the partition is no longer this worker's.
    """
    offsets = {TopicPartition(*partition): OffsetAndMetadata(first, "" if named is None else str(named))}
    try:
        await _over_there(thread, _commit(thread.member._coordinator, generation, offsets))
    except (IllegalGenerationError, UnknownMemberIdError, RebalanceInProgressError) as error:
        raise PartitionLost(f"{partition[0]}:{partition[1]} at {first}: {error!r}") from None


async def _commit(coordinator: Any, generation: int, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
    # aiokafka's own `commit` sends whatever generation it is in. After an expulsion that is none at all, which the
    # broker accepts from anybody when nobody else is left in the group.
    async def once() -> None:
        if coordinator.generation != generation or generation < 0:
            raise IllegalGenerationError(f"{coordinator.generation} instead of {generation}")
        await coordinator._do_commit_offsets(None, offsets)  # composes its request before it waits for anything

    while True:
        await coordinator.ensure_coordinator_known()
        try:
            async with coordinator._commit_lock:
                await asyncio.shield(once())
        except KafkaError as error:
            if not error.retriable or isinstance(error, RebalanceInProgressError):
                raise
            await asyncio.sleep(RETRY_S)
        else:
            return


async def recover(
    thread: MemberThread, watermarks: Watermarks, partitions: Iterable[Partition]
) -> dict[Partition, Start]:
    """Where to begin; where nothing was committed, at the beginning. Waits for as long as the broker is away.

    Raises
    ------
    BrokenInvariant
        If a partition ends before the committed offset: its new messages would take the names of old ones.
    """
    partitions = list(partitions)
    if not partitions:
        return {}
    async for attempt in stamina.retry_context((KafkaError, Unavailable), attempts=None, timeout=None, wait_max=2.0):
        with attempt:
            begins, records, ends = await _places(thread, watermarks, partitions)
    return {p: _start(p, records.get(p), begins[p], ends[p]) for p in partitions}


async def progress(thread: MemberThread, watermarks: Watermarks, topic: str) -> dict[int, Progress]:
    """How far the group is, by partition: as far as it has committed, which is before a hole at the end.

    Raises
    ------
    Unavailable
        If the broker does not answer.
    """
    partitions = [(topic, number) for number in thread.member.partitions_for_topic(topic) or ()]
    if not partitions:
        raise Unavailable(f"nothing is known yet of the partitions of {topic}")
    try:
        begins, records, ends = await _places(thread, watermarks, partitions)
    except KafkaError as error:
        raise Unavailable(f"cannot ask how far {topic} has been read: {error!r}") from None
    return {p[1]: Progress(max(begins[p], records[p].offset if p in records else 0), ends[p]) for p in partitions}


async def _places(
    thread: MemberThread, watermarks: Watermarks, partitions: Iterable[Partition]
) -> tuple[dict[Partition, int], dict[Partition, OffsetAndMetadata], dict[Partition, int]]:
    """Where partitions begin, what was committed, and where they end."""
    # One after the other: the group's coordinator is waited for without end, so it is asked when the broker answers.
    begins = await watermarks.begins(partitions)
    records = await _committed(thread, partitions)
    return begins, records, await watermarks.ends(partitions)  # last: what comes meanwhile is not read too far


async def _committed(thread: MemberThread, partitions: Iterable[Partition]) -> dict[Partition, OffsetAndMetadata]:
    # aiokafka's `committed()` drops the metadata, and confluent-kafka 2.16.1 cannot decode it.
    fetch = thread.member._coordinator.fetch_committed_offsets
    found = await _over_there(thread, fetch([TopicPartition(*partition) for partition in partitions]))
    return {(tp.topic, tp.partition): record for tp, record in found.items()}


async def _over_there(thread: MemberThread, work: Coroutine[None, None, T]) -> T:
    # Cancelling the caller cancels the work too, so that an abandoned commit is not repeated in a later generation.
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, thread.thread_loop))


def _start(partition: Partition, record: OffsetAndMetadata | None, begin: int, end: int) -> Start:
    if record is None:
        return Start(begin, None, begin)
    if record.offset > end:
        raise BrokenInvariant(
            f"{partition[0]}:{partition[1]} ends at {end}, before the committed offset {record.offset}: it was cut off "
            "or recreated, and batch names would be used twice. Delete the group's offsets of this topic to start over"
        )
    named = int(record.metadata) if record.metadata else None
    # What is left of a named batch keeps its name, even nothing: if its effects exist, they are not repeated.
    return Start(record.offset, named, max(begin, record.offset))
