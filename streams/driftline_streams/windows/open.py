"""The open windows of one model: partials go in, closed windows come out in the order of their ends.

In the walk: the state of `detect` between `partials` and the detectors. What has been handed out is not remembered here
but by those who received it (`fed_until_ms`), so that a crash between the two leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from driftline_schemas.records import Partial
from driftline_streams.windows.cells import BaseCell, WideCell
from driftline_streams.windows.sources import Clocks, Sources

MAX_CELLS = 5_000  # open at once in a model version, of either kind: beyond that the oldest close early
FOREVER_MS = 1 << 62


class VersionCells(Struct, array_like=True):
    """The open cells of one model version, by the start of their window."""

    base: dict[int, BaseCell] = field(default_factory=dict)
    wide: dict[int, WideCell] = field(default_factory=dict)


class OpenWindows(Struct, array_like=True):
    """The open windows of all versions of one model."""

    sources: Sources = field(default_factory=Sources)
    versions: dict[str, VersionCells] = field(default_factory=dict)
    first_end_ms: int = FOREVER_MS  # no window ends before: closing looks no further until then

    def update(self, partial: Partial, clocks: Clocks) -> bool:
        """Add a partial; False when its batch has been applied before."""
        if not self.sources.update(partial, clocks):
            return False
        cells = self.versions.setdefault(partial.version, VersionCells())
        for narrow in partial.windows:
            base = cells.base.get(narrow.window_ms)
            if base is None:
                cells.base[narrow.window_ms] = BaseCell.of(narrow, partial.window_ms)
            else:
                base.merge(narrow)
            self.first_end_ms = min(self.first_end_ms, narrow.window_ms + partial.window_ms)
        for broad in partial.features:
            wide = cells.wide.get(broad.window_ms)
            if wide is None:
                cells.wide[broad.window_ms] = WideCell.of(broad, partial.feature_window_ms, partial.reference)
            else:
                wide.merge(broad.n, broad.moments, broad.bins, partial.reference)
            self.first_end_ms = min(self.first_end_ms, broad.window_ms + partial.feature_window_ms)
        return True

    def close(self, until_ms: int) -> Iterator[tuple[str, BaseCell | WideCell]]:
        """Take out the windows that end at or before `until_ms`, with their version, ordered by end and start."""
        if until_ms < self.first_end_ms:
            return
        closed: list[tuple[str, BaseCell | WideCell]] = []
        self.first_end_ms = FOREVER_MS
        for version, cells in self.versions.items():
            for group in (cells.base, cells.wide):
                due = [start for start, cell in group.items() if start + cell.width_ms <= until_ms]
                closed += [(version, group.pop(start)) for start in due]
                least = min((start + cell.width_ms for start, cell in group.items()), default=FOREVER_MS)
                self.first_end_ms = min(self.first_end_ms, least)
        yield from sorted(closed, key=lambda pair: (pair[1].start_ms + pair[1].width_ms, pair[1].start_ms, pair[0]))

    def overflow(self) -> Iterator[tuple[str, BaseCell | WideCell]]:
        """Take out the oldest windows of every version that has more than `MAX_CELLS` open, in order."""
        for version, cells in self.versions.items():
            for group in (cells.base, cells.wide):
                for start in sorted(group)[: max(0, len(group) - MAX_CELLS)]:
                    yield version, group.pop(start)
