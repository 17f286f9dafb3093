"""Sums over feature windows: moments and histograms of every monitored signal by model version, window and segment.

In the walk: the third effect of a batch, for the table `features`, and the other half of the message to `detect`.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import add

import numpy as np
import numpy.typing as npt

from driftline_schemas.records import FeatureCell
from driftline_streams.ingest.bins import Bins
from driftline_streams.ingest.cells import Cells, Segments, Slices, Strata
from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.entries import ends_of
from driftline_streams.ingest.groups import Groups
from driftline_streams.ingest.issues import Issues
from driftline_streams.ingest.moments import Sums
from driftline_streams.ingest.signals import Observations, Watchlists
from driftline_streams.ingest.values import Texts
from driftline_streams.kernel.effects import Column, MapColumn, Rows
from driftline_streams.kernel.histogram import Ints
from driftline_streams.kernel.limits import BIN_SEPARATOR


@dataclass(frozen=True, slots=True)
class FeatureSums:
    """What a batch adds to its feature windows: a group is a signal in a cell of `slices`, ordered by cell and signal.

    `n` counts numbers and texts, `nulls` the events in which a declared signal was null or absent, and the explicit
    nulls of other signals: nobody can tell whether a feature that nobody declared is missing. Arrays over groups have
    shape `(groups,)`.
    """

    columns: Columns
    slices: Slices
    events: Ints  # of each cell
    seen: Observations
    cell: Ints
    signal: Ints
    n: Ints
    nulls: Ints
    sums: Sums
    bins: Bins
    issues: Issues
    repeated: Ints  # events whose id has occurred before in the batch
    watchlists: Watchlists  # for sums over parts of these events

    @classmethod
    def of(cls, columns: Columns, segments: Segments, watchlists: Watchlists, repeated: Ints) -> FeatureSums:
        """Sum the events (at least one) over the feature windows of their models."""
        seen = Observations.of(columns, watchlists)
        cells = Cells.of(columns, np.array([v.spec.feature_window_s * 1000 for v in columns.versions], np.int64))
        slices = Slices.of(cells, cells, segments)
        each = Strata.each(slices)
        joint = each.joined()
        groups = Groups.of(seen, slices.version, joint, each)
        signal = groups.signal
        events = np.bincount(slices.group, minlength=len(slices))
        return cls(
            columns=columns,
            slices=slices,
            events=events,
            seen=seen,
            cell=groups.cell,
            signal=signal,
            n=groups.n,
            nulls=np.where(seen.declared[signal], events[groups.cell] - groups.n, groups.given - groups.n),
            sums=groups.sums,
            bins=Bins.of(seen, slices, joint),
            issues=Issues.of(columns, seen, groups, each, repeated),
            repeated=repeated,
            watchlists=watchlists,
        )

    def rows(self) -> Rows:
        """One row a cell for the table `features`; maps by signal."""
        versions, slices, size = self.columns.versions, self.slices, len(self.slices)
        version = slices.version
        names = Texts.of([signal.name for signal in self.seen.signals])
        ends, keys = ends_of(self.cell, size), names.column(self.signal)
        # Categories have no sums, and a smallest value of 0 would survive every merge.
        numeric = self.sums.n > 0
        numeric_ends, numeric_keys = ends_of(self.cell[numeric], size), names.column(self.signal[numeric])
        references = [version.reference.id if version.reference is not None else "" for version in versions]
        return Rows(
            "features",
            size,
            {
                "model": Texts.of([version.model for version in versions]).column(version),
                "version": Texts.of([version.name for version in versions]).column(version),
                "window": (slices.start_ms // 1000).astype(np.uint32),
                "width_s": (slices.width_ms // 1000).astype(np.uint32),
                "dim": slices.dim.column(),
                "value": slices.value.column(),
                "reference": Texts.of(references).column(version),
                "n": self.events.astype(np.uint64),
                "present": MapColumn(ends, keys, self.n.astype(np.uint64)),
                "nulls": MapColumn(ends, keys, self.nulls.astype(np.uint64)),
                "sums": MapColumn(numeric_ends, numeric_keys, self.sums.sum[numeric]),
                "sum_squares": MapColumn(numeric_ends, numeric_keys, self.sums.sum_squares[numeric]),
                "mins": MapColumn(numeric_ends, numeric_keys, self.sums.min[numeric]),
                "maxs": MapColumn(numeric_ends, numeric_keys, self.sums.max[numeric]),
                "bins": MapColumn(ends_of(self.bins.cell, size), self._bin_keys(), self.bins.count.astype(np.uint64)),
                "issues": MapColumn(
                    ends_of(self.issues.cell, size), self.issues.kind.column(), self.issues.count.astype(np.uint64)
                ),
            },
        )

    def _bin_keys(self) -> Column:
        slots, slot = self.bins.slots, self.bins.slot
        names = [signal.name + BIN_SEPARATOR for signal in self.seen.signals]
        labels = map(slots.label.values.__getitem__, slots.label.code.tolist())
        texts = list(map(add, map(names.__getitem__, slots.signal.tolist()), labels))
        if len(texts) * 4 > len(slot):  # few of them are said twice
            return list(map(texts.__getitem__, slot.tolist()))
        return Texts.of(texts).column(slot)

    def sizes(self) -> Ints:
        """About how many bytes the JSON of the cells of each version takes; shape `(versions,)`."""
        size, wholes = len(self.slices), self.slices.wholes
        of_cell = 50 + 90 * np.bincount(self.cell, minlength=size) + 12 * np.bincount(self.bins.cell, minlength=size)
        of_cell[wholes:] //= 2  # these are packed
        return np.bincount(self.slices.version, of_cell, len(self.columns.versions)).astype(np.int64)

    def records(self, chosen: npt.NDArray[np.bool_]) -> list[list[FeatureCell]]:
        """The whole cells (no segments) of the `chosen` versions, in order; shape `(versions,)`, as the result."""
        names = [signal.name for signal in self.seen.signals]
        wholes = self.slices.wholes
        kept = chosen[self.slices.version[:wholes]]
        groups = np.flatnonzero(kept[self.cell[: np.searchsorted(self.cell, wholes)]])
        signals = [names[place] for place in self.signal[groups].tolist()]
        moments = self.sums.records(groups, self.nulls, self.n)
        ends = ends_of(self.cell[groups], wholes).tolist()
        histograms = self._histograms(np.flatnonzero(kept[self.bins.cell[: np.searchsorted(self.bins.cell, wholes)]]))
        issues = self.issues.by_cell(range(wholes))
        by_version: list[list[FeatureCell]] = [[] for _ in self.columns.versions]
        begin = 0
        version, start_ms, events = self.slices.version.tolist(), self.slices.start_ms.tolist(), self.events.tolist()
        for cell in np.flatnonzero(kept).tolist():
            end = ends[cell]
            by_version[version[cell]].append(
                FeatureCell(
                    window_ms=start_ms[cell],
                    n=events[cell],
                    moments=dict(zip(signals[begin:end], moments[begin:end], strict=True)),
                    bins=histograms.get(cell, {}),
                    issues=issues[cell],
                )
            )
            begin = end
        return by_version

    def _histograms(self, entries: Ints) -> dict[int, dict[str, dict[str, int]]]:
        """By cell and signal."""
        slots, names = self.bins.slots, [signal.name for signal in self.seen.signals]
        cell, slot = self.bins.cell[entries], self.bins.slot[entries]
        signal = slots.signal[slot]
        labels = [slots.label.values[code] for code in slots.label.code[slot].tolist()]
        counts = self.bins.count[entries].tolist()
        borders = np.flatnonzero((np.diff(cell) != 0) | (np.diff(signal) != 0)) + 1
        begins = [0, *borders.tolist()] if len(entries) else []
        out: dict[int, dict[str, dict[str, int]]] = {}
        firsts = zip(cell[begins].tolist(), signal[begins].tolist(), strict=True)
        for (of_cell, of_signal), begin, end in zip(firsts, begins, [*begins[1:], len(labels)], strict=False):
            histogram = dict(zip(labels[begin:end], counts[begin:end], strict=True))
            out.setdefault(of_cell, {})[names[of_signal]] = histogram
        return out
