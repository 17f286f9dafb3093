"""One signal of one model version under watch: closed windows in, changes of level out.

In the walk: `detect` feeds each closed window's mean. A mean becomes a standardised value before a detector sees it,

    x = (mean - level) / deviation * sqrt(min(n, 64)) / spread

so that neither the unit of the signal nor the size of batches matters. The deviation of single values comes from the
reference, else from the warm-up; the level and the spread (how much more windows differ than sampling explains: daily
rhythms, bursts) from the first 20 windows, which are fed to the detectors afterwards. After a change the new level
holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from msgspec import Struct, field

from driftline_schemas.records import Moments
from driftline_schemas.spec import DriftRules
from driftline_streams.detectors.budget import thresholds
from driftline_streams.detectors.online import Adwin, Detector, PageHinkley
from driftline_streams.kernel import moments

WARM_UP = 20  # windows; ADWIN compares nothing before 10 and Page-Hinkley before 30, so that waiting costs little
RECENT = 48  # windows in which the time of a change is looked for
MOST_EVENTS = 64  # of a window that count towards its precision: beyond, real processes vary more than samples do
# One absurd window must not look like a change: Page-Hinkley's default threshold takes more than six such windows.
CLIP = 8.0
# Where the reference is constant, any change is infinitely many deviations: the least deviation, as part of the level.
LEAST_DEVIATION = 1e-6
MOST_EFFECT = 1_000.0


class Point(NamedTuple):
    """One closed window of a signal: its start, its finite values and their mean in the signal's own unit."""

    start_ms: int
    end_ms: int
    n: int
    mean: float


class Change(NamedTuple):
    """A change of level, found in window `point`, in the signal's own unit."""

    method: str
    threshold: float
    statistic: float  # difference of the levels in standard errors
    point: Point
    since_ms: int  # start of the first window of the new level, as far as the last `RECENT` windows tell
    before: float
    after: float
    effect: float  # in deviations of single values, signed
    n: int  # events at the new level so far

    @property
    def direction(self) -> Literal["up", "down"]:
        return "up" if self.after > self.before else "down"


class Arm(Struct, array_like=True):
    """What one detector is measured against since it was last armed."""

    level: float
    spread: float
    windows: int = 0
    n: int = 0
    total: float = 0.0
    snapshot: bytes = b""


class WatchState(Struct, array_like=True):
    """All of a watch as plain data: about 3 KB with both detectors."""

    reference: str  # id of the reference that the deviation comes from; empty without one
    warm: list[Point] = field(default_factory=list)
    sums: Moments = moments.EMPTY  # of the warm-up
    deviation: float = math.nan
    recent: list[Point] = field(default_factory=list)
    arms: list[Arm] = field(default_factory=list)  # empty during the warm-up, then in the order of `_detectors`


class Watch:
    """Follows one signal; `profile` holds the moments of the reference when there is one."""

    def __init__(
        self, rules: DriftRules, profile: Moments | None, *, rate: bool = False, state: WatchState | None = None
    ) -> None:
        self._rules, self._profile, self._rate = rules, profile, rate
        self._detectors = _detectors(rules)
        self.state = state if state is not None else WatchState("")
        for detector, arm in zip(self._detectors, self.state.arms, strict=False):
            detector.restore(arm.snapshot)

    def snapshot(self) -> WatchState:
        """The state with the detectors' own in it."""
        for detector, arm in zip(self._detectors, self.state.arms, strict=False):
            arm.snapshot = detector.snapshot()
        return self.state

    def update(self, point: Point, sums: Moments) -> list[Change]:
        """Take in the next closed window and the moments of its values; a window without values says nothing.

        Returns changes of any size; whether one matters is for the caller.
        """
        if not point.n or not math.isfinite(point.mean):
            return []
        if self.state.arms:
            return self._feed(point)
        self.state.warm.append(point)
        self.state.sums = moments.merge(self.state.sums, sums)
        if len(self.state.warm) < WARM_UP:
            return []
        self._arm()
        warm, self.state.warm = self.state.warm, []
        return [change for early in warm for change in self._feed(early)]

    def _arm(self) -> None:
        state = self.state
        level = moments.mean(state.sums)
        own = _deviation(state.sums, rate=self._rate)
        given = math.nan if self._profile is None else _deviation(self._profile, rate=self._rate)
        state.deviation = next(
            (value for value in (given, own) if math.isfinite(value) and value > LEAST_DEVIATION * abs(level)),
            LEAST_DEVIATION * abs(level) or LEAST_DEVIATION,
        )
        spread = max(1.0, _root_mean_square([self._errors(p, level) for p in state.warm], fitted=1))
        state.arms = [Arm(level, spread) for _ in self._detectors]

    def _errors(self, point: Point, level: float) -> float:
        """How far a window is from a level, in standard errors."""
        far = (point.mean - level) / self.state.deviation * math.sqrt(min(point.n, MOST_EVENTS))
        return max(-1e6, min(1e6, far))  # finite also for a constant reference

    def _feed(self, point: Point) -> list[Change]:
        recent = self.state.recent
        recent.append(point)
        if len(recent) > RECENT:
            del recent[0]
        changes: list[Change] = []
        for detector, arm in zip(self._detectors, self.state.arms, strict=True):
            arm.windows += 1
            arm.n += point.n
            arm.total += point.mean * point.n
            x = self._errors(point, arm.level) / arm.spread
            if detector.update(max(-CLIP, min(CLIP, x))):
                changes.append(self._rearm(detector, arm, point))
        return changes

    def _rearm(self, detector: Detector, arm: Arm, point: Point) -> Change:
        """Describe the change and hold the detector against the new level from now on."""
        recent = self.state.recent[-arm.windows :]
        cut, errors = _split([self._errors(p, arm.level) for p in recent])
        new = recent[cut:]
        n = sum(p.n for p in new)
        total = sum(p.mean * p.n for p in new)
        before = (arm.total - total) / (arm.n - n) if arm.n > n else arm.level
        after = total / n
        if len(recent) >= WARM_UP:
            left, right = recent[:cut], new
            residuals = [self._errors(p, before) for p in left] + [self._errors(p, after) for p in right]
            arm.spread = max(1.0, _root_mean_square(residuals, fitted=2))
        arm.level, arm.windows, arm.n, arm.total = after, len(new), n, total
        effect = (after - before) / self.state.deviation
        effect = max(-MOST_EFFECT, min(MOST_EFFECT, effect))
        return Change(detector.method, detector.threshold, errors, point, new[0].start_ms, before, after, effect, n)


def _detectors(rules: DriftRules) -> tuple[Detector, ...]:
    limits = thresholds(rules)
    return Adwin(limits.adwin_delta), PageHinkley(limits.page_hinkley)


def _deviation(sums: Moments, *, rate: bool) -> float:
    if not rate:
        return moments.deviation(sums)
    # A model that has not failed yet will: half a failure is assumed (Jeffreys), else the first would be infinite news.
    share = (sums.sum + 0.5) / (sums.n + 1)
    return math.sqrt(share * (1 - share)) if sums.n and 0 < share < 1 else math.nan


def _root_mean_square(values: Sequence[float], fitted: int) -> float:
    return math.sqrt(sum(value * value for value in values) / max(1, len(values) - fitted))


def _split(values: Sequence[float]) -> tuple[int, float]:
    """Where the mean of `values` changes most, and the size of the change in standard errors; 0 for a single value."""
    total = sum(values)
    best, cut, left = -1.0, 0, 0.0
    for k in range(1, len(values)):
        left += values[k - 1]
        m = len(values) - k
        contrast = abs((total - left) / m - left / k) * math.sqrt(k * m / len(values))
        if contrast > best:
            best, cut = contrast, k
    return cut, max(0.0, best)
