"""Feature windows of one model version: changes of level of each numeric signal.

In the walk: `detect` feeds the closed feature windows in the order of event time, here and to `open_test_windows`.
"""

from __future__ import annotations

from msgspec import Struct, field

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.detectors import budget
from driftline_streams.detectors.changes.levels import changes, watch_of
from driftline_streams.detectors.changes.watch import Point, Watch, WatchState
from driftline_streams.kernel import moments
from driftline_streams.kernel.signals import FEATURE
from driftline_streams.windows.cells import WideCell
from driftline_streams.windows.sources import NEVER_MS

MAX_WATCHES = 200  # signals with online detectors: 2 KB of state each, written with every closed feature window
_ON_BASE_WINDOWS = frozenset({"score", "confidence", "latency_ms"})  # watched there, sooner


class FeaturesState(Struct, array_like=True):
    """What survives a restart."""

    fed_until_ms: int = NEVER_MS  # end of the last feature window fed
    watches: dict[str, WatchState] = field(default_factory=dict)


class Features:
    """The watched signals of one model version."""

    def __init__(self, spec: ModelSpec, version: str, reference: Reference | None, state: FeaturesState) -> None:
        self._spec, self._version, self._reference = spec, version, reference
        self._state = state
        self._ignored = frozenset(FEATURE + name for name, feature in spec.features.items() if not feature.monitor)
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

    def update(self, cell: WideCell) -> list[Detection] | None:
        """Feed a closed feature window; `None` when it is late: a window that does not start before it was fed."""
        if cell.start_ms < self._state.fed_until_ms:
            return None
        self._state.fed_until_ms = cell.start_ms + cell.width_ms
        self.changed = True
        return self._watch(cell)

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
