"""Base windows of one model version: changes of latency, errors, score and confidence, and broken objectives.

In the walk: `detect` feeds the closed base windows in the order of event time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

from msgspec import Struct, field

from driftline_schemas.records import Detection, Moments
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.detectors.budget import allowed
from driftline_streams.detectors.changes.watch import Change, Point, Watch, WatchState
from driftline_streams.kernel import findings, moments, sketch, words
from driftline_streams.kernel.rhythm import WEEK, Level, level, phase
from driftline_streams.windows.cells import BaseCell
from driftline_streams.windows.sources import NEVER_MS

SIGNALS = ("latency_ms", "score", "confidence")
HOURS_KEPT = 256  # of a signal: where it is expected in them; more than a week has


class LevelsState(Struct, array_like=True):
    """What survives a restart."""

    fed_until_ms: int = NEVER_MS  # end of the last window fed; what starts before is late
    watches: dict[str, WatchState] = field(default_factory=dict)


class Levels:
    """The watched signals of one model version's base windows."""

    def __init__(self, spec: ModelSpec, version: str, reference: Reference | None, state: LevelsState) -> None:
        self._spec, self._version, self._reference = spec, version, reference
        self._state = state
        self.changed = False  # since the last snapshot that was stored
        self._allowed = allowed(spec.drift, 1 + len(SIGNALS))
        self._watches = {
            signal: watch_of(spec, reference, signal, self._allowed, old) for signal, old in state.watches.items()
        }

    def snapshot(self) -> LevelsState:
        """The state with that of all watches in it."""
        self._state.watches = {signal: watch.snapshot() for signal, watch in self._watches.items()}
        return self._state

    def update(self, cell: BaseCell) -> list[Detection] | None:
        """Feed a closed window; `None` when it is late: a window that does not start before it was fed already."""
        if cell.start_ms < self._state.fed_until_ms:
            return None
        end_ms = cell.start_ms + cell.width_ms
        self._state.fed_until_ms = end_ms
        self.changed = True
        found = objectives(self._spec, self._version, cell)
        errors = float(cell.errors)
        rate = Moments(cell.n, 0, errors, errors, 0.0, 1.0)
        for signal, sums in (("error_rate", rate), *((name, cell.signals.get(name)) for name in SIGNALS)):
            if sums is None or not sums.n:
                continue
            watch = self._watches.get(signal)
            if watch is None:
                watch = self._watches[signal] = watch_of(self._spec, self._reference, signal, self._allowed, None)
            point = Point(cell.start_ms, end_ms, sums.n, moments.mean(sums))
            found += changes(self._spec, self._version, self._reference, signal, watch.update(point, sums))
        return found


def watch_of(
    spec: ModelSpec, reference: Reference | None, signal: str, allowed: float, state: WatchState | None
) -> Watch:
    """A watch that goes on from `state`, or a new one when there is none or it was made against another reference.

    `allowed` is how many false alarms a day it may raise.
    """
    profile = None if reference is None else reference.signals.get(signal)
    id_ = "" if reference is None or profile is None else reference.id
    if state is None or state.reference != id_:
        state = WatchState(id_)

    rate = signal == "error_rate" or (profile is not None and _is_rate(profile.moments))
    by_the_hour = _by_the_hour(reference, signal)
    return Watch(spec.drift, profile, by_the_hour, allowed=allowed, rate=rate, state=state)


def _by_the_hour(reference: Reference | None, signal: str) -> Callable[[int, int], Level | None]:
    """Where windows of a start and a width, in ms, are expected by the rhythm of the reference; `None` without one."""
    if reference is None or reference.rhythm is None or signal not in reference.rhythm.counts:
        return lambda *_: None
    # A watch looks at the latest points again and again, and one hour of the week is expected to be like the next.
    known = lru_cache(maxsize=HOURS_KEPT)(partial(level, reference, signal))
    return lambda start_ms, width_ms: known(*phase(start_ms, width_ms, WEEK))


def _is_rate(sums: Moments) -> bool:
    """Whether all values are 0 or 1: only those are their own squares."""
    return sums.n > 0 and sums.sum == sums.sum_squares and sums.min >= 0 and sums.max <= 1


def changes(
    spec: ModelSpec, version: str, reference: Reference | None, signal: str, seen: Sequence[Change]
) -> list[Detection]:
    """The findings among the changes of a signal: those of at least the spec's `min_effect`.

    A change whose shape has been told is the same finding again, with its shape.
    """
    made_with = "" if reference is None else reference.id
    return [
        _finding(spec, version, made_with, signal, change)
        for change in seen
        if abs(change.effect) >= spec.drift.min_effect
    ]


def _finding(spec: ModelSpec, version: str, reference: str, signal: str, change: Change) -> Detection:
    point = change.point
    verb = "rose" if change.direction == "up" else "fell"
    unit = "standard deviations of single values"
    return Detection(
        id=findings.id_of(spec.model, version, signal, change.method, "change", point.start_ms),
        model=spec.model,
        version=version,
        signal=signal,
        kind="change",
        method=change.method,
        start_ms=point.start_ms,
        end_ms=point.end_ms,
        direction=change.direction,
        statistic=change.statistic,
        threshold=change.threshold,
        effect=change.effect,
        p_value=None,
        before=change.before,
        after=change.after,
        n=change.n,
        reference=reference,
        low=change.low,
        high=change.high,
        seasonal=change.seasonal,
        shape=change.shape,
        detail=(
            f"{words.subject(signal)} {verb} from {words.amount(signal, change.before)} to "
            f"{words.amount(signal, change.after)} ({change.effect:+.2f} {unit}) at about "
            f"{words.since(change.since_ms)}; {_NAMES[change.method]} found it "
            f"{words.when(point.start_ms, point.end_ms)} with {change.n:,} events at the new level"
            f"{', against the same hours of the reference' if change.seasonal else ''}."
        ),
    )


def objectives(spec: ModelSpec, version: str, cell: BaseCell) -> list[Detection]:
    """The objectives that a closed window breaks; windows under the spec's `min_window_n` break none."""
    limits = spec.objectives
    judged: list[Judged] = []
    n, most = sum(cell.latency.values()), limits.latency_p99_ms
    if most is not None and n >= limits.min_window_n:
        judged.append(
            Judged("latency_ms", "The 99th percentile of latency", sketch.quantile(cell.latency, 0.99), most, n)
        )
    if limits.error_rate is not None and cell.n >= limits.min_window_n:
        judged.append(Judged("error_rate", "The error rate", cell.errors / cell.n, limits.error_rate, cell.n))
    return [_breach(spec, version, cell, each) for each in judged if each.measured > each.limit]


class Judged(NamedTuple):
    """An objective, and what a window measured."""

    signal: str
    name: str
    measured: float
    limit: float
    n: int


def _breach(spec: ModelSpec, version: str, cell: BaseCell, broken: Judged) -> Detection:
    signal, name, measured, limit, n = broken
    end_ms = cell.start_ms + cell.width_ms
    return Detection(
        id=findings.id_of(spec.model, version, signal, "threshold", "objective", cell.start_ms),
        model=spec.model,
        version=version,
        signal=signal,
        kind="objective",
        method="threshold",
        start_ms=cell.start_ms,
        end_ms=end_ms,
        direction="up",
        statistic=measured,
        threshold=limit,
        effect=measured,
        p_value=None,
        before=None,
        after=measured,
        n=n,
        reference="",
        detail=(
            f"{name} was {words.amount(signal, measured)} {words.when(cell.start_ms, end_ms)} "
            f"({n:,} events); the objective is at most {words.amount(signal, limit)}."
        ),
    )


_NAMES = {"adwin": "ADWIN", "page_hinkley": "Page-Hinkley"}
