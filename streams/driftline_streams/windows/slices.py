"""The segments of open test windows: what all partials have added to each segment value of a model version so far.

In the walk: `detect` adds up the packed cells of partials here until the longest test window closes. There are many
segments and each has all signals, so that sums are kept in arrays: they take a tenth of what dictionaries take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from driftline_schemas.records import Moments, Partial, SlicedCells
from driftline_streams.kernel.clock import window_start
from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.kernel.limits import OTHER_CATEGORY, OTHER_SEGMENT
from driftline_streams.kernel.packed import pack, unpack, unpack_ascending
from driftline_streams.windows.cells import WideCell, add_counts
from driftline_streams.windows.sources import NEVER_MS, name_of

# Of one version, all segment values times all bins of all signals, or times four for each signal, whose sums take 32
# bytes: stored in less than a megabyte, with every batch.
MAX_COUNTS = 1 << 17

Row = tuple[int, str, str]  # start of the test window, segment key and value
Slot = tuple[int, str]  # place of the signal, bin or category


class SlicesState(Struct, array_like=True):
    """What survives a restart; arrays as bytes, ordered by row."""

    applied: dict[str, tuple[int, int]] = field(default_factory=dict)  # as in `Sources`
    closed_until_ms: int = NEVER_MS
    reference: str = ""
    rows: list[Row] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    issues: list[dict[str, int]] = field(default_factory=list)
    events: bytes = pack(np.empty(0, np.int64))
    groups: bytes = pack(np.empty(0, np.int64))
    sums: bytes = b""
    counts: bytes = pack(np.empty(0, np.int64))


class Slices:
    """The open segment cells of one model version: a row is a segment value in a test window.

    Attributes
    ----------
    folded, late
        Cells that were added to the rest of their key, or left out because their window had been closed, since this was
        last set to 0.
    """

    def __init__(self, state: SlicesState) -> None:
        self._state = state
        self._rows = {row: place for place, row in enumerate(state.rows)}
        self._signals = {name: place for place, name in enumerate(state.signals)}
        self._slots = {slot: place for place, slot in enumerate(state.slots)}
        rows, signals, slots = len(self._rows), len(self._signals), len(self._slots)
        self._events = unpack(state.events)
        self._groups = unpack(state.groups).reshape(2, rows, signals)  # values, nulls
        self._sums = np.frombuffer(state.sums, np.float64).reshape(4, rows, signals).copy()
        self._counts = unpack(state.counts).reshape(rows, slots)
        self._named: tuple[list[str], list[str]] = [], []  # whose slots are in `_slot_of`
        self._slot_of: Ints = np.empty(0, np.int64)
        self.folded = self.late = 0

    def snapshot(self) -> SlicesState:
        """The state as it is now."""
        state = self._state
        state.rows, state.signals, state.slots = list(self._rows), list(self._signals), list(self._slots)
        state.events, state.groups = pack(self._events), pack(self._groups.ravel())
        state.sums, state.counts = self._sums.tobytes(), pack(self._counts.ravel())
        return state

    def update(self, partial: Partial, width_ms: int) -> bool:
        """Add the segments of a partial to test windows of this width; False when its batch has been applied before."""
        source, end = name_of(partial.topic, partial.partition), (partial.last, -partial.left)
        if end <= self._state.applied.get(source, (-1, 0)):
            return False
        self._state.applied[source] = end
        cells = partial.slices
        if cells is None or max(cells.window_ms) < self._state.closed_until_ms:
            self.late += 0 if cells is None else len(cells.n)
            return True
        if partial.reference != self._state.reference:  # bins of different references cannot be added
            self._state.reference = partial.reference
            self._counts[:] = 0
        signals = np.array([self._signals.setdefault(name, len(self._signals)) for name in cells.signals], np.int64)
        group, entry = unpack_ascending(cells.groups), unpack_ascending(cells.entries)
        width = max(1, len(cells.labels))
        owner = group[entry // width]
        pair = owner % len(signals) * width + entry % width
        slot = self._slots_of(cells, signals, pair)
        row = self._rows_of(cells, width_ms)
        self._grow()
        kept = row >= 0
        np.add.at(self._events, row[kept], np.array(cells.n, np.int64)[kept])
        for place, issues in zip(row.tolist(), cells.issues, strict=True):
            if issues and place >= 0:
                add_counts(self._state.issues[place], issues)
        self._add_groups(cells, row[group // len(signals)], signals[group % len(signals)])
        rows = row[owner // len(signals)]
        kept = rows >= 0
        _at(np.add, self._counts, rows[kept], slot[pair[kept]], unpack(cells.counts)[kept])
        return True

    def take(self, start_ms: int, width_ms: int) -> list[WideCell]:
        """Close the test window and all before it: its segments, by key and value."""
        end_ms = start_ms + width_ms
        self._state.closed_until_ms = max(self._state.closed_until_ms, end_ms)
        places: dict[tuple[str, str], list[int]] = {}
        for (start, dim, value), place in self._rows.items():
            if start_ms <= start < end_ms:
                places.setdefault((dim, value), []).append(place)
        cells = [
            WideCell(
                start_ms=start_ms,
                width_ms=width_ms,
                n=int(self._events[mine].sum()),
                reference=self._state.reference,
                moments=self._moments(mine),
                bins=self._bins(mine),
                issues=self._issues(mine),
                dim=dim,
                value=value,
            )
            for (dim, value), mine in sorted(places.items())
        ]
        self._keep([place for (start, _, _), place in self._rows.items() if start >= end_ms])
        return cells

    def _rows_of(self, cells: SlicedCells, width_ms: int) -> Ints:
        """The row of each cell, -1 for those that come too late; the largest cells choose first."""
        found = np.full(len(cells.n), -1)
        for place in sorted(range(len(cells.n)), key=lambda place: (-cells.n[place], place)):
            if cells.window_ms[place] < self._state.closed_until_ms:
                self.late += 1
                continue
            start, dim = window_start(cells.window_ms[place], width_ms), cells.dim[place]
            row = self._rows.get((start, dim, cells.value[place]))
            width = max(1, len(self._slots), 4 * len(self._signals))
            if row is None and (len(self._rows) + 1) * width > MAX_COUNTS:
                self.folded += 1
                row = self._row((start, dim, OTHER_SEGMENT))
            found[place] = self._row((start, dim, cells.value[place])) if row is None else row
        return found

    def _row(self, row: Row) -> int:
        if row not in self._rows:
            self._rows[row] = len(self._rows)
            self._state.issues.append({})
        return self._rows[row]

    def _add_groups(self, cells: SlicedCells, row: Ints, signal: Ints) -> None:
        kept = row >= 0
        row, signal = row[kept], signal[kept]
        present = unpack(cells.present)[kept]
        _at(np.add, self._groups[0], row, signal, present)
        _at(np.add, self._groups[1], row, signal, unpack(cells.nulls)[kept])
        sums = np.frombuffer(cells.sums, np.float64).reshape(4, len(kept))[:, kept]
        _at(np.add, self._sums[0], row, signal, sums[0])
        _at(np.add, self._sums[1], row, signal, sums[1])
        there = present > 0  # of nothing, the extremes are 0
        row, signal = row[there], signal[there]
        _at(np.minimum, self._sums[2], row, signal, sums[2, there])
        _at(np.maximum, self._sums[3], row, signal, sums[3, there])

    def _slots_of(self, cells: SlicedCells, signals: Ints, pair: Ints) -> Ints:
        """The slot of each pair of a signal and a label that occurs."""
        width = max(1, len(cells.labels))
        if self._named != (cells.signals, cells.labels):  # most partials name the same ones
            self._named, self._slot_of = (cells.signals, cells.labels), np.full(len(signals) * width, -1)
        slot = self._slot_of
        occurs = np.zeros(len(slot), np.bool_)
        occurs[pair] = True
        for each in np.flatnonzero(occurs & (slot < 0)).tolist():
            slot[each] = self._slot(int(signals[each // width]), cells.labels[each % width])
        return slot

    def _slot(self, signal: int, label: str) -> int:
        place = self._slots.get((signal, label))
        if place is None and (len(self._slots) + 1) * max(1, len(self._rows)) > MAX_COUNTS:
            label = OTHER_CATEGORY
        return self._slots.setdefault((signal, label), len(self._slots)) if place is None else place

    def _grow(self) -> None:
        """Make the arrays as large as what they are about."""
        rows, signals, slots = len(self._rows), len(self._signals), len(self._slots)
        if self._groups.shape[1:] != (rows, signals):
            more = rows - len(self._events), signals - self._groups.shape[2]
            self._events = np.pad(self._events, (0, more[0]))
            by_signal = ((0, 0), (0, more[0]), (0, more[1]))
            self._groups = np.pad(self._groups, by_signal)
            empty = (0.0, 0.0, np.inf, -np.inf)
            parts = zip(self._sums, empty, strict=True)
            self._sums = np.stack([np.pad(part, by_signal[1:], constant_values=value) for part, value in parts])
        if self._counts.shape != (rows, slots):
            self._counts = np.pad(self._counts, ((0, rows - len(self._counts)), (0, slots - self._counts.shape[1])))

    def _keep(self, places: list[int]) -> None:
        """Forget all other rows, and the signals and bins of which nothing is left."""
        names = list(self._rows)
        issues = self._state.issues
        self._rows = {names[place]: new for new, place in enumerate(places)}
        self._state.issues = [issues[place] for place in places]
        rows = np.array(places, np.int64)
        groups, counts = self._groups[:, rows], self._counts[rows]
        signals, slots = np.flatnonzero(groups.any(axis=(0, 1))), np.flatnonzero(counts.any(axis=0))
        known, bins = list(self._signals), list(self._slots)
        number = {old: new for new, old in enumerate(signals.tolist())}
        self._signals = {known[old]: new for old, new in number.items()}
        self._slots = {(number[bins[old][0]], bins[old][1]): new for new, old in enumerate(slots.tolist())}
        self._named = [], []
        self._events = self._events[rows]
        # Contiguous, as `_at` wants them.
        self._groups = np.ascontiguousarray(groups[:, :, signals])
        self._sums = np.ascontiguousarray(self._sums[:, rows][:, :, signals])
        self._counts = np.ascontiguousarray(counts[:, slots])

    def _moments(self, rows: Sequence[int]) -> dict[str, Moments]:
        n, nulls = self._groups[:, rows].sum(axis=1)
        total, squares = self._sums[:2, rows].sum(axis=1)
        least, most = self._sums[2, rows].min(axis=0), self._sums[3, rows].max(axis=0)
        columns: list[Floats | Ints] = [n, nulls, total, squares, _finite(least), _finite(most)]
        found = zip(self._signals, map(Moments, *(column.tolist() for column in columns)), strict=True)
        return {name: sums for name, sums in found if sums.n or sums.nulls}

    def _bins(self, rows: Sequence[int]) -> dict[str, dict[str, int]]:
        names, counts = list(self._signals), self._counts[rows].sum(axis=0)
        slots = list(self._slots)
        found: dict[str, dict[str, int]] = {}
        for place in np.flatnonzero(counts).tolist():
            signal, label = slots[place]
            found.setdefault(names[signal], {})[label] = int(counts[place])
        return found

    def _issues(self, rows: Sequence[int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in rows:
            add_counts(found, self._state.issues[row])
        return found


def _at(operation: np.ufunc, table: npt.NDArray[Any], row: Ints, column: Ints, values: npt.NDArray[Any]) -> None:
    """As `operation.at(table, (row, column), values)`, in a quarter of the time; the table must be contiguous."""
    operation.at(table.reshape(-1, copy=False), row * table.shape[1] + column, values)


def _finite(values: npt.NDArray[np.float64]) -> Floats:
    return np.where(np.isfinite(values), values, 0.0)
