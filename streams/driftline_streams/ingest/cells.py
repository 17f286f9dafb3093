"""Which window each event falls into: the cells (version, window) of a batch, and their slices by segment.

In the walk: the groups that `windows` and `features` sum over. Only cells that occur exist, so a batch that spans a
year costs as many cells as it has events, not as many as the year has windows.

A value is in several groups: in that of its whole cell and in one for each segment of its event. Where events have few
combinations of segments, values are summed by combination first and these sums added up: `Strata`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftline_streams.ingest.bounds import fold
from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel.catalog import sliced_by
from driftline_streams.kernel.histogram import Ints, compact
from driftline_streams.kernel.limits import MAX_SEGMENT_VALUES, OTHER_SEGMENT


@dataclass(frozen=True, slots=True)
class Cells:
    """The distinct (version, window) of a batch, ordered by both, and the cell of every event.

    `version`, `start_ms` and `width_ms` have shape `(cells,)`, `of_event` has shape `(n,)`.
    """

    version: Ints
    start_ms: Ints
    width_ms: Ints
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
        width = width_ms[version]
        return cls(version, (present % span + least) * width, width, place)


@dataclass(frozen=True, slots=True)
class Segments:
    """Which of the segments that its spec names each event is in: `row[j]` is in `value[j]` of `keys[key[j]]`.

    All arrays have shape `(memberships,)`. A version has at most `MAX_SEGMENT_VALUES` values of a key, the frequent
    ones; `folded` memberships are in `OTHER_SEGMENT` instead.
    """

    keys: list[str]
    row: Ints
    key: Ints
    value: Texts
    folded: int

    @classmethod
    def of(cls, columns: Columns) -> Segments:
        """Those of the events of a batch; a null is no segment."""
        segment = columns.segment
        keys = max(1, len(segment.key.values))
        pairs, pair_of = compact(columns.version[segment.row] * keys + segment.key.code, len(columns.versions) * keys)
        asked = [segment.key.values[p % keys] in sliced_by(columns.versions[p // keys].spec) for p in pairs.tolist()]
        chosen = np.array(asked, np.bool_)[pair_of] & (segment.value.code != NO_TEXT)
        row, pair = segment.row[chosen], pair_of[chosen]
        given = Texts(segment.value.values, segment.value.code[chosen])
        values, folded = fold(pair, given, MAX_SEGMENT_VALUES, OTHER_SEGMENT, {})
        return cls(segment.key.values, row, pairs[pair] % keys, values, folded)


@dataclass(frozen=True, slots=True)
class Slices:
    """The groups that events are summed in: every cell as a whole first, then slices by the segments of the spec.

    Arrays over groups have shape `(groups,)`; the first `wholes` of them are cells, the others are in their order. A
    group sums one window where segment `dim` is `value`, both empty for the whole. Event `row[j]` belongs to group
    `group[j]`: a row for every event, then one for every segment it is in.
    """

    version: Ints
    start_ms: Ints
    width_ms: Ints
    dim: Texts
    value: Texts
    wholes: int
    row: Ints
    group: Ints

    def __len__(self) -> int:
        return len(self.version)

    @classmethod
    def of(cls, cells: Cells, wide: Cells, segments: Segments) -> Slices:
        """`cells`, and the slices by segment of the `wide` ones, which are the same or wider windows of these events.

        A slice of a narrow window holds few events, and then a row of sums costs more than the events it sums (flights
        by the hour and carrier wrote more rows than there were flights).
        """
        keys, values = max(1, len(segments.keys)), max(1, len(segments.value.values))
        ids = (wide.of_event[segments.row] * keys + segments.key) * values + segments.value.code
        slot, place = compact(ids, len(wide) * keys * values)
        sliced = slot // (keys * values)
        whole = np.zeros(len(cells), np.int64)
        return cls(
            version=np.concatenate([cells.version, wide.version[sliced]]),
            start_ms=np.concatenate([cells.start_ms, wide.start_ms[sliced]]),
            width_ms=np.concatenate([cells.width_ms, wide.width_ms[sliced]]),
            dim=Texts(["", *segments.keys], np.concatenate([whole, slot // values % keys + 1])),
            value=Texts(["", *segments.value.values], np.concatenate([whole, slot % values + 1])),
            wholes=len(cells),
            row=np.concatenate([np.arange(len(cells.of_event)), segments.row]),
            group=np.concatenate([cells.of_event, len(cells) + place]),
        )


@dataclass(frozen=True, slots=True)
class Strata:
    """Events by all the groups they are in: what is summed by stratum can be added up to the sums of groups.

    Stratum `s` is in the groups `layer[s]`, -1 for none, of all layers: that of the wholes, and one for each key of the
    segments; layers have shape `(strata,)`, `of_event` has shape `(n,)`.
    """

    of_event: Ints
    layers: list[Ints]

    def __len__(self) -> int:
        return len(self.layers[0])

    @classmethod
    def each(cls, slices: Slices) -> Strata:
        """Every event by itself."""
        n = int((slices.group < slices.wholes).sum())
        layers = [slices.group[:n]]
        dims = slices.dim.code[slices.group[n:]]
        for dim in np.flatnonzero(np.bincount(dims)).tolist():
            mine = np.flatnonzero(dims == dim) + n
            layer = np.full(n, -1)
            layer[slices.row[mine]] = slices.group[mine]
            layers.append(layer)
        return cls(np.arange(n), layers)

    def spread(self, stratum: Ints, layers: Sequence[Ints]) -> tuple[Ints, Ints]:
        """Each of `stratum` (shape `(n,)`) in its groups of some of the layers: its place among them, and the group."""
        groups = [layer[stratum] for layer in layers]
        inside = [np.flatnonzero(group >= 0) for group in groups]
        found = [group[mine] for group, mine in zip(groups, inside, strict=True)]
        return np.concatenate(inside), np.concatenate(found)

    def joined(self) -> Strata:
        """Events that are in the same groups together, as long as these are few; else as they are."""
        n = len(self.of_event)
        size = int(self.layers[0].max()) + 1
        of_event, layers = self.layers[0], [np.arange(size)]
        for layer in self.layers[1:]:
            if size * 4 > n:
                return self
            least = int(layer[layer >= 0].min()) - 1
            width = int(layer.max()) - least + 1
            present, of_event = compact(of_event * width + np.maximum(layer - least, 0), size * width)
            former, code = present // width, present % width
            layers = [before[former] for before in layers] + [np.where(code, code + least, -1)]
            size = len(present)
        return Strata(of_event, layers)
