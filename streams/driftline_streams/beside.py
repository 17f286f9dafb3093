"""Work beside the walk: what one worker does for all, now and then, from what stands in ClickHouse.

In the walk: beside it. All of this can be left for later, so it waits while there is a backlog, each job takes a
twentieth of the time and no more, and none stops the walk: a round that fails is logged, counted and tried again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from driftline_streams.errors import BrokenInvariant, Unavailable
from driftline_streams.kernel.pace import Pace

log = structlog.get_logger(__name__)

# Charged for a round that ended in an error: long enough that a query that always fails is not repeated without rest,
# short enough that an outage is not atoned for by hours.
MOST_FOR_FAILURE_S = 10.0

Work = Callable[[], Awaitable[None]]


class Timers(Protocol):
    """What repeats work: `transport.app.BatchApp` does."""

    def every(self, seconds: float, work: Work) -> None:
        """Do it again and again."""


class Beside:
    """The jobs of one worker.

    Parameters
    ----------
    timers
        Who calls them.
    mine
        Whether this worker is the one that does them.
    lags
        Whether events wait to be read: then days look complete that are not.
    failed
        Told the name of a job whose round failed.
    """

    def __init__(
        self, timers: Timers, *, mine: Callable[[], bool], lags: Callable[[], bool], failed: Callable[[str], None]
    ) -> None:
        self._timers = timers
        self._mine = mine
        self._lags = lags
        self._failed = failed

    def every(self, seconds: float, name: str, work: Work, *, in_backlog: bool = False) -> None:
        """Have `work` done `seconds` apart at most; also `in_backlog`, if it does not mind what is still to come."""
        pace = Pace(time.monotonic())

        async def round_() -> None:
            began = time.monotonic()
            if not self._mine() or (self._lags() and not in_backlog) or not pace.due(began):
                return
            most_s = MOST_FOR_FAILURE_S
            try:
                await work()
                most_s = math.inf
            except (BrokenInvariant, Unavailable):
                raise
            except Exception:
                # The outermost loop of the job: data that it does not bear must not stop the events behind it.
                self._failed(name)
                log.exception("a job beside the walk failed, and will be tried again", job=name)
            finally:
                pace.spent(began, min(time.monotonic(), began + most_s))

        round_.__name__ = name
        self._timers.every(seconds, round_)
