"""Whether events wait to be read, by any worker: one may have read all that is its own while another is far behind.

In the walk: beside it. Work that takes days for complete waits while there is a backlog.
"""

from __future__ import annotations

from collections.abc import Mapping

from driftline_streams.transport.app import BatchApp


class Backlog:
    """What the group of `app` has left to read."""

    def __init__(self, app: BatchApp) -> None:
        self._app = app
        self.exists = True  # until it is known that there is none

    async def look(self, events: Mapping[str, float]) -> None:
        """Ask Kafka whether a worker is more than a batch behind in a topic of `events`: events a message, by topic.

        Raises
        ------
        Unavailable
            If Kafka does not answer.
        """
        behind = [await self._behind(topic) * each for topic, each in events.items()]
        self.exists = max(behind) > self._app.settings.batch_events

    def forget(self) -> None:
        """It is no more known."""
        self.exists = True

    async def _behind(self, topic: str) -> int:
        """Messages that a worker may have left: partitions are shared out evenly, so it has as many as this one."""
        unread = await self._app.unread(topic)
        mine = max(1, len(list(self._app.feeds[topic].partitions)))
        return sum(sorted(unread.values())[-mine:])
