"""Feature windows of one model version: changes of level of each numeric signal, and the tests of whole test windows.

In the walk: `detect` feeds the closed feature windows in the order of event time. They add up to test windows (a day by
default), which close with the first feature window beyond them or with the watermark.
"""

from __future__ import annotations

from msgspec import Struct, field

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.detectors import budget
from driftline_streams.detectors.levels import changes, watch_of
from driftline_streams.detectors.verdict import Judge
from driftline_streams.detectors.watch import Point, Watch, WatchState
from driftline_streams.kernel import moments
from driftline_streams.kernel.clock import window_start
from driftline_streams.kernel.effects import Rows
from driftline_streams.windows.cells import WideCell
from driftline_streams.windows.sources import NEVER_MS

MAX_WATCHES = 200  # signals with online detectors: 4 KB of state each, written with every closed feature window
_ON_BASE_WINDOWS = frozenset({"score", "confidence", "latency_ms"})  # watched there, sooner


class FeaturesState(Struct, array_like=True):
    """What survives a restart."""

    fed_until_ms: int = NEVER_MS  # end of the last feature window fed
    tested_until_ms: int = NEVER_MS  # end of the last test window closed
    watches: dict[str, WatchState] = field(default_factory=dict)
    test: WideCell | None = None  # the open test window
    tested: int = 0  # test windows that were compared with `tested_with`
    tested_with: str = ""  # id of the reference


class Features:
    """The watched signals and the open test window of one model version."""

    def __init__(self, spec: ModelSpec, version: str, reference: Reference | None, state: FeaturesState) -> None:
        self._spec, self._version, self._reference = spec, version, reference
        self._state = state
        self._ignored = frozenset(f"feature:{name}" for name, feature in spec.features.items() if not feature.monitor)
        kept = {signal: old for signal, old in state.watches.items() if signal not in self._ignored}
        self._watches: dict[str, Watch] = {
            signal: watch_of(spec, reference, signal, self._allowed(len(kept)), old) for signal, old in kept.items()
        }
        self._unwatched = 0  # windows of signals beyond `MAX_WATCHES`
        self.changed = False  # since the last snapshot that was stored

    def snapshot(self) -> FeaturesState:
        """The state with that of all watches in it."""
        self._state.watches = {signal: watch.snapshot() for signal, watch in self._watches.items()}
        return self._state

    @property
    def test_end_ms(self) -> int | None:
        """When the open test window ends; `None` without one."""
        test = self._state.test
        return None if test is None else test.start_ms + test.width_ms

    def update(self, cell: WideCell, now_ms: int) -> tuple[list[Detection], list[Rows]] | None:
        """Feed a closed feature window; `None` when it is late: a window that does not start before it was fed."""
        if cell.start_ms < self._state.fed_until_ms:
            return None
        self._state.fed_until_ms = cell.start_ms + cell.width_ms
        self.changed = True
        found, rows = self._watch(cell), list[Rows]()
        width_ms = self._test_width_ms(cell.width_ms)
        start_ms = window_start(cell.start_ms, width_ms)
        test = self._state.test
        if test is not None and cell.start_ms >= test.start_ms + test.width_ms:
            found_too, rows = self.close_test(now_ms)
            found += found_too
            test = None
        if start_ms < self._state.tested_until_ms:  # the rest of a test window that a clock has closed early
            return found, rows
        if test is None:
            self._state.test = WideCell(
                start_ms, width_ms, cell.n, cell.reference, cell.moments, cell.bins, cell.issues
            )
        else:
            test.merge(cell, cell.reference)
        return found, rows

    def close_test(self, now_ms: int) -> tuple[list[Detection], list[Rows]]:
        """Judge the open test window and forget it."""
        test, self._state.test = self._state.test, None
        if test is None:
            return [], []
        self._state.tested_until_ms = test.start_ms + test.width_ms
        self.changed = True
        if self._reference is not None and self._state.tested_with != self._reference.id:
            self._state.tested, self._state.tested_with = 0, self._reference.id
        judge = Judge(self._spec, self._version, self._reference, self._ignored)
        limits = budget.thresholds(self._spec, test.width_ms)
        verdict = judge.judge(test, (), limits, tested=self._state.tested, by_time=True, now_ms=now_ms)
        self._state.tested += verdict.compared
        return verdict.found, verdict.rows

    def take_unwatched(self) -> int:
        """Windows of signals beyond `MAX_WATCHES` since this was last asked."""
        count, self._unwatched = self._unwatched, 0
        return count

    def _watch(self, cell: WideCell) -> list[Detection]:
        found: list[Detection] = []
        for signal, sums in cell.moments.items():
            if not sums.n or signal in _ON_BASE_WINDOWS or signal in self._ignored or not self._numeric(signal, cell):
                continue
            watch = self._watches.get(signal)
            if watch is None:
                if len(self._watches) >= MAX_WATCHES:
                    self._unwatched += 1
                    continue
                watch = self._watch_too(signal)
            point = Point(cell.start_ms, cell.start_ms + cell.width_ms, sums.n, moments.mean(sums))
            found += changes(self._spec, self._version, self._reference, signal, watch.update(point, sums))
        return found

    def _watch_too(self, signal: str) -> Watch:
        """A watch for a signal that had none; all share the budget."""
        allowed = self._allowed(len(self._watches) + 1)
        for watch in self._watches.values():
            watch.allow(allowed)
        watch = self._watches[signal] = watch_of(self._spec, self._reference, signal, allowed, None)
        return watch

    def _allowed(self, watched: int) -> float:
        """False alarms a day of each watch, when so many signals are watched, or as many as the reference has."""
        known = [] if self._reference is None else self._reference.signals.items()
        numeric = sum(
            profile.type == "numeric" and signal not in _ON_BASE_WINDOWS and signal not in self._ignored
            for signal, profile in known
        )
        return budget.allowed(self._spec.drift, max(watched, min(numeric, MAX_WATCHES)))

    def _numeric(self, signal: str, cell: WideCell) -> bool:
        profile = None if self._reference is None else self._reference.signals.get(signal)
        if profile is not None:
            return profile.type == "numeric"
        return signal not in cell.bins  # without a reference only categories are counted in bins

    def _test_width_ms(self, feature_width_ms: int) -> int:
        """The spec's test window, rounded up to whole feature windows."""
        return -(-max(self._spec.test_windows_s) * 1000 // feature_width_ms) * feature_width_ms
