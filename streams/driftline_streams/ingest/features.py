"""Sums over feature windows: moments and histograms of every monitored signal by model version and window.

In the walk: the third effect of a batch, for the table `features`, and the other half of the message to `detect`.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import add

import numpy as np
import numpy.typing as npt

from driftline_schemas.records import FeatureCell
from driftline_streams.ingest.bounds import fold
from driftline_streams.ingest.cells import Cells
from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.entries import ends_of
from driftline_streams.ingest.moments import Sums
from driftline_streams.ingest.signals import Observations, Signal, Watchlists
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel.effects import Coded, MapColumn, Rows
from driftline_streams.kernel.histogram import Ints, compact, tally
from driftline_streams.kernel.limits import BIN_SEPARATOR, MAX_CATEGORIES, OTHER_CATEGORY


@dataclass(frozen=True, slots=True)
class Bins:
    """Histograms of several groups side by side: group `group[i]` has `count[i]` values in bin `label`; rows ascend."""

    group: Ints
    label: Texts
    count: Ints
    folded: int  # texts beyond `MAX_CATEGORIES` of their signal

    def by_group(self, chosen: Ints) -> list[dict[str, int]]:
        """The histograms of the groups of the rows `chosen` (ascending), in their order."""
        group = self.group[chosen]
        label = [self.label.values[code] for code in self.label.code[chosen].tolist()]
        count = self.count[chosen].tolist()
        ends = [*(np.flatnonzero(np.diff(group)) + 1).tolist(), len(group)] if len(group) else []
        begins = [0, *ends[:-1]]
        return [
            dict(zip(label[begin:end], count[begin:end], strict=True)) for begin, end in zip(begins, ends, strict=False)
        ]


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
    watchlists: Watchlists  # for sums over parts of these events

    @classmethod
    def of(cls, columns: Columns, watchlists: Watchlists) -> FeatureSums:
        """Sum the events (at least one) over the feature windows of their models."""
        seen = Observations.of(columns, watchlists)
        width_ms = np.array([version.spec.feature_window_s * 1000 for version in columns.versions], np.int64)
        cells = Cells.of(columns, width_ms)
        # Every signal of its version has an id in every cell: `begins[cell]` and what follows.
        sizes = np.diff(seen.begins)[cells.version]
        begins = np.cumsum(sizes) - sizes
        first = begins - seen.begins[cells.version]
        of_numbers = first[cells.of_event[seen.row]] + seen.signal
        of_texts = first[cells.of_event[seen.text_row]] + seen.text_signal
        ids = np.concatenate([of_numbers, of_texts, _expected(cells, seen, first)])
        groups, place = compact(ids, int(sizes.sum()))
        cell = np.searchsorted(begins, groups, side="right") - 1
        signal = groups - first[cell]
        group, text_group = place[: len(of_numbers)], place[len(of_numbers) : len(of_numbers) + len(of_texts)]
        sums = Sums.of(group, seen.number, len(groups))
        is_text = seen.text.code != NO_TEXT
        n = sums.n + np.bincount(text_group[is_text], minlength=len(groups))
        explicit = np.bincount(group, minlength=len(groups)) + np.bincount(text_group, minlength=len(groups)) - n
        events = np.bincount(cells.of_event, minlength=len(cells))[cell]
        return cls(
            columns=columns,
            width_ms=width_ms,
            cells=cells,
            signals=seen.signals,
            cell=cell,
            signal=signal,
            n=n,
            nulls=np.where(seen.declared[signal], events - n, explicit),
            sums=sums,
            bins=_bins(seen, group, text_group, len(groups)),
            dropped=seen.dropped,
            watchlists=watchlists,
        )

    def rows(self) -> Rows:
        """One row a cell for the table `features`; maps by signal."""
        versions, version, size = self.columns.versions, self.cells.version, len(self.cells)
        names = Texts.of([signal.name for signal in self.signals])
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
                "bins": self._bin_column(),
            },
        )

    def _bin_column(self) -> MapColumn:
        bins = self.bins
        names = [signal.name + BIN_SEPARATOR for signal in self.signals]
        of_bins = map(names.__getitem__, self.signal[bins.group].tolist())
        labels = map(bins.label.values.__getitem__, bins.label.code.tolist())
        # Made one by one: models seldom share features, so that hardly any of these texts occurs twice.
        ends = ends_of(self.cell[bins.group], len(self.cells))
        return MapColumn(ends, list(map(add, of_bins, labels)), bins.count.astype(np.uint64))

    def sizes(self) -> Ints:
        """About how many bytes the JSON of the `records` of each version takes; shape `(versions,)`."""
        of_cell = 50 + 90 * np.bincount(self.cell, minlength=len(self.cells))
        of_cell += 12 * np.bincount(self.cell[self.bins.group], minlength=len(self.cells))
        return np.bincount(self.cells.version, of_cell, len(self.columns.versions)).astype(np.int64)

    def records(self, chosen: npt.NDArray[np.bool_]) -> list[list[FeatureCell]]:
        """The cells of each of the `chosen` versions, in order of their windows; shape `(versions,)`, as the result."""
        names = [signal.name for signal in self.signals]
        of_group = chosen[self.cells.version][self.cell]
        groups = np.flatnonzero(of_group)
        kept = np.flatnonzero(of_group[self.bins.group])
        signal = [names[place] for place in self.signal[groups].tolist()]
        sums = self.sums.records(groups, self.nulls, self.n)
        bins = self.bins.by_group(kept)
        binned = np.unique(self.bins.group[kept])  # groups that have bins
        named = [names[place] for place in self.signal[binned].tolist()]
        ends = ends_of(self.cell[groups], len(self.cells)).tolist()
        ends_binned = ends_of(self.cell[binned], len(self.cells)).tolist()
        events = np.bincount(self.cells.of_event, minlength=len(self.cells)).tolist()
        by_version: list[list[FeatureCell]] = [[] for _ in self.columns.versions]
        begin = begin_binned = 0
        version, start_ms = self.cells.version.tolist(), self.cells.start_ms.tolist()
        for cell in np.flatnonzero(chosen[self.cells.version]).tolist():
            end, end_binned = ends[cell], ends_binned[cell]
            by_version[version[cell]].append(
                FeatureCell(
                    window_ms=start_ms[cell],
                    n=events[cell],
                    moments=dict(zip(signal[begin:end], sums[begin:end], strict=True)),
                    bins=dict(zip(named[begin_binned:end_binned], bins[begin_binned:end_binned], strict=True)),
                )
            )
            begin, begin_binned = end, end_binned
        return by_version


def _expected(cells: Cells, seen: Observations, first: Ints) -> Ints:
    """Ids of the declared signals, which every cell of a version has; `first` of a cell, plus the signal, is an id."""
    declared = np.flatnonzero(seen.declared)
    begins = np.searchsorted(declared, seen.begins)  # of the declared signals of each version
    sizes = np.diff(begins)[cells.version]
    ends = np.cumsum(sizes)
    place = np.arange(ends[-1]) - np.repeat(ends - sizes - begins[cells.version], sizes)
    ids: Ints = np.repeat(first, sizes) + declared[place]
    return ids


def _bins(seen: Observations, group: Ints, text_group: Ints, size: int) -> Bins:
    """Count numbers into the bins of their reference, and texts by themselves."""
    numeric = np.flatnonzero((seen.edges.count > 0)[seen.signal] & ~np.isnan(seen.number))
    index = seen.edges.bin_index(seen.signal[numeric], seen.number[numeric])
    is_text = np.flatnonzero(seen.text.code != NO_TEXT)
    given = Texts(seen.text.values, seen.text.code[is_text])
    known = {place: signal.categories for place, signal in enumerate(seen.signals) if signal.categories}
    texts, folded = fold(seen.text_signal[is_text], given, MAX_CATEGORIES, OTHER_CATEGORY, known)

    numbers = 1 + int(seen.edges.count.max())
    labels = [*map(str, range(numbers)), *texts.values]
    ids = np.concatenate(
        [group[numeric] * len(labels) + index, text_group[is_text] * len(labels) + numbers + texts.code]
    )
    present, count = tally(ids, size * len(labels))
    return Bins(present // len(labels), Texts(labels, present % len(labels)), count, folded)
