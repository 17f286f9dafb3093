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
    """The groups that windows are kept for: every cell as a whole first, then by each segment value of the spec.

    Group `g` sums cell `cell[g]` where segment `dim.values[dim.code[g]]` is `value`, likewise; both are empty strings
    for the whole. Event `row[j]` belongs to group `group[j]`: a row for every event and every segment it is in.
    """

    cell: Ints
    dim: Texts
    value: Texts
    row: Ints
    group: Ints
    folded: int  # events in a segment value beyond `MAX_SEGMENT_VALUES`, counted as `OTHER_SEGMENT`

    @classmethod
    def of(cls, columns: Columns, cells: Cells) -> Slices:
        """Slice `cells` by the segments that the versions' specs ask for."""
        segment = columns.segment
        keys = max(1, len(segment.key.values))
        pairs, pair_of = compact(columns.version[segment.row] * keys + segment.key.code, len(columns.versions) * keys)
        asked = [segment.key.values[p % keys] in columns.versions[p // keys].spec.segments for p in pairs.tolist()]
        chosen = np.array(asked, np.bool_)[pair_of] & (segment.value.text.code != NO_TEXT)
        row, pair = segment.row[chosen], pair_of[chosen]
        given = Texts(segment.value.text.values, segment.value.text.code[chosen])
        values, folded = fold(pair, given, MAX_SEGMENT_VALUES, OTHER_SEGMENT, {})
        width = max(1, len(values.values))
        slots = len(cells) * keys * width
        slot, place = compact((cells.of_event[row] * keys + pairs[pair] % keys) * width + values.code, slots)
        whole = np.zeros(len(cells), np.int64)
        return cls(
            cell=np.concatenate([np.arange(len(cells)), slot // (keys * width)]),
            dim=Texts(["", *segment.key.values], np.concatenate([whole, slot // width % keys + 1])),
            value=Texts(["", *values.values], np.concatenate([whole, slot % width + 1])),
            row=np.concatenate([np.arange(columns.n), row]),
            group=np.concatenate([cells.of_event, len(cells) + place]),
            folded=folded,
        )
