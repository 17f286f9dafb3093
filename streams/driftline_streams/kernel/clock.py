"""Event time as integers: milliseconds since 1970-01-01 UTC, and the tumbling windows over them.

In the walk: `ingest` turns the timestamps of a batch into milliseconds and windows; every later stage only compares.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from typing import cast

import numpy as np

from driftline_streams.kernel.histogram import Ints


def to_ms(instant: dt.datetime | int) -> int:
    """Milliseconds since the epoch, rounded down; integers already are.

    >>> to_ms(dt.datetime(1970, 1, 1, 0, 0, 1, 999, tzinfo=dt.UTC)), to_ms(5)
    (1000, 5)
    """
    return instant if isinstance(instant, int) else round(instant.timestamp() * 1_000_000) // 1000


def all_to_ms(instants: Sequence[dt.datetime | int]) -> Ints:
    """`to_ms` of aware datetimes and integers (fitting 64 bits), shape `(n,)`."""
    try:
        # Seconds as a double are exact to 0.2 µs until the year 2100, so rounding to microseconds restores them.
        seconds = np.array([instant.timestamp() for instant in cast("Sequence[dt.datetime]", instants)], np.float64)
    except AttributeError:
        return np.array([to_ms(instant) for instant in instants], np.int64)
    return np.rint(seconds * 1_000_000).astype(np.int64) // 1000


def now_ms() -> int:
    """The wall clock: milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Steady:
    """Time that goes on evenly: it begins at the wall clock's and takes no part in its steps.

    The clocks of silent partitions need it: the watermark never goes back, so that an hour too far ahead is an hour in
    which no window of theirs closes.
    """

    def __init__(self) -> None:
        self._ahead_ns = time.time_ns() - _since_boot_ns()

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return (self._ahead_ns + _since_boot_ns()) // 1_000_000


def _since_boot_ns() -> int:
    # Linux's monotonic clock stands still while a laptop sleeps, this one does not; elsewhere there is but one.
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def window_start(ms: int, width_ms: int) -> int:
    """The start of the window of `width_ms` that holds `ms`; windows are aligned to the epoch.

    >>> window_start(12_345, 10_000)
    10000
    """
    return ms - ms % width_ms
