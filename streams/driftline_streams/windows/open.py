"""The open windows of one model: partials go in, closed windows come out in the order of their ends.

In the walk: the state of `detect` between `partials` and the detectors. What has been handed out is not remembered here
but by those who received it (`fed_until_ms`), so that a crash between the two leaves nothing half done.
"""

from __future__ import annotations

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
    test_end_ms: int = FOREVER_MS  # of the test window that its detectors have open


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
                wide.merge(broad, partial.reference)
            self.first_end_ms = min(self.first_end_ms, broad.window_ms + partial.feature_window_ms)
        return True

    def close(self, until_ms: int) -> list[tuple[str, BaseCell | WideCell]]:
        """Take out the windows that end at or before `until_ms`, with their version, ordered by end and start."""
        closed: list[tuple[str, BaseCell | WideCell]] = []
        for version, cells in self.versions.items():
            for group in (cells.base, cells.wide):
                due = [start for start, cell in group.items() if start + cell.width_ms <= until_ms]
                closed += [(version, group.pop(start)) for start in due]
        return _in_order(closed)

    def overflow(self, most: int = MAX_CELLS) -> list[tuple[str, BaseCell | WideCell]]:
        """Take out the oldest windows of every version that has more than `most` of a kind open, in order."""
        taken: list[tuple[str, BaseCell | WideCell]] = []
        for version, cells in self.versions.items():
            for group in (cells.base, cells.wide):
                surplus = len(group) - most
                if surplus > 0:
                    taken += [(version, group.pop(start)) for start in sorted(group)[:surplus]]
        return _in_order(taken)

    def most_open(self) -> int:
        """The largest number of open windows of a kind in a version."""
        return max((len(group) for cells in self.versions.values() for group in (cells.base, cells.wide)), default=0)

    def tests_due(self, until_ms: int) -> list[str]:
        """The versions whose test window ends at or before `until_ms`."""
        return [version for version, cells in self.versions.items() if cells.test_end_ms <= until_ms]

    def settle(self) -> None:
        """Find anew when the next window ends, after windows have been taken out."""
        ends = [
            least
            for cells in self.versions.values()
            for group in (cells.base, cells.wide)
            for least in [min((start + cell.width_ms for start, cell in group.items()), default=FOREVER_MS)]
        ]
        tests = [cells.test_end_ms for cells in self.versions.values()]
        self.first_end_ms = min(ends + tests, default=FOREVER_MS)

    def forget_oldest(self) -> str:
        """Drop all that is known of the version that spoke first; its name."""
        version = next(iter(self.versions))
        del self.versions[version]
        self.sources.applied.pop(version, None)
        return version


def _in_order(cells: list[tuple[str, BaseCell | WideCell]]) -> list[tuple[str, BaseCell | WideCell]]:
    return sorted(cells, key=lambda pair: (pair[1].start_ms + pair[1].width_ms, pair[1].start_ms, pair[0]))
