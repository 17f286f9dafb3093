"""Offsets that never were events: Kafka itself is asked whether it holds a message there.

In the walk: beside it. Transaction markers, what was aborted and what compaction removed leave holes in a partition;
`ledger_positions` looks up here what has no row, before the ledger calls it missing.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise

from driftline_streams.errors import Unavailable
from driftline_streams.settings import Settings
from driftline_streams.sinks.ledger import Position
from driftline_streams.transport.batch import Messages
from driftline_streams.transport.reader import Reader

TIMEOUT_S = 15.0  # without a message
NEAR = 50_000  # offsets: runs no further apart are read in one go, because a new start costs as much

Key = tuple[str, int]  # topic and partition
Run = tuple[int, int]  # first and last offset


class Gaps:
    """The gaps that are known; a gap stays one, so what is learned is kept until the ledger no longer looks there."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[Key, list[Run]] = {}  # in order, apart from each other

    def within(self, key: Key, place: Position) -> tuple[Run, ...]:
        """The known gaps from the beginning of a partition to its committed offset."""
        known = self._known[key] = [run for run in self._known.get(key, ()) if run[1] >= place.begin]
        cut = ((max(first, place.begin), min(last, place.committed - 1)) for first, last in known)
        return tuple(run for run in cut if run[0] <= run[1])

    def learn(self, key: Key, runs: list[Run]) -> None:
        """Look up runs of offsets, in order.

        Raises
        ------
        Unavailable
            If the broker does not answer.
        """
        known = self._known.get(key, [])
        seen = set(known)
        new = [run for run in runs if run not in seen]
        self._known[key] = _merged([*known, *_empty(new, _held(self._settings, key, new))])


def _held(settings: Settings, key: Key, runs: list[Run]) -> set[int]:
    """The offsets of the runs at which there is a message, or where none can be read any more."""
    held: set[int] = set()
    starts = [first for first, _ in runs]
    reader = Reader(settings, key[0])
    try:
        for first, last in _spans(runs):
            for offset in _read(reader, key, first, last):
                place = bisect_right(starts, offset) - 1
                if place >= 0 and offset <= runs[place][1]:
                    held.add(offset)
    finally:
        reader.close()
    return held


def _read(reader: Reader, key: Key, first: int, last: int) -> Iterator[int]:
    topic, partition = key
    position, heard_at = first, time.monotonic()
    reader.assign({partition: first})
    while position <= last:
        chunk = reader.read(10_000, 0.1)
        offsets = chunk.messages.get(partition, Messages()).offsets
        yield from offsets
        if partition in chunk.out_of_range:  # deleted meanwhile: the next look begins later
            yield from range(position, last + 1)
            return
        reached = max([*(offset + 1 for offset in offsets[-1:]), chunk.ends.get(partition, 0)])
        if reached > position:
            position, heard_at = reached, time.monotonic()
        elif time.monotonic() - heard_at > TIMEOUT_S:
            raise Unavailable(f"{topic}:{partition} could not be read at offset {position} within {TIMEOUT_S:.0f} s")


def _spans(runs: list[Run]) -> Iterator[Run]:
    """The runs, with those that are near each other in one."""
    first, last = -1, -1
    for start, end in runs:
        if first >= 0 and start - last > NEAR:
            yield first, last
            first = start
        first, last = (start if first < 0 else first), end
    if first >= 0:
        yield first, last


def _empty(runs: list[Run], held: set[int]) -> Iterator[Run]:
    """What is left of the runs without the offsets that hold a message."""
    taken = sorted(held)
    for first, last in runs:
        edges = [first - 1, *taken[bisect_left(taken, first) : bisect_right(taken, last)], last + 1]
        for before, after in pairwise(edges):
            if after - before > 1:
                yield before + 1, after - 1


def _merged(runs: list[Run]) -> list[Run]:
    merged: list[Run] = []
    for first, last in sorted(runs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged
