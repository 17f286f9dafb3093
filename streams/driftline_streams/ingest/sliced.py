"""The cells of segments as a partial carries them.

In the walk: between the sums of `features` and the message to `detect`.
"""

from __future__ import annotations

import numpy as np

from driftline_schemas.records import SlicedCells
from driftline_streams.ingest.features import FeatureSums
from driftline_streams.kernel.packed import pack, pack_ascending


def sliced(features: FeatureSums, version: int) -> SlicedCells | None:
    """Those of one version; `None` without any."""
    slices, seen, bins, slots = features.slices, features.seen, features.bins, features.bins.slots
    first, last = (np.searchsorted(slices.version[slices.wholes :], [version, version + 1]) + slices.wholes).tolist()
    if first == last:
        return None
    groups = slice(*np.searchsorted(features.cell, [first, last]).tolist())
    entries = slice(*np.searchsorted(bins.cell, [first, last]).tolist())
    begin, end = seen.begins[version : version + 2].tolist()
    group = (features.cell[groups] - first) * (end - begin) + features.signal[groups] - begin
    slot, begin_slot = bins.slot[entries], slots.begins[version]
    of_entry = (bins.cell[entries] - first) * (end - begin) + slots.signal[slot] - begin
    used, code = np.unique(slots.label.code[begin_slot : slots.begins[version + 1]], return_inverse=True)
    sums = features.sums
    return SlicedCells(
        window_ms=slices.start_ms[first:last].tolist(),
        dim=[slices.dim.values[code] for code in slices.dim.code[first:last].tolist()],
        value=[slices.value.values[code] for code in slices.value.code[first:last].tolist()],
        n=features.events[first:last].tolist(),
        issues=features.issues.by_cell(range(first, last)),
        signals=[watched.name for watched in seen.signals[begin:end]],
        labels=[slots.label.values[place] for place in used.tolist()],
        groups=pack_ascending(group),
        present=pack(features.n[groups]),
        nulls=pack(features.nulls[groups]),
        sums=np.stack([part[groups] for part in (sums.sum, sums.sum_squares, sums.min, sums.max)])
        .astype("<f8")
        .tobytes(),
        entries=pack_ascending(np.searchsorted(group, of_entry) * len(used) + code[slot - begin_slot]),
        counts=pack(bins.count[entries]),
    )
