"""Events that wait to travel together: by the partition of their keys, until a frame is full or has waited enough.

Between `log` and Kafka when frames are asked for: `log` adds, the sender's thread cuts. Knows no Kafka and no clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import msgspec

from driftline.frame import HEADERS, encode_frame
from driftline.partition import partitions
from driftline_schemas.records import Prediction

CUT_BYTES = 256 * 1024  # of JSON: a frame closes when its events would have had so much by themselves
LEAST = 8  # fewer events are no shorter as a frame, and as single ones cheaper to read

_decode = msgspec.json.Decoder(Prediction).decode


@dataclass(slots=True)
class Group:
    """Events of one partition, their JSON, and its size in bytes."""

    since: float  # when the first of them came to it, in seconds of a monotonic clock
    size: int = 0
    events: list[Prediction] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)

    def messages(self, partition: int | None) -> Iterator[tuple[int, dict[str, Any]]]:
        """How they travel: the number of events of each message, and what `produce` is to be called with.

        One frame, or single events when they are few, do not fit a frame or their partition is not known (`None`).
        """
        frame = encode_frame(self.events) if partition is not None and len(self.events) >= LEAST else None
        if frame is not None:
            yield len(self.events), {"value": frame, "partition": partition, "headers": HEADERS}
        else:
            for event, payload in zip(self.events, self.payloads, strict=True):
                yield 1, {"value": payload, "key": event.prediction_id}


class Framing:
    """Groups of events, each of one partition.

    Parameters
    ----------
    most
        Events of a frame; with 1 there are none.
    wait_s
        How long a group may wait to become a frame of so many.
    """

    def __init__(self, most: int, wait_s: float) -> None:
        self.most = most
        self.wait_s = wait_s
        # As JSON: events kept as objects would cost `log` 1.5 µs, for memory that is not in the processor's cache.
        self._added: list[bytes] = []
        self._groups: dict[int | None, Group] = {}

    @property
    def wanted(self) -> bool:
        """Whether events travel in frames at all."""
        return self.most > 1

    @property
    def enough(self) -> bool:
        """Whether there may be a frame to cut, without regard to time."""
        return len(self._added) >= self.most

    def add(self, payload: bytes) -> None:
        """Take in the JSON of a valid event; this is all that its caller waits for."""
        self._added.append(payload)

    def cut(self, partition_count: int, now: float, *, everything: bool) -> Iterator[tuple[int | None, Group]]:
        """The groups that are complete at `now`, with their partition; with `everything`, all of them.

        While nobody knows how many partitions there are (0), all events are of one group, and of no partition. Only one
        thread at a time may cut; others may add meanwhile.
        """
        alone = None if partition_count == 0 else 0
        added = self._added[:]
        del self._added[: len(added)]
        events = list(map(_decode, added))
        keys = [event.prediction_id.encode() for event in events]
        known = partition_count > 1
        targets: list[int | None] = [*(partitions(keys, partition_count) if known else repeat(alone, len(keys)))]
        for target, event, payload in zip(targets, events, added, strict=True):
            group = self._groups.get(target)
            if group is None:
                group = self._groups[target] = Group(now)
            group.events.append(event)
            group.payloads.append(payload)
            group.size += len(payload)
            if len(group.events) >= self.most or group.size >= CUT_BYTES:
                del self._groups[target]
                yield target, group
        for target in [t for t, group in self._groups.items() if everything or now - group.since >= self.wait_s]:
            yield target, self._groups.pop(target)

    def clear(self) -> None:
        """Forget all events."""
        self._added.clear()
        self._groups.clear()
