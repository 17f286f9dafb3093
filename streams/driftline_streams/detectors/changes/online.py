"""Online change detectors behind one small face: river's ADWIN and Page-Hinkley, with snapshots that are plain data.

In the walk: `watch` feeds them one standardised mean a closed window. Both are two-sided. A snapshot is the detector's
own few numbers (for ADWIN, river's binary form of its buckets), not a pickle: what comes back from a changelog topic
must not be able to run code, and the numbers restore the detector exactly, as a rebuild from recent inputs would not.

Values are in standard errors of a window's mean, about N(0, 1) without a change; how long a detector runs on those
before a false alarm is measured (`run_lengths`). The threshold may be set while a detector runs.
"""

from __future__ import annotations

import struct
from typing import Any, Protocol

import msgspec
from river import stats

from driftline_streams.detectors.changes import river_drift

# ADWIN's bound has a term for values in [0, 1] that is too cautious for others. Twice the value halves that term: a
# fifth less delay at no false alarm in 200,000; four times gave two.
ADWIN_SCALE = 2.0
# River compares parts of five values and more. Parts of two find a change of five standard errors in three windows
# instead of five; a part of one would take a single bad window for a change.
SHORTEST = 2
# Page-Hinkley forgives drifts below this many standard errors a window. River's 0.005 gave 126 false alarms in 200,000.
FORGIVEN = 0.1
# Without forgetting: with river's 0.9999 the forgiven drift saturates and noise then crosses any threshold in time.
KEEP_ALL = 1.0


class Detector(Protocol):
    """Watches one stream of standardised values for a change of level."""

    method: str

    @property
    def threshold(self) -> float:
        """Its own measure of surprise."""

    @threshold.setter
    def threshold(self, threshold: float) -> None: ...

    def update(self, x: float) -> bool:
        """Take in the next value (finite); True when the level has changed, after which it starts afresh."""

    def snapshot(self) -> bytes:
        """Everything that decides about the future."""

    def restore(self, snapshot: bytes) -> None:
        """Become the detector of the snapshot; the parameters stay one's own."""


class Adwin:
    """ADWIN (Bifet and Gavaldà 2007): compares the means of all splits of a window that grows while nothing changes."""

    method = "adwin"

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._river: Any = river_drift.ADWIN(delta=threshold, clock=1, min_window_length=SHORTEST)

    @property
    def threshold(self) -> float:
        """Its delta."""
        return self._threshold

    @threshold.setter
    def threshold(self, threshold: float) -> None:
        if threshold != self._threshold:
            self._threshold = self._river.delta = threshold
            self._adopt(self._river._helper.__getstate__())

    def update(self, x: float) -> bool:
        self._river.update(x * ADWIN_SCALE)
        return bool(self._river.drift_detected)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode((bool(self._river.drift_detected), self._river._helper.__getstate__()))

    def restore(self, snapshot: bytes) -> None:
        detected, buckets = msgspec.msgpack.decode(snapshot, type=tuple[bool, bytes])
        self._river._drift_detected = detected
        self._adopt(buckets)

    def _adopt(self, buckets: bytes) -> None:
        # River's binary form begins with delta: what comes back must go on with the threshold that holds now.
        self._river._helper.__setstate__(struct.pack("<d", self._threshold) + buckets[8:])


class PageHinkley:
    """Page-Hinkley (Page 1954): sums what exceeds the mean so far, upwards and downwards."""

    method = "page_hinkley"

    def __init__(self, threshold: float) -> None:
        self._river: Any = river_drift.PageHinkley(threshold=threshold, delta=FORGIVEN, alpha=KEEP_ALL, mode="both")

    @property
    def threshold(self) -> float:
        """In standard errors of a window's mean, summed."""
        return float(self._river.threshold)

    @threshold.setter
    def threshold(self, threshold: float) -> None:
        self._river.threshold = threshold

    def update(self, x: float) -> bool:
        self._river.update(x)
        return bool(self._river.drift_detected)

    def snapshot(self) -> bytes:
        river = self._river
        return msgspec.msgpack.encode(
            (
                bool(river.drift_detected),
                float(river._x_mean.n),
                float(river._x_mean.get()),
                float(river._sum_increase),
                float(river._sum_decrease),
                float(river._min_increase),
                float(river._max_decrease),
            )
        )

    def restore(self, snapshot: bytes) -> None:
        river = self._river
        detected, n, mean, up, down, least, most = msgspec.msgpack.decode(
            snapshot, type=tuple[bool, float, float, float, float, float, float]
        )
        river._drift_detected = detected
        river._x_mean = stats.Mean._from_state(n, mean) if n else stats.Mean()
        river._sum_increase, river._sum_decrease = up, down
        river._min_increase, river._max_decrease = least, most
