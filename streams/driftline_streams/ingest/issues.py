"""What is wrong with the values of a batch in themselves, whatever the reference: counted, never refused.

In the walk: beside the sums of `features`. Where nothing is wrong, it looks at sums and at lengths, not at events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftline_schemas.records import MAX_IDENTIFIER
from driftline_streams.ingest.cells import Strata
from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.groups import Groups
from driftline_streams.ingest.signals import Observations
from driftline_streams.ingest.values import Texts
from driftline_streams.kernel.histogram import Ints, tally
from driftline_streams.kernel.joined import Joined
from driftline_streams.kernel.limits import BIN_SEPARATOR

_PLACE_BITS = 18
_ODD = np.random.default_rng(0).integers(1 << 63, size=MAX_IDENTIFIER // 8 + 1, dtype=np.uint64) * 2 + 1
IMPROPER = 1e-3  # probabilities may sum to so much more or less than 1


@dataclass(frozen=True, slots=True)
class Issues:
    """Cell `cell[j]` has `count[j]` times the issue `kind`; ordered by cell."""

    cell: Ints
    kind: Texts
    count: Ints

    @classmethod
    def of(cls, columns: Columns, seen: Observations, groups: Groups, each: Strata, repeated: Ints) -> Issues:
        """Those of all cells; `repeated` has the events whose id has occurred before."""
        found = [("duplicate", repeated), ("improper", _improper(columns))]
        if len(seen.mistyped_row):
            found += _by_signal("mistyped", seen, seen.mistyped_signal, seen.mistyped_row)
        sums, signal = groups.sums, groups.signal
        beyond = (sums.n > 0) & ((sums.min < seen.low[signal]) | (sums.max > seen.high[signal]))
        if beyond.any():
            outside = (seen.number < seen.low[seen.signal]) | (seen.number > seen.high[seen.signal])
            found += _by_signal("outside", seen, seen.signal[outside], seen.row[outside])
        found = [(kind, rows) for kind, rows in found if len(rows)]
        if not found:
            return cls(np.empty(0, np.int64), Texts.nothing(0), np.empty(0, np.int64))
        kinds = Texts.of([kind for kind, _ in found])
        code = np.repeat(kinds.code, [len(rows) for _, rows in found])
        row = np.concatenate([rows for _, rows in found])
        spread, cell = each.spread(row, each.layers)
        present, count = tally(cell * len(kinds.values) + code[spread], (int(cell.max()) + 1) * len(kinds.values))
        return cls(present // len(kinds.values), Texts(kinds.values, present % len(kinds.values)), count)

    def by_cell(self, cells: Sequence[int]) -> list[dict[str, int]]:
        """Those of each of some cells."""
        found: dict[int, dict[str, int]] = {}
        for cell, code, count in zip(self.cell.tolist(), self.kind.code.tolist(), self.count.tolist(), strict=True):
            found.setdefault(cell, {})[self.kind.values[code]] = count
        return [found.get(cell, {}) for cell in cells]


def repeated(columns: Columns, ids: Joined) -> Ints:
    """The events whose model has had their id before in these events."""
    if _all_differ(ids):
        return np.empty(0, np.int64)
    models = [version.model for version in columns.versions]
    before: set[tuple[str, str]] = set()
    again = []
    for row in np.lexsort((columns.position, columns.index)).tolist():  # not as they were read: as they were sent
        key = models[columns.version[row]], ids[row]
        if key in before:
            again.append(row)
        before.add(key)
    return np.array(again, np.int64)


def _all_differ(ids: Joined) -> bool:
    """Whether no text occurs twice: a third of the work of a set where all are ASCII of one length, as UUIDs are."""
    letters = ids.letters
    if letters is None:
        return len(set(ids)) == len(ids)
    n, size = letters.shape
    words = np.pad(letters, ((0, 0), (0, -size % 8))).view(np.uint64).T
    hashed = sum(map(np.multiply, words, _ODD), np.zeros(n, np.uint64))
    place = (hashed >> np.uint64(64 - _PLACE_BITS)).astype(np.int64)
    last = np.empty(1 << _PLACE_BITS, np.int32)
    rows = np.arange(n, dtype=np.int32)
    last[place] = rows
    overwritten = last[place] != rows
    shared = np.zeros(1 << _PLACE_BITS, np.bool_)
    shared[place[overwritten]] = True
    doubtful = [ids[row] for row in np.flatnonzero(shared[place]).tolist()]
    return len(set(doubtful)) == len(doubtful)


def _improper(columns: Columns) -> Ints:
    given = columns.probabilities
    if not len(given.row):
        return np.empty(0, np.int64)
    total = np.bincount(given.row, given.value, given.n)
    return np.flatnonzero((np.abs(total - 1) > IMPROPER) & (np.bincount(given.row, minlength=given.n) > 0))


def _by_signal(kind: str, seen: Observations, signal: Ints, row: Ints) -> list[tuple[str, Ints]]:
    names = [(place, f"{kind}{BIN_SEPARATOR}{seen.signals[place].name}") for place in np.unique(signal).tolist()]
    return [(name, row[signal == place]) for place, name in names]
