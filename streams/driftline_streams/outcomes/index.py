"""Where a prediction stands among many that are numbered in their order: sorted hashes of models and ids.

In the walk: the part of `recent` that exists only while labels come. There is no object and no loop for an id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from driftline_streams.kernel.histogram import Ints

ENTRY_BYTES = 16


def hashes(models: Sequence[str], ids: Sequence[str]) -> Ints:
    """A hash of each pair, shape `(n,)`; other ones in another process."""
    n = len(ids)
    # By an odd number, so that a model and an id that change places do not hash to the same.
    return np.fromiter(map(hash, ids), np.int64, n) * 31 + np.fromiter(map(hash, models), np.int64, n)


class Index:
    """Numbers by hash. Two keys may have one hash: whoever asks compares what stands at the number with the key.

    It is kept as a few sorted runs, each at least twice as long as the next, so that taking in few entries at a time
    costs each of them a few merges and not a copy of everything.
    """

    def __init__(self) -> None:
        self._fresh: list[_Run] = []
        self._runs: list[_Run] = []  # in order of their numbers

    def add(self, first: int, added: Ints) -> None:
        """Take in hashes (at least one); their numbers are `first` and those that follow, greater than all before."""
        self._fresh.append(_Run(added, np.arange(first, first + len(added)), first))

    def forget(self, before: int) -> None:
        """Let go of all numbers below `before`."""
        kept = [run if run.first >= before else run.since(before) for run in self._runs]
        self._runs = [run for run in kept if len(run.hashes)]

    def find(self, wanted: Ints) -> Ints:
        """The least number of each hash, -1 for none; shape `(n,)`."""
        if self._fresh:
            self._runs.append(_Run.merged(self._fresh))
            self._fresh = []
        while len(self._runs) > 1 and len(self._runs[-2].hashes) < 2 * len(self._runs[-1].hashes):
            self._runs[-2:] = [_Run.merged(self._runs[-2:])]
        order = np.argsort(wanted)  # neighbours are looked up a third as fast again when they are close together
        ordered = wanted[order]
        numbers = np.full(len(wanted), -1)
        for run in reversed(self._runs):  # the oldest has the last word
            place = np.minimum(np.searchsorted(run.hashes, ordered), len(run.hashes) - 1)
            known = run.hashes[place] == ordered
            numbers[order[known]] = run.numbers[place[known]]
        return numbers


class _Run(NamedTuple):
    hashes: Ints  # ascending, once merged
    numbers: Ints  # ascending where hashes are equal
    first: int  # no number is less

    @classmethod
    def merged(cls, parts: Sequence[_Run]) -> _Run:
        found = np.concatenate([part.hashes for part in parts])
        order = np.argsort(found, kind="stable")  # merges parts that are sorted in linear time
        return cls(found[order], np.concatenate([part.numbers for part in parts])[order], parts[0].first)

    def since(self, before: int) -> _Run:
        kept = self.numbers >= before
        return _Run(self.hashes[kept], self.numbers[kept], before)
