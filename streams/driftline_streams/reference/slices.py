"""The segments of a reference: the same signals for the events of one value of a key.

In the walk: a step of `build`, so that a segment of a window is compared with the same segment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from driftline_schemas.spec import Slice
from driftline_streams.kernel.histogram import Ints
from driftline_streams.kernel.limits import MAX_NAME_CHARS, OTHER_SEGMENT
from driftline_streams.reference.profile import Binned, of_group

_ELSEWHERE = frozenset({"latency_ms", "error_rate"})  # in the windows of load, not in those of features


def slices(columns: Mapping[str, Binned], values: Sequence[str | None], most: int) -> dict[str, Slice]:
    """A slice for each of the `most` frequent values (ties by name) of one key, and one of all the rest, "other".

    `values` has one value an event; events without one (None or an empty text) are in no slice.
    """
    counted = Counter(value for value in values if value and value != OTHER_SEGMENT and len(value) <= MAX_NAME_CHARS)
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    kept = {value: index for index, (value, _) in enumerate(ranked[:most])}
    code = np.array([kept.get(value, len(kept)) if value else -1 for value in values], np.int64)
    made = {}
    for index, value in enumerate([*kept, OTHER_SEGMENT]):
        rows = np.flatnonzero(code == index)
        if len(rows):
            made[value] = _slice(columns, rows)
    return made


def _slice(columns: Mapping[str, Binned], rows: Ints) -> Slice:
    parts = {name: of_group(column, rows) for name, column in columns.items() if name not in _ELSEWHERE}
    return Slice(
        n=len(rows),
        moments={name: sums for name, (sums, _) in parts.items()},
        bins={name: bins for name, (_, bins) in parts.items() if bins},
    )
