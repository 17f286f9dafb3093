"""Moments of every signal of a batch, by cell.

In the walk: the half of `features` that sums values; the other half counts them into bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftline_streams.ingest.cells import Strata
from driftline_streams.ingest.moments import Sums
from driftline_streams.ingest.signals import Observations
from driftline_streams.ingest.values import NO_TEXT
from driftline_streams.kernel.histogram import Ints, compact


@dataclass(frozen=True, slots=True)
class Groups:
    """A group is a signal in a cell, ordered by both; `given` counts values and explicit nulls; shape `(groups,)`."""

    cell: Ints
    signal: Ints
    n: Ints  # numbers and texts
    given: Ints
    sums: Sums

    @classmethod
    def of(cls, seen: Observations, version: Ints, joint: Strata, each: Strata) -> Groups:
        """Those of all cells, whose versions are `version`; a declared signal is in every cell of its version.

        Values are summed by the strata of `joint` first, unless these have more signals than there are values.
        """
        places = Places.of(seen.begins, version)
        expected = _expected(seen, version, places.shift)
        of_strata = Places.of(seen.begins, version[joint.layers[0]])
        if of_strata.ends[-1] <= len(seen.row):
            return _jointly(seen, joint, of_strata, places, expected)
        return _apart(seen, each, places, expected)


@dataclass(frozen=True, slots=True)
class Places:
    """Where what belongs to the versions of some units stands in one table: unit `u` has the places up to `ends[u]`.

    What version `v` has is numbered from `begins[v]` to `begins[v + 1]` (signals, say); number `i` of unit `u` has the
    place `shift[u] + i`.
    """

    ends: Ints
    shift: Ints

    @classmethod
    def of(cls, begins: Ints, version: Ints) -> Places:
        """Those of units of these versions (shape `(units,)`)."""
        sizes = np.diff(begins)[version]
        ends = np.cumsum(sizes)
        return cls(ends, ends - sizes - begins[version])

    def unit(self, places: Ints) -> Ints:
        """The unit of each of some places that ascend."""
        return np.repeat(np.arange(len(self.ends)), np.diff(np.searchsorted(places, self.ends), prepend=0))


def _jointly(seen: Observations, joint: Strata, of_strata: Places, places: Places, expected: Ints) -> Groups:
    size = int(of_strata.ends[-1])
    shift = of_strata.shift[joint.of_event]
    numbers, texts = shift[seen.row] + seen.signal, shift[seen.text_row] + seen.text_signal
    sums = Sums.of(numbers, seen.number, size)
    given = np.bincount(numbers, minlength=size) + np.bincount(texts, minlength=size)
    n = sums.n + np.bincount(texts[seen.text.code != NO_TEXT], minlength=size)
    part = np.flatnonzero(given)
    unit = of_strata.unit(part)
    spread, cell = joint.spread(unit, joint.layers)
    signal = (part - of_strata.shift[unit])[spread]
    groups, place = compact(np.concatenate([places.shift[cell] + signal, expected]), int(places.ends[-1]))
    place, part = place[: len(spread)], part[spread]
    return _groups(
        places,
        groups,
        n=np.bincount(place, n[part], len(groups)).astype(np.int64),
        given=np.bincount(place, given[part], len(groups)).astype(np.int64),
        sums=sums.merged(part, place, len(groups)),
    )


def _apart(seen: Observations, each: Strata, places: Places, expected: Ints) -> Groups:
    spread, cell = each.spread(seen.row, each.layers)
    text_spread, text_cell = each.spread(seen.text_row, each.layers)
    numbers = places.shift[cell] + seen.signal[spread]
    texts = places.shift[text_cell] + seen.text_signal[text_spread]
    groups, place = compact(np.concatenate([numbers, texts, expected]), int(places.ends[-1]))
    size = len(groups)
    text_place = place[len(numbers) : len(numbers) + len(texts)]
    place = place[: len(numbers)]
    sums = Sums.of(place, seen.number[spread], size)
    is_text = seen.text.code[text_spread] != NO_TEXT
    return _groups(
        places,
        groups,
        n=sums.n + np.bincount(text_place[is_text], minlength=size),
        given=np.bincount(place, minlength=size) + np.bincount(text_place, minlength=size),
        sums=sums,
    )


def _groups(places: Places, groups: Ints, *, n: Ints, given: Ints, sums: Sums) -> Groups:
    cell = places.unit(groups)
    return Groups(cell, groups - places.shift[cell], n, given, sums)


def _expected(seen: Observations, version: Ints, shift: Ints) -> Ints:
    """The places of the declared signals, which every cell of a version has."""
    declared = np.flatnonzero(seen.declared)
    begins = np.searchsorted(declared, seen.begins)  # of the declared signals of each version
    sizes = np.diff(begins)[version]
    ends = np.cumsum(sizes)
    place = np.arange(ends[-1]) - np.repeat(ends - sizes - begins[version], sizes)
    ids: Ints = np.repeat(shift, sizes) + declared[place]
    return ids
