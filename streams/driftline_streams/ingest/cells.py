"""Which window each event falls into: the cells (version, window) of a batch, and their slices by segment.

In the walk: the groups that `windows` and `features` sum over. Only cells that occur exist, so a batch that spans a
year costs as many cells as it has events, not as many as the year has windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftline_streams.ingest.bounds import fold
from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel.histogram import Ints, compact
from driftline_streams.kernel.limits import MAX_SEGMENT_VALUES, OTHER_SEGMENT


@dataclass(frozen=True, slots=True)
class Cells:
    """The distinct (version, window) of a batch, ordered by both, and the cell of every event.

    `version` and `start_ms` have shape `(cells,)`, `of_event` has shape `(n,)`.
    """

    version: Ints
    start_ms: Ints
    of_event: Ints

    def __len__(self) -> int:
        return len(self.version)

    @classmethod
    def of(cls, columns: Columns, width_ms: Ints) -> Cells:
        """Cut the events into windows; `width_ms` has the width of each version's, shape `(versions,)`."""
        widths = width_ms[columns.version]
        window = columns.time_ms // widths
        least = int(window.min())
        span = int(window.max()) - least + 1
        present, place = compact(columns.version * span + (window - least), len(columns.versions) * span)
        version = present // span
        return cls(version, (present % span + least) * width_ms[version], place)


@dataclass(frozen=True, slots=True)
class Slices:
    """The groups that windows are kept for: every cell as a whole first, then slices by the segments of the spec.

    Arrays over groups have shape `(groups,)`. A group sums one window where segment `dim` is `value`, both empty for
    the whole. Event `row[j]` belongs to group `group[j]`: a row for every event and every segment it is in.

    Slices are as wide as feature windows: a slice of a narrow window holds few events, and then a row of sums costs
    more than the events it sums (flights by the hour and carrier wrote more rows than there were flights).
    """

    version: Ints
    start_ms: Ints
    width_ms: Ints
    dim: Texts
    value: Texts
    row: Ints
    group: Ints
    folded: int  # events in a segment value beyond `MAX_SEGMENT_VALUES`, counted as `OTHER_SEGMENT`

    @classmethod
    def of(cls, columns: Columns, cells: Cells, width_ms: Ints) -> Slices:
        """`cells`, of these widths (shape `(versions,)`), and their slices by the segments that the specs ask for."""
        feature_ms = np.array([version.spec.feature_window_s * 1000 for version in columns.versions], np.int64)
        wide_ms = np.maximum(width_ms, feature_ms)
        wide = Cells.of(columns, wide_ms)
        segment = columns.segment
        keys = max(1, len(segment.key.values))
        pairs, pair_of = compact(columns.version[segment.row] * keys + segment.key.code, len(columns.versions) * keys)
        asked = [segment.key.values[p % keys] in columns.versions[p // keys].spec.segments for p in pairs.tolist()]
        chosen = np.array(asked, np.bool_)[pair_of] & (segment.value.code != NO_TEXT)
        row, pair = segment.row[chosen], pair_of[chosen]
        given = Texts(segment.value.values, segment.value.code[chosen])
        values, folded = fold(pair, given, MAX_SEGMENT_VALUES, OTHER_SEGMENT, {})
        width = max(1, len(values.values))
        slots = len(wide) * keys * width
        slot, place = compact((wide.of_event[row] * keys + pairs[pair] % keys) * width + values.code, slots)
        sliced = slot // (keys * width)
        whole = np.zeros(len(cells), np.int64)
        return cls(
            version=np.concatenate([cells.version, wide.version[sliced]]),
            start_ms=np.concatenate([cells.start_ms, wide.start_ms[sliced]]),
            width_ms=np.concatenate([width_ms[cells.version], wide_ms[wide.version[sliced]]]),
            dim=Texts(["", *segment.key.values], np.concatenate([whole, slot // width % keys + 1])),
            value=Texts(["", *values.values], np.concatenate([whole, slot % width + 1])),
            row=np.concatenate([np.arange(columns.n), row]),
            group=np.concatenate([cells.of_event, len(cells) + place]),
            folded=folded,
        )
