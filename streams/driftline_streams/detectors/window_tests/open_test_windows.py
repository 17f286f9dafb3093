"""Test windows of one model version: closed feature windows add up to windows that are large enough to be judged.

In the walk: `detect` feeds the closed feature windows in the order of event time, to one test window of each width of
the spec and to one of a number of events if it asks for that. A window closes with the first feature window beyond it
or with the watermark.

The longest window waits for events: with fewer than the rules ask for when it is due, it goes on for as long again, up
to `MAX_CARRIED` times. So a model with a hundred events a day is judged by the same defaults as one with ten million;
a shorter window says that it has insufficient data. Segments are judged with the longest window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct, field

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.detectors import budget
from driftline_streams.detectors.window_tests.verdict import Judge
from driftline_streams.kernel.clock import window_start
from driftline_streams.kernel.effects import Rows
from driftline_streams.kernel.signals import FEATURE
from driftline_streams.windows.cells import WideCell
from driftline_streams.windows.open import FOREVER_MS
from driftline_streams.windows.sources import NEVER_MS

MAX_CARRIED = 31  # a month of days

BY_EVENTS = 0  # instead of a width

Segments = Callable[[int, int], list[WideCell]]  # of the test window with this start and width, which is closed with it
Verdicts = tuple[list[Detection], list[Rows]]


class WidthState(Struct, array_like=True):
    """What survives a restart, of the test windows of one width."""

    fed_until_ms: int = NEVER_MS  # end of the last feature window fed
    judged_until_ms: int = NEVER_MS  # end of the last test window closed
    open: WideCell | None = None
    carried: int = 0  # times that the open window has been found too small
    compared: int = 0  # windows that were compared with `compared_with`
    compared_with: str = ""  # id of the reference


class Widths(Struct, array_like=True):
    """Which test windows a version has: their states are values of their own, for each can be large."""

    widths_ms: list[int] = field(default_factory=list)  # ascending, `BY_EVENTS` first


def widths_of(spec: ModelSpec, feature_width_ms: int) -> list[int]:
    """The widths of the spec's test windows in ms, rounded up to whole feature windows, ascending.

    >>> widths_of(ModelSpec(model="m", test_windows_s=(86_400, 3_600)), 7_000_000)
    [7000000, 91000000]
    """
    return sorted({-(-width_s * 1000 // feature_width_ms) * feature_width_ms for width_s in spec.test_windows_s})


class OpenTestWindows:
    """The open test windows of one model version."""

    def __init__(
        self, spec: ModelSpec, version: str, reference: Reference | None, states: dict[int, WidthState]
    ) -> None:
        ignored = frozenset(FEATURE + name for name, feature in spec.features.items() if not feature.monitor)
        self._spec, self._judge = spec, Judge(spec, version, reference, ignored)
        self.states = states
        self.changed = False  # since they were last stored

    @property
    def end_ms(self) -> int:
        """When the first of the open ones is due; `FOREVER_MS` without any that time can close."""
        ends = [
            state.open.start_ms + state.open.width_ms
            for width_ms, state in self.states.items()
            if state.open is not None and width_ms != BY_EVENTS
        ]
        return min(ends, default=FOREVER_MS)

    def update(self, cell: WideCell, segments: Segments, now_ms: int) -> Verdicts:
        """Feed a closed feature window; those that start before the last one fed to a width are left out there."""
        widths = widths_of(self._spec, cell.width_ms)
        if self._spec.test_events is not None:
            widths = [BY_EVENTS, *widths]
        found: list[Verdicts] = []
        for width_ms in self.states.keys() - widths:  # the spec has changed
            del self.states[width_ms]
        for width_ms in widths:
            state = self.states.setdefault(width_ms, WidthState())
            if cell.start_ms < state.fed_until_ms:
                continue
            self.changed = True
            found += self._close_due(width_ms, state, cell.start_ms, segments, now_ms)
            state.fed_until_ms = cell.start_ms + cell.width_ms
            found += self._add(width_ms, state, cell, now_ms)
        return _together(found)

    def close_due(self, until_ms: int, segments: Segments, now_ms: int) -> Verdicts:
        """Close what ends at or before `until_ms`."""
        return _together(
            verdict
            for width_ms in sorted(self.states)
            for verdict in self._close_due(width_ms, self.states[width_ms], until_ms, segments, now_ms)
        )

    def _add(self, width_ms: int, state: WidthState, cell: WideCell, now_ms: int) -> Iterator[Verdicts]:
        start_ms = cell.start_ms if width_ms == BY_EVENTS else window_start(cell.start_ms, width_ms)
        if start_ms < state.judged_until_ms:  # the rest of a test window that a clock has closed early
            return
        if state.open is None:
            width = cell.width_ms if width_ms == BY_EVENTS else width_ms
            state.open = WideCell(start_ms, width, 0, cell.reference, {}, {})
        state.open.merge(cell, cell.reference)
        if width_ms == BY_EVENTS:
            state.open.width_ms = cell.start_ms + cell.width_ms - state.open.start_ms
            if state.open.n >= (self._spec.test_events or 0):
                yield self._close(width_ms, state.open, [], now_ms)

    def _close_due(
        self, width_ms: int, state: WidthState, until_ms: int, segments: Segments, now_ms: int
    ) -> Iterator[Verdicts]:
        longest = width_ms == max(self.states)
        while width_ms != BY_EVENTS and (test := state.open) is not None and test.start_ms + test.width_ms <= until_ms:
            self.changed = True
            if longest and test.n < self._spec.drift.min_n and state.carried < MAX_CARRIED:
                test.width_ms += width_ms
                state.carried += 1
                continue
            yield self._close(width_ms, test, segments(test.start_ms, test.width_ms) if longest else [], now_ms)

    def _close(self, width_ms: int, test: WideCell, parts: list[WideCell], now_ms: int) -> Verdicts:
        state = self.states[width_ms]
        state.open, state.carried = None, 0
        state.judged_until_ms = test.start_ms + test.width_ms
        reference = self._judge.reference
        if reference is not None and state.compared_with != reference.id:
            state.compared, state.compared_with = 0, reference.id
        limits = budget.thresholds(self._spec, test.width_ms)
        by_time = width_ms != BY_EVENTS
        verdict = self._judge.judge(test, parts, limits, tested=state.compared, by_time=by_time, now_ms=now_ms)
        state.compared += verdict.compared
        return verdict.found, verdict.rows


def _together(verdicts: Iterable[Verdicts]) -> Verdicts:
    found: list[Detection] = []
    rows: list[Rows] = []
    for detections, tested in verdicts:
        found += detections
        rows += tested
    return found, rows
