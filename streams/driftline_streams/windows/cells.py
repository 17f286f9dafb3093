"""The cells of open windows: what all partials have added to one window of a model version so far.

In the walk: `detect` merges the partials of all source partitions here until the watermark lets a window close.
They take over the dictionaries of the partials they are made of.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec import Struct, field

from driftline_schemas.records import FeatureCell, Moments, WindowCell
from driftline_streams.kernel import moments
from driftline_streams.kernel.limits import MAX_CATEGORIES, OTHER_CATEGORY

MAX_NAMES = 4 * MAX_CATEGORIES  # of one signal in one window: each batch brings at most a quarter

_K = TypeVar("_K", int, str)


class BaseCell(Struct, array_like=True):
    """Load, errors, latency and scores of one base window."""

    start_ms: int
    width_ms: int
    n: int
    errors: int
    latency: dict[int, int]  # DDSketch buckets; see `kernel.sketch`
    signals: dict[str, Moments]

    @classmethod
    def of(cls, cell: WindowCell, width_ms: int) -> BaseCell:
        """The first partial of a window."""
        return cls(cell.window_ms, width_ms, cell.n, cell.errors, cell.latency.counts, cell.signals)

    def merge(self, cell: WindowCell) -> None:
        """Add another partial of the same window."""
        self.n += cell.n
        self.errors += cell.errors
        add_counts(self.latency, cell.latency.counts)
        add_moments(self.signals, cell.signals)


class WideCell(Struct, array_like=True):
    """Moments and bins of all features in one feature window, or in several of them."""

    start_ms: int
    width_ms: int
    n: int
    reference: str  # whose edges the bins use; empty without one
    moments: dict[str, Moments]
    bins: dict[str, dict[str, int]]
    issues: dict[str, int] = field(default_factory=dict)  # as in `FeatureCell`
    dim: str = ""  # segment key; empty for all events
    value: str = ""  # segment value

    @classmethod
    def of(cls, cell: FeatureCell, width_ms: int, reference: str) -> WideCell:
        """The first partial of a window."""
        return cls(cell.window_ms, width_ms, cell.n, reference, cell.moments, cell.bins, cell.issues)

    def merge(self, cell: FeatureCell | WideCell, reference: str) -> None:
        """Add another partial of the same window, or another window.

        Bins of different references cannot be added: those of the later one replace what was there.
        """
        self.n += cell.n
        add_counts(self.issues, cell.issues)
        add_moments(self.moments, cell.moments)
        if reference != self.reference:
            self.reference, self.bins = reference, {signal: dict(counts) for signal, counts in cell.bins.items()}
            return
        for signal, counts in cell.bins.items():
            mine = self.bins.get(signal)
            if mine is None:
                self.bins[signal] = dict(counts)  # a window may be merged into several
            else:
                add_bounded(mine, counts)


def add_counts(into: dict[_K, int], counts: dict[_K, int]) -> None:
    """Add `counts` to `into`, key by key."""
    for key, count in counts.items():
        into[key] = into.get(key, 0) + count


def add_bounded(into: dict[str, int], counts: dict[str, int]) -> None:
    """Add `counts` to `into`; names beyond `MAX_NAMES` are counted as `OTHER_CATEGORY`."""
    add_counts(into, counts)
    if len(into) > MAX_NAMES:
        for name in list(into)[MAX_NAMES:]:  # those that came last: what is known keeps its name
            count = into.pop(name)
            into[OTHER_CATEGORY] = into.get(OTHER_CATEGORY, 0) + count


def add_moments(into: dict[str, Moments], more: dict[str, Moments]) -> None:
    """Merge `more` into `into`, signal by signal."""
    for signal, sums in more.items():
        mine = into.get(signal)
        into[signal] = sums if mine is None else moments.merge(mine, sums)
