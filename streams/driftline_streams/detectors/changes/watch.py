"""One signal of one model version under watch: closed windows in, changes of level out.

In the walk: `detect` feeds each closed window's mean. A detector sees a standardised value,

    x = (mean - expected) / unit, less the level it is armed against, over its deviation without a change

which is about N(0, 1) until something changes, whatever the unit of the signal, the size of windows, and the hour. The
expected mean and the unit (one deviation of single values) are those of the hour of the week where the reference has a
rhythm, else those of the reference, else those of the first 20 windows. `noise` says what windows vary by, `skew` how
small ones are made normal: neighbouring windows are put together, at most 12, until they hold enough events, unless
they are far out already. The 20 windows of the warm-up are fed to the detectors when it ends.

Each detector is armed for itself: after it has found a change, the new level holds for it and is recorded, and the
shape of the change is told when `shapes.LATER` more values have come. A state takes 2.7 KB as plain data and 2.1 KB as
it is stored (of those 1.6 are ADWIN's buckets), and half as much again while shapes are open. A window costs 9 µs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct, field

from driftline_schemas.records import Moments
from driftline_schemas.spec import DriftRules, Profile
from driftline_streams.detectors import budget
from driftline_streams.detectors.changes import shapes, skew
from driftline_streams.detectors.changes.noise import Noise
from driftline_streams.detectors.changes.online import Adwin, Detector, PageHinkley
from driftline_streams.kernel import moments
from driftline_streams.kernel.rhythm import HOUR_MS, Level

WARM_UP = 20  # windows; ADWIN compares nothing before 10 and Page-Hinkley before 30, so that waiting costs little
# Values that a new level is known from before a detector is fed (with all of them), and after which it stays.
SETTLED, FINAL = 10, 60
RECENT = 48  # values in which the time of a change is looked for
MOST_TOGETHER = 12  # windows that make one value where events are few or skewed
LEAST_EVENTS = 10  # of one value, whatever the skewness: tails can be heavy on both sides
# Values this far out are fed at once: a failing server is not waited for.
FAR = 6.0
# One absurd window must not look like a change. Page-Hinkley's thresholds are several times this.
CLIP = 8.0
# Where the reference is constant, any change is infinitely many deviations: the least deviation, as part of the level.
LEAST_DEVIATION = 1e-6
MOST_EFFECT = 1_000.0
MOST_LEVELS = 8  # earlier ones that a level may come back to
MOST_UNTOLD = 4  # changes of one detector whose shape is still open; of more the first stay without one
UNKNOWN_SKEWNESS = 2.0  # without a reference: that of waiting times
AFRESH = 5_000.0  # values that the variance within windows is known from after a change, at most
# The reference is believed on the variance within windows like so many values: it holds what hours differ by as well.
REFERENCE_FREEDOM = 20_000.0


class Point(NamedTuple):
    """A closed window of a signal, or several: the finite values in it and their mean in the signal's unit."""

    start_ms: int
    end_ms: int
    n: int
    mean: float

    def value(self, normal: Normal) -> float:
        """How far the mean is from what is expected, in units."""
        return (self.mean - normal.mean) / normal.unit


class Change(NamedTuple):
    """A change of level, found in window `point`, in the signal's own unit."""

    method: str
    threshold: float
    statistic: float  # difference of the levels in standard errors
    point: Point
    since_ms: int  # start of the first window of the new level, as far as the last `RECENT` values tell
    before: float
    after: float
    effect: float  # in deviations of single values, signed
    low: float  # 95 % interval of the effect
    high: float
    n: int  # events at the new level so far
    seasonal: bool
    shape: shapes.Shape = ""

    @property
    def direction(self) -> Literal["up", "down"]:
        return "up" if self.after > self.before else "down"


class Normal(NamedTuple):
    """What one point is expected to be without a change; see the top of this module."""

    mean: float
    unit: float
    known: float  # variance of `mean`, in squared units
    seasonal: bool


class Untold(Struct, array_like=True):
    """A change whose shape is not told yet."""

    change: Change
    before: float  # level, in units
    after: float
    history: list[float]  # in standard errors from the level before, until the change was found
    left: int  # values to wait for
    earlier: list[float] = field(default_factory=list)  # levels that it may have come back to


class Arm(Struct, array_like=True):
    """What one detector is measured against since it was last armed; levels are in units from what was expected."""

    level: float = 0.0
    windows: int = 0
    held: int = 0  # the latest of them, that the detector has not been fed
    n: int = 0
    total: float = 0.0
    snapshot: bytes = b""
    earlier: list[float] = field(default_factory=list)  # levels before this one, the latest last
    untold: list[Untold] = field(default_factory=list)


class WatchState(Struct, array_like=True):
    """All of a watch as plain data."""

    reference: str  # id of the reference that it is standardised by; empty without one
    warm: list[Point] = field(default_factory=list)
    sums: Moments = moments.EMPTY  # of the warm-up
    squares: float = 0.0  # within the windows of the warm-up, in the signal's own unit
    centre: float = 0.0  # without a rhythm: the level that values are counted from
    unit: float = math.nan
    noise: Noise = field(default_factory=Noise)
    first_ms: int = 0
    armed_ms: int = 0  # end of the warm-up
    fed: int = 0  # values for the detectors so far
    per_day: float = 0.0  # values a day, as last looked at
    pool: Point | None = None
    pooled: int = 0  # windows in it
    recent: list[Point] = field(default_factory=list)
    arms: list[Arm] = field(default_factory=list)  # empty during the warm-up, then in the order of `_detectors`


class Watch:
    """Follows one signal.

    Parameters
    ----------
    rules
        Of the model.
    profile
        What the reference holds of the signal.
    expected
        Where a window from a start (ms) on, of a width (ms), is expected to be by the rhythm of the reference; `None`
        where it has none.
    allowed
        False alarms a day.
    rate
        Whether the values are zeros and ones.
    state
        What to go on from.
    """

    def __init__(
        self,
        rules: DriftRules,
        profile: Profile | None,
        expected: Callable[[int, int], Level | None] = lambda *_: None,
        *,
        allowed: float,
        rate: bool = False,
        state: WatchState | None = None,
    ) -> None:
        self._rules, self._expected, self._rate = rules, expected, rate
        self._profile = profile if profile is not None and profile.moments.n >= 2 else None
        self._skewness = 0.0 if rate or self._profile is None else skew.of_profile(self._profile)
        known = self._skewness if self._profile is not None else UNKNOWN_SKEWNESS
        self._least = max(LEAST_EVENTS, skew.events_needed(known))
        self.state = state if state is not None else WatchState("")
        self._allowed = allowed
        self._detectors = _detectors()
        for detector, arm in zip(self._detectors, self.state.arms, strict=False):
            detector.restore(arm.snapshot)
        self._set_thresholds()

    def allow(self, allowed: float) -> None:
        """Change how many false alarms a day the watch may raise: other signals share them now."""
        self._allowed = allowed
        self._set_thresholds()

    def snapshot(self) -> WatchState:
        """The state with the detectors' own in it."""
        for detector, arm in zip(self._detectors, self.state.arms, strict=False):
            arm.snapshot = detector.snapshot()
        return self.state

    def update(self, point: Point, sums: Moments) -> list[Change]:
        """Take in the next closed window and the moments of its values; a window without values says nothing.

        Returns changes of any size; whether one matters is for the caller. A change comes once more when its shape can
        be told.
        """
        if not point.n or not math.isfinite(point.mean):
            return []
        state = self.state
        squares = moments.deviation(sums) ** 2 * (sums.n - 1) if sums.n > 1 else 0.0
        if state.arms:
            normal = self._normal(point)
            changes = self._pool(point, normal)
            self._learn(squares / normal.unit**2, sums.n - 1)
            return changes
        state.warm.append(point)
        state.sums, state.squares = moments.merge(state.sums, sums), state.squares + squares
        if len(state.warm) < WARM_UP:
            return []
        self._arm()
        warm, state.warm = state.warm, []
        return [change for early in warm for change in self._feed(early, self._normal(early))]

    # --- what is normal

    def _arm(self) -> None:
        state = self.state
        level = moments.mean(state.sums)
        own = _deviation(state.sums, rate=self._rate)
        given = math.nan if self._profile is None else _deviation(self._profile.moments, rate=self._rate)
        state.centre = level
        state.unit = next(
            (value for value in (given, own) if math.isfinite(value) and value > LEAST_DEVIATION * abs(level)),
            LEAST_DEVIATION * abs(level) or LEAST_DEVIATION,
        )
        state.first_ms, state.armed_ms = state.warm[0].start_ms, state.warm[-1].end_ms
        noise = state.noise
        if self._profile is not None:
            noise.freedom = min(REFERENCE_FREEDOM, self._profile.moments.n - 1.0)
        if self._rate and self._profile is None:
            noise.freedom = float(state.sums.n)  # the variance of a rate follows from the rate
        else:
            self._learn(state.squares / state.unit**2, state.sums.n - len(state.warm))
        state.per_day = WARM_UP * 86_400_000 / (state.armed_ms - state.first_ms)
        normal = [self._normal(point) for point in state.warm]
        # A trial run over the warm-up: what the windows differ by must be known before the first is judged.
        for point, expected in zip(state.warm, normal, strict=True):
            noise.update(point.value(expected), point.n, expected.known)
        state.arms = [Arm() for _ in self._detectors]
        self._set_thresholds()

    def _set_thresholds(self) -> None:
        if self.state.arms:
            limits = budget.online(self._rules, self.state.per_day * len(self._detectors) / self._allowed)
            for detector, threshold in zip(self._detectors, limits, strict=True):
                detector.threshold = threshold

    def _learn(self, squares: float, freedom: int) -> None:
        noise = self.state.noise
        if self._rate:  # half a failure has always been seen: a model that has not failed yet will
            noise.learn(squares, freedom, 0.5 / (noise.freedom + freedom) / self.state.unit**2)
        else:
            noise.learn(squares, freedom)

    def _normal(self, point: Point) -> Normal:
        expected = self._expected(point.start_ms, point.end_ms - point.start_ms)
        if expected is None or not expected.n or not expected.deviation > 0:
            return Normal(self.state.centre, self.state.unit, 0.0, seasonal=False)
        # All windows of an hour share the error of what is expected of it, which therefore does not average out.
        shared = max(1.0, HOUR_MS / (point.end_ms - point.start_ms))
        return Normal(expected.mean, expected.deviation, shared / expected.n, seasonal=True)

    # --- values

    def _pool(self, point: Point, normal: Normal) -> list[Change]:
        """Put windows together until their mean is near enough to normal, then feed it."""
        state = self.state
        if state.pool is None and point.n >= self._needed(normal):
            return self._feed(point, normal)
        if self._is_far(point, normal):
            old, state.pool = state.pool, None
            before = self._feed(old, self._normal(old)) if old is not None else []
            return before + self._feed(point, normal)
        if state.pool is None:
            state.pooled = 0
        else:
            old, n = state.pool, state.pool.n + point.n
            state.noise.compare(point.value(normal) - old.value(self._normal(old)), old.n, point.n)
            point = Point(old.start_ms, point.end_ms, n, old.mean + (point.mean - old.mean) * point.n / n)
            normal = self._normal(point)
        state.pooled += 1
        enough = point.n >= self._needed(normal) or state.pooled >= MOST_TOGETHER
        if not enough and not self._is_far(point, normal):
            state.pool = point
            return []
        state.pool = None
        return self._feed(point, normal)

    def _needed(self, normal: Normal) -> int:
        """Events of one value."""
        if self._rate:
            return skew.events_needed(self._skewness_at(normal, self.state.arms[0].level))
        return self._least

    def _is_far(self, point: Point, normal: Normal) -> bool:
        return any(
            arm.windows >= SETTLED and abs(self._standardised(point, normal, arm.level)) >= FAR
            for arm in self.state.arms
        )

    def _skewness_at(self, normal: Normal, level: float) -> float:
        if not self._rate:
            return self._skewness
        variance = max(self.state.noise.within * normal.unit**2, 1e-12)
        share = min(0.5, (1 - math.sqrt(max(0.0, 1 - 4 * variance))) / 2)
        high = normal.mean + level * normal.unit > 0.5
        return -skew.of_rate(share) if high else skew.of_rate(share)

    def _errors(self, point: Point, normal: Normal, level: float) -> float:
        """How far a point is from a level, in standard errors."""
        far = (point.value(normal) - level) / math.sqrt(self.state.noise.variance(point.n, normal.known))
        return max(-1e6, min(1e6, far))  # finite also for a constant reference

    def _standardised(self, point: Point, normal: Normal, level: float) -> float:
        noise = self.state.noise
        third = self._skewness_at(normal, level) * noise.within**1.5 / point.n**2
        skewness = third / noise.variance(point.n, normal.known) ** 1.5
        x = skew.straighten(self._errors(point, normal, level), skewness, rate=self._rate)
        return max(-CLIP, min(CLIP, x))

    def _feed(self, point: Point, normal: Normal) -> list[Change]:
        state = self.state
        state.recent.append(point)
        if len(state.recent) > RECENT:
            del state.recent[0]
        state.fed += 1
        changes: list[Change] = []
        value = point.value(normal)
        # Before the noise learns from this value: what it is divided by must not depend on it.
        for detector, arm in zip(self._detectors, state.arms, strict=True):
            arm.windows += 1
            arm.n += point.n
            arm.total += value * point.n
            changes += self._tell(arm)
            if arm.windows < SETTLED:
                arm.held += 1
                continue
            if arm.windows == SETTLED:
                arm.level = arm.total / arm.n
            held, arm.held = state.recent[-1 - arm.held : -1], 0
            due = [self._standardised(each, self._normal(each), arm.level) for each in held]
            due.append(self._standardised(point, normal, arm.level))
            if any(map(detector.update, due)):
                changes.append(self._rearm(detector, arm, point))
            elif arm.windows <= FINAL:
                arm.level = arm.total / arm.n
        if point.end_ms > state.armed_ms and state.noise.update(value, point.n, normal.known):
            state.per_day = state.fed * 86_400_000 / (point.end_ms - state.first_ms)
            self._set_thresholds()
        return changes

    # --- changes

    def _rearm(self, detector: Detector, arm: Arm, point: Point) -> Change:
        """Describe the change and hold the detector against the new level from now on."""
        noise = self.state.noise
        recent = self.state.recent[-arm.windows :]
        normal = [self._normal(each) for each in recent]
        errors = [self._errors(each, its, arm.level) for each, its in zip(recent, normal, strict=True)]
        cut, contrast = _split(errors)
        new = list(zip(recent[cut:], normal[cut:], strict=True))
        n = sum(each.n for each, _ in new)
        total = sum(each.value(its) * each.n for each, its in new)
        before = (arm.total - total) / (arm.n - n) if arm.n > n else arm.level
        after = total / n
        variance = 1 / sum(1 / noise.variance(each.n, its.known) for each, its in new)
        error = math.sqrt(variance * (1 + len(new) / max(1, arm.windows - len(new))))
        effect, low, high = (
            max(-MOST_EFFECT, min(MOST_EFFECT, after - before + 1.96 * side * error)) for side in (0, -1, 1)
        )
        level = sum(each.mean * each.n for each, _ in new) / n
        unit = sum(its.unit * each.n for each, its in new) / n
        change = Change(
            detector.method,
            detector.threshold,
            contrast,
            point,
            new[0][0].start_ms,
            level - (after - before) * unit,
            level,
            effect,
            low,
            high,
            n,
            normal[-1].seasonal,
        )
        arm.untold.append(Untold(change, before, after, errors, shapes.LATER, list(arm.earlier)))
        arm.earlier.append(before)
        del arm.untold[:-MOST_UNTOLD], arm.earlier[:-MOST_LEVELS]
        # What comes from now on says where the level is: the windows so far were chosen for being far out.
        arm.windows, arm.n, arm.total = 0, 0, 0.0
        noise.restart()
        within = max(level * (1 - level), 0.5 / n) / self.state.unit**2
        if self._rate and not 0.5 < within / noise.within < 2:
            noise.within, noise.freedom = within, float(n)  # that of a rate follows from the rate
        else:
            noise.freedom = min(noise.freedom, AFRESH)  # other levels often have other spreads
        return change

    def _tell(self, arm: Arm) -> list[Change]:
        """The changes of an arm whose shape can be told now."""
        for untold in arm.untold:
            untold.left -= 1
        if not arm.untold or arm.untold[0].left > 0:
            return []
        untold = arm.untold.pop(0)
        later = self.state.recent[-shapes.LATER :]
        normal = [self._normal(each) for each in later]
        deviation = math.sqrt(self.state.noise.variance(later[-1].n, normal[-1].known))
        shape = shapes.tell(
            untold.history,
            [self._errors(each, its, untold.before) for each, its in zip(later, normal, strict=True)],
            (untold.after - untold.before) / deviation,
            [(level - untold.before) / deviation for level in untold.earlier],
        )
        return [untold.change._replace(shape=shape)]


def _detectors() -> tuple[Detector, ...]:
    return Adwin(1e-3), PageHinkley(50.0)  # until a threshold is set


def _deviation(sums: Moments, *, rate: bool) -> float:
    if not rate:
        return moments.deviation(sums)
    # A model that has not failed yet will: half a failure is assumed (Jeffreys), else the first would be infinite news.
    share = (sums.sum + 0.5) / (sums.n + 1)
    return math.sqrt(share * (1 - share)) if sums.n and 0 < share < 1 else math.nan


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
