"""Whether a service answers: a line when it stops, one every 30 s for as long as it does not, one when it is back.

In the walk: whoever asks ClickHouse or Kafka reports here what came of it. An outage makes hundreds of attempts fail a
second, and each of their reasons is the same.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace

import structlog

log = structlog.get_logger(__name__)

REMIND_S = 30.0


@dataclass(frozen=True, slots=True)
class Outage:
    """A service does not answer: since when (Unix time, s), after how many attempts, and what was last heard."""

    since: float
    attempts: int
    reason: str


class Availability:
    """Of one service; threads may share it.

    Attributes
    ----------
    outage
        The one that lasts, `None` while the service answers.
    """

    def __init__(self, service: str, address: str) -> None:
        self.outage: Outage | None = None
        self._service, self._address = service, address
        self._lock = threading.Lock()
        self._began_at = 0.0  # these two in seconds of the monotonic clock
        self._told_at = 0.0

    def failed(self, reason: str) -> None:
        """An attempt failed, and will be repeated."""
        now = time.monotonic()
        with self._lock:
            before = self.outage
            self.outage = after = (
                Outage(time.time(), 1, reason)
                if before is None
                else replace(before, attempts=before.attempts + 1, reason=reason)
            )
            if before is None:
                self._began_at = now
            elif now - self._told_at < REMIND_S:
                return
            self._told_at = now
        self._tell("is unavailable, retrying", seconds=round(now - self._began_at), reason=after.reason)

    def answered(self) -> None:
        """An attempt succeeded."""
        if self.outage is None:
            return
        with self._lock:
            outage, self.outage = self.outage, None
        if outage is not None:
            seconds = round(time.monotonic() - self._began_at, 1)
            log.info(f"{self._service} is back", address=self._address, seconds=seconds, attempts=outage.attempts)

    def _tell(self, what: str, **context: object) -> None:
        log.warning(f"{self._service} {what}", address=self._address, **context)
