"""Whether events wait to be read, by any worker: one may have read all that is its own while another is far behind.

In the walk: beside it. Work that takes days for complete waits while there is a backlog. What came a moment ago is
none, however much it is: at 25,000 events a second more than a batch is always on its way.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping

from driftline_streams.errors import Unavailable
from driftline_streams.transport.app import BatchApp
from driftline_streams.transport.offsets import Progress

AGE_S = 5.0  # what came earlier should be finished
MOST_AGE_S = 2 * AGE_S  # after a longer pause between two looks one begins anew

Ends = Mapping[str, Mapping[int, int]]  # by topic and partition


class Backlog:
    """What the group of `app` has left to read; `clock` gives seconds, as `time.monotonic`."""

    def __init__(self, app: BatchApp, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        self._looks: deque[tuple[float, Ends]] = deque()  # of the last `AGE_S`, and the one before
        self.exists = True  # until it is known that there is none

    async def look(self, events: Mapping[str, float]) -> None:
        """Ask Kafka whether a worker has more than a batch left of what a topic of `events` held `AGE_S` ago.

        `events` are those of a message, by topic. As long as nothing is known of that time, all that is there counts.

        Raises
        ------
        Unavailable
            If Kafka does not answer; then nothing is known any more.
        """
        try:
            found = {topic: await self._app.progress(topic) for topic in events}
        except Unavailable:
            self.forget()
            raise
        now = self._clock()
        self._looks.append((now, {topic: {p: each.end for p, each in of.items()} for topic, of in found.items()}))
        ends = self._ends(now)
        behind = [self._behind(topic, found[topic], ends[topic]) * each for topic, each in events.items()]
        self.exists = max(behind) > self._app.settings.batch_events

    def forget(self) -> None:
        """It is no more known."""
        self._looks.clear()
        self.exists = True

    def _ends(self, now: float) -> Ends:
        """Where partitions ended `AGE_S` ago; where they end now if that is not known."""
        while len(self._looks) > 1 and now - self._looks[1][0] >= AGE_S:
            self._looks.popleft()
        known = AGE_S <= now - self._looks[0][0] <= MOST_AGE_S
        return self._looks[0 if known else -1][1]

    def _behind(self, topic: str, progress: Mapping[int, Progress], ends: Mapping[int, int]) -> int:
        """Messages that a worker may have left: partitions are shared out evenly, so it has as many as this one."""
        # Of its own partitions this worker knows more than their commits say: these stop before a hole at the end
        # (aborted transactions), which reading passes.
        ages_s = self._app.read_ages(topic)
        left = [
            max(0, ends.get(partition, 0) - each.done) if ages_s.get(partition, math.inf) > AGE_S else 0
            for partition, each in progress.items()
        ]
        mine = max(1, len(list(self._app.feeds[topic].partitions)))
        return sum(sorted(left)[-mine:])
