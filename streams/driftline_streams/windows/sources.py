"""Watermarks: how far event time has come, over all source partitions of a model.

In the walk: `detect` asks before it closes a window. The watermark of a model is the minimum over its source
partitions, because a backlog is fetched in chunks that skew partitions by far more than any sensible lateness. A
partition that has been read to its end must not hold windows open: it follows the `Clock` messages of its reader until
it speaks again.

A clock promises that nothing older than its time will come, and a replay of old data breaks that promise on every
partition at once. So when a model speaks of times long before the clocks, clocks from before it spoke do not count:
the first partition to deliver would otherwise close the windows that the others are about to fill.
"""

from __future__ import annotations

from msgspec import Struct, field

from driftline_schemas.records import Clock, Partial

NEVER_MS = -(1 << 62)
SLACK_MS = 60_000  # a clock may be so far ahead of the newest event and still be of the same live stream
PATIENCE = 64  # partials of the model that a silent partition is waited for, when its clock is not trusted


class Clocks(Struct, array_like=True):
    """The latest clock of each source partition, in the order in which they came. Bounded by the topics' partitions."""

    ticks: int = 0  # clocks so far: orders them against partials without comparing event time with wall time
    latest: dict[str, tuple[int, int]] = field(default_factory=dict)  # source → (time in ms, its tick)
    read: dict[str, int] = field(
        default_factory=dict
    )  # busy source → until when everything written to it has been read

    def update(self, clock: Clock) -> bool:
        """Take in a clock; False when it is not newer than the last one of its source (a repeated message).

        A clock of time 0 only announces the partition.
        """
        source = name_of(clock.topic, clock.partition)
        known_ms = self.read.get(source, NEVER_MS) if clock.busy else self.latest.get(source, (NEVER_MS, 0))[0]
        if clock.time_ms <= known_ms:
            return False
        self.ticks += 1
        if clock.busy:
            self.read[source] = clock.time_ms
        else:
            self.latest[source] = (clock.time_ms, self.ticks)
        return True

    def read_ms(self) -> int:
        """Until when everything written to any source has been read; `NEVER_MS` when one of them has not said.

        No event that was published before is still to come, but events of earlier times may be: of a replay.
        """
        told = [max(time_ms, self.read.get(source, 0)) for source, (time_ms, _) in self.latest.items()]
        least = min(told, default=0)
        return least if least > 0 else NEVER_MS


class Seen(Struct, array_like=True):
    """What a model has shown on one source partition."""

    event_ms: int = NEVER_MS  # the latest event time
    tick: int = 0  # clocks that had come when it last spoke
    partials: int = 0  # partials of the model that had come when it last spoke


_UNSEEN = Seen()


class Sources(Struct, array_like=True):
    """The source partitions of one model: their event times and the batches already applied.

    Bounded by the partitions of the source topics, and `applied` by them for each version.
    """

    seen: dict[str, Seen] = field(default_factory=dict)
    # version → source → last offset, and how many of its events are still to come, negative: later ends are greater
    applied: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    latest: Seen = field(default_factory=Seen)  # over all sources

    def update(self, partial: Partial, clocks: Clocks) -> bool:
        """Take in the name and the event time of a partial; False when its batch has been applied before."""
        source = name_of(partial.topic, partial.partition)
        applied = self.applied.setdefault(partial.version, {})
        end = partial.last, -partial.left
        if end <= applied.get(source, (-1, 0)):
            return False
        applied[source] = end
        count = self.latest.partials + 1
        reached_ms = max(partial.watermark_ms, self.seen.get(source, _UNSEEN).event_ms)
        self.seen[source] = Seen(reached_ms, clocks.ticks, count)
        self.latest = Seen(max(reached_ms, self.latest.event_ms), clocks.ticks, count)
        return True

    def watermark_ms(self, clocks: Clocks) -> int:
        """The event time that all sources have reached; `NEVER_MS` while one of them is still waited for."""
        if not self.seen:
            return NEVER_MS
        silent = [source for source in clocks.latest if source not in self.seen]
        reached = [self._reached_ms(seen, clocks.latest.get(source)) for source, seen in self.seen.items()]
        if self.latest.partials < PATIENCE:
            reached += [self._reached_ms(_UNSEEN, clocks.latest[source]) for source in silent]
        return min(reached)

    def _reached_ms(self, seen: Seen, clock: tuple[int, int] | None) -> int:
        if clock is None:
            return seen.event_ms
        time_ms, tick = clock
        trusted = tick > seen.tick and (
            tick > self.latest.tick
            or time_ms <= self.latest.event_ms + SLACK_MS
            or self.latest.partials - seen.partials >= PATIENCE
        )
        return max(seen.event_ms, time_ms) if trusted else seen.event_ms


def name_of(topic: str, partition: int) -> str:
    """One string for a source partition.

    >>> name_of("driftline.predictions", 3)
    'driftline.predictions:3'
    """
    return f"{topic}:{partition}"
