"""Sums over feature windows: moments and histograms of every monitored signal by model version and window.

In the walk: the third effect of a batch, for the table `features`, and the other half of the message to `detect`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftline_schemas.records import FeatureCell
from driftline_streams.ingest.bounds import fold
from driftline_streams.ingest.cells import Cells
from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.moments import Sums
from driftline_streams.ingest.signals import Observations, Signal
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel.effects import Coded, MapColumn, Rows
from driftline_streams.kernel.grid import bins_of
from driftline_streams.kernel.histogram import Ints, compact, tally
from driftline_streams.kernel.limits import BIN_SEPARATOR, MAX_CATEGORIES, OTHER_CATEGORY


@dataclass(frozen=True, slots=True)
class Bins:
    """Histograms of several groups side by side: group `group[i]` has `count[i]` values in bin `label`; rows ascend."""

    group: Ints
    label: Texts
    count: Ints
    folded: int  # texts beyond `MAX_CATEGORIES` of their signal


@dataclass(frozen=True, slots=True)
class FeatureSums:
    """What a batch adds to its feature windows: a group is a signal in a cell, ordered by cell, shape `(groups,)`.

    `n` counts numbers and texts, `nulls` the events in which a declared signal was null or absent, and the explicit
    nulls of other signals: nobody can tell whether a feature that nobody declared is missing.
    """

    columns: Columns
    width_ms: Ints
    cells: Cells
    signals: list[Signal]
    cell: Ints
    signal: Ints
    n: Ints
    nulls: Ints
    sums: Sums
    bins: Bins
    dropped: int  # values of features beyond `MAX_SIGNALS`

    @classmethod
    def of(cls, columns: Columns) -> FeatureSums:
        """Sum the events (at least one) over the feature windows of their models."""
        seen = Observations.of(columns)
        width_ms = np.array([version.spec.feature_window_s * 1000 for version in columns.versions], np.int64)
        cells = Cells.of(columns, width_ms)
        n_signals = len(seen.signals)
        of_numbers = cells.of_event[seen.row] * n_signals + seen.signal
        of_texts = cells.of_event[seen.text_row] * n_signals + seen.text_signal
        ids = np.concatenate([of_numbers, of_texts, _expected(cells, seen.signals)])
        groups, place = compact(ids, len(cells) * n_signals)
        cell, signal = groups // n_signals, groups % n_signals
        group, text_group = place[: len(of_numbers)], place[len(of_numbers) : len(of_numbers) + len(of_texts)]
        sums = Sums.of(group, seen.number, len(groups))
        is_text = seen.text.code != NO_TEXT
        n = sums.n + np.bincount(text_group[is_text], minlength=len(groups))
        explicit = np.bincount(group, minlength=len(groups)) + np.bincount(text_group, minlength=len(groups)) - n
        declared = np.array([signal.declared for signal in seen.signals], np.bool_)[signal]
        events = np.bincount(cells.of_event, minlength=len(cells))[cell]
        return cls(
            columns=columns,
            width_ms=width_ms,
            cells=cells,
            signals=seen.signals,
            cell=cell,
            signal=signal,
            n=n,
            nulls=np.where(declared, events - n, explicit),
            sums=sums,
            bins=_bins(seen, group, text_group, len(groups)),
            dropped=seen.dropped,
        )

    def rows(self) -> Rows:
        """One row a cell for the table `features`; maps by signal."""
        versions, version, size = self.columns.versions, self.cells.version, len(self.cells)
        names = Texts.of([signal.name for signal in self.signals])
        ends, keys = _ends(self.cell, size), names.column(self.signal)
        # Categories have no sums, and a smallest value of 0 would survive every merge.
        numeric = self.sums.n > 0
        numeric_ends, numeric_keys = _ends(self.cell[numeric], size), names.column(self.signal[numeric])
        references = [version.reference.id if version.reference is not None else "" for version in versions]
        return Rows(
            "features",
            size,
            {
                "model": Texts.of([version.model for version in versions]).column(version),
                "version": Texts.of([version.name for version in versions]).column(version),
                "window": (self.cells.start_ms // 1000).astype(np.uint32),
                "width_s": (self.width_ms[version] // 1000).astype(np.uint32),
                "dim": Coded.constant("", size),
                "value": Coded.constant("", size),
                "reference": Texts.of(references).column(version),
                "n": np.bincount(self.cells.of_event, minlength=size).astype(np.uint64),
                "present": MapColumn(ends, keys, self.n.astype(np.uint64)),
                "nulls": MapColumn(ends, keys, self.nulls.astype(np.uint64)),
                "sums": MapColumn(numeric_ends, numeric_keys, self.sums.sum[numeric]),
                "sum_squares": MapColumn(numeric_ends, numeric_keys, self.sums.sum_squares[numeric]),
                "mins": MapColumn(numeric_ends, numeric_keys, self.sums.min[numeric]),
                "maxs": MapColumn(numeric_ends, numeric_keys, self.sums.max[numeric]),
                "bins": self._bin_column(names),
            },
        )

    def _bin_column(self, names: Texts) -> MapColumn:
        bins, width = self.bins, max(1, len(self.bins.label.values))
        keys, place = compact(names.code[self.signal[bins.group]] * width + bins.label.code, len(names.values) * width)
        # A bin of one model and a category of another may be written alike.
        texts = Texts.of(
            [names.values[key // width] + BIN_SEPARATOR + bins.label.values[key % width] for key in keys.tolist()]
        )
        ends = _ends(self.cell[bins.group], len(self.cells))
        return MapColumn(ends, texts.column(place), bins.count.astype(np.uint64))

    def records(self) -> list[list[FeatureCell]]:
        """The cells of each version, in order of their windows; shape `(versions,)`."""
        names = [signal.name for signal in self.signals]
        start = self.cells.start_ms.tolist()
        events = np.bincount(self.cells.of_event, minlength=len(self.cells)).tolist()
        cells = [FeatureCell(window_ms=start[i], n=events[i], moments={}, bins={}) for i in range(len(self.cells))]
        cell, signal = self.cell.tolist(), self.signal.tolist()
        for group, moments in enumerate(self.sums.records(self.nulls, self.n)):
            cells[cell[group]].moments[names[signal[group]]] = moments
        labels = self.bins.label.values
        columns = (self.bins.group.tolist(), self.bins.label.code.tolist(), self.bins.count.tolist())
        for group, label, count in zip(*columns, strict=True):
            cells[cell[group]].bins.setdefault(names[signal[group]], {})[labels[label]] = count
        by_version: list[list[FeatureCell]] = [[] for _ in self.columns.versions]
        for record, version in zip(cells, self.cells.version.tolist(), strict=True):
            by_version[version].append(record)
        return by_version


def _expected(cells: Cells, signals: list[Signal]) -> Ints:
    """Ids (cell times number of signals, plus signal) of the declared signals, which every cell of a version has."""
    declared: dict[int, list[int]] = {}
    for place, signal in enumerate(signals):
        if signal.declared:
            declared.setdefault(signal.version, []).append(place)
    places = {version: np.array(of_version, np.int64) for version, of_version in declared.items()}
    return np.concatenate(
        [cell * len(signals) + places[version] for cell, version in enumerate(cells.version.tolist())]
    )


def _bins(seen: Observations, group: Ints, text_group: Ints, size: int) -> Bins:
    """Count numbers into the bins of their reference, and texts by themselves."""
    grids = [signal.grid for signal in seen.signals if signal.grid is not None]
    has_grid = np.array([signal.grid is not None for signal in seen.signals], np.bool_)
    grid_of = np.cumsum(has_grid) - 1  # by signal
    numeric = np.flatnonzero(has_grid[seen.signal] & ~np.isnan(seen.number))
    index = bins_of(grids, grid_of[seen.signal[numeric]], seen.number[numeric])
    is_text = np.flatnonzero(seen.text.code != NO_TEXT)
    given = Texts(seen.text.values, seen.text.code[is_text])
    known = {place: signal.categories for place, signal in enumerate(seen.signals) if signal.categories}
    texts, folded = fold(seen.text_signal[is_text], given, MAX_CATEGORIES, OTHER_CATEGORY, known)

    numbers = 1 + max((len(grid.edges) for grid in grids), default=0)
    labels = [*map(str, range(numbers)), *texts.values]
    ids = np.concatenate(
        [group[numeric] * len(labels) + index, text_group[is_text] * len(labels) + numbers + texts.code]
    )
    present, count = tally(ids, size * len(labels))
    return Bins(present // len(labels), Texts(labels, present % len(labels)), count, folded)


def _ends(cell: Ints, size: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.cumsum(np.bincount(cell, minlength=size)).astype(np.uint64)
