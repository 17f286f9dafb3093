"""What a test window has and what the reference leads to expect of it, for many signals side by side as arrays.

In the walk: the first step of `drift.compare`. The rows are the signals of the reference in the whole window, then in
each of its segments. What to expect of the whole is the profile, or where a signal moves with the hour what the
reference has for these hours; of a segment it is its slice, moved with the hour as the whole is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np

from driftline_schemas.records import Moments
from driftline_schemas.spec import Profile, Reference, Slice, Usual
from driftline_streams.kernel import divergence, moments, rhythm, usual
from driftline_streams.kernel.histogram import BINS, Floats
from driftline_streams.kernel.limits import OTHER_CATEGORY
from driftline_streams.kernel.rhythm import Expected
from driftline_streams.kernel.shifts import Sample
from driftline_streams.windows.cells import WideCell

# These are in the reference for the online detectors; feature windows do not hold them.
_ELSEWHERE = frozenset({"latency_ms", "error_rate", "label"})
_LABELS = [str(index) for index in range(BINS)]
_NONE: Mapping[str, int] = {}


class Signal(NamedTuple):
    """One signal of a window or of one of its segments, and what it is compared with."""

    dim: str
    value: str
    name: str
    profile: Profile
    bins: Mapping[str, int]  # of the window; empty when they were counted by the edges of another reference
    moments: Moments
    slice: Slice | None  # of the reference; `None` for all events
    expected: Expected | None  # of all events in the hours of the window; `None` when it does not move with them
    usual: Usual | None  # how windows of the reference differ


class Pairs(NamedTuple):
    """Both sides of signals of one kind; the rows of all arrays are `signals`."""

    signals: list[Signal]
    profile: Floats  # (signals, bins): the counts of the profiles; the last category is all that they do not have
    observed: Floats
    expected: Floats
    edges: Floats  # (signals, 63); NaN for categories
    ours: Sample
    theirs: Sample  # of the hours of the window, except for the extremes


def tested(reference: Reference, ignored: frozenset[str]) -> list[tuple[str, Profile]]:
    """The signals of the reference that feature windows hold, without those `ignored`."""
    return [pair for pair in reference.signals.items() if pair[0] not in ignored and pair[0] not in _ELSEWHERE]


def of(reference: Reference, cells: Sequence[WideCell], ignored: frozenset[str]) -> tuple[Pairs, Pairs]:
    """The numeric signals of all `cells` of one window, and the categorical ones."""
    signals = list(_signals(reference, cells, ignored))
    numeric = [signal for signal in signals if signal.profile.type == "numeric"]
    return _numeric(numeric), _categorical([signal for signal in signals if signal.profile.type == "categorical"])


def _signals(reference: Reference, cells: Sequence[WideCell], ignored: frozenset[str]) -> Iterator[Signal]:
    window = cells[0]
    profiles = [
        (
            *(name, profile, rhythm.expected(reference, name, window.start_ms, window.width_ms)),
            usual.of_width(profile, window.width_ms),
        )
        for name, profile in tested(reference, ignored)
    ]
    for cell in cells:
        part = reference.segments.get(cell.dim, {}).get(cell.value) if cell.dim else None
        if cell.dim and part is None:
            continue
        bins = cell.bins if cell.reference == reference.id else {}
        for name, profile, expected, known in profiles:
            sums = cell.moments.get(name, moments.EMPTY)
            yield Signal(cell.dim, cell.value, name, profile, bins.get(name, _NONE), sums, part, expected, known)


def _numeric(signals: list[Signal]) -> Pairs:
    # A profile that is not over 64 bins cannot be compared by them.
    usable = [len(s.profile.counts) == BINS and len(s.profile.edges) == BINS - 1 for s in signals]
    none, nowhere = [0] * BINS, [np.nan] * (BINS - 1)
    whole = _table([s.profile.counts if ok else none for s, ok in zip(signals, usable, strict=True)], BINS)
    edges = _table([s.profile.edges if ok else nowhere for s, ok in zip(signals, usable, strict=True)], BINS - 1)
    observed = _binned([s.bins if ok else _NONE for s, ok in zip(signals, usable, strict=True)])
    expected = whole.copy()
    sliced = [row for row, signal in enumerate(signals) if signal.slice is not None]
    if sliced:
        expected[sliced] = _binned([_slice_bins(signals[row]) for row in sliced])
    coarse = [row for row, s in enumerate(signals) if s.slice is not None or s.expected is not None]
    if coarse:
        observed[coarse], expected[coarse] = _spread(whole[coarse], observed[coarse], expected[coarse])
    theirs = Sample.of([_expected_moments(signal) for signal in signals])
    return _moved(Pairs(signals, whole, observed, expected, edges, _ours(signals), theirs))


def _spread(profile: Floats, *sides: Floats) -> tuple[Floats, ...]:
    """Both sides of what is known in coarse bins only, spread over fine bins as the profile is.

    So they differ at the ends of coarse bins, and evenly between them. Segments are counted in coarse bins, and so are
    the hours of the reference: how values lie inside of a coarse bin may change with the hour as well.
    """
    group = divergence.coarse_bins(profile)
    inside = np.take_along_axis(divergence.sum_by(group, profile), group, axis=1)
    first = np.diff(group, axis=1, prepend=-1) > 0
    shape = np.divide(profile, inside, out=first.astype(np.float64), where=inside > 0)
    return tuple(shape * np.take_along_axis(divergence.sum_by(group, side), group, axis=1) for side in sides)


def _categorical(signals: list[Signal]) -> Pairs:
    width = 1 + max((len(signal.profile.categories) for signal in signals), default=0)
    observed, expected, whole = (np.zeros((len(signals), width)) for _ in range(3))
    for row, signal in enumerate(signals):
        names = list(signal.profile.categories)
        whole[row, : len(names)] = list(signal.profile.categories.values())
        observed[row] = _named(names, signal.bins, width)
        expected[row] = whole[row] if signal.slice is None else _named(names, _slice_bins(signal), width)
    theirs = Sample.of([_expected_moments(signal) for signal in signals])
    theirs = theirs._replace(n=expected.sum(axis=1))
    nowhere = np.full((len(signals), BINS - 1), np.nan)
    return _moved(Pairs(signals, whole, observed, expected, nowhere, _ours(signals), theirs))


def _moved(pairs: Pairs) -> Pairs:
    """The pairs with the hours taken into account where the reference knows them."""
    theirs = pairs.theirs
    for row, signal in enumerate(pairs.signals):
        hours = signal.expected
        if hours is None:
            continue
        counts = np.zeros(pairs.profile.shape[1])
        counts[: len(hours.counts)] = hours.counts
        n, nulls, mean, variance = float(hours.level.n), hours.nulls, hours.level.mean, hours.level.deviation**2
        if signal.slice is not None:
            counts, n, nulls, mean, variance = _as_the_whole(pairs, row, hours, counts)
        pairs.expected[row], theirs.n[row] = counts * n, n
        theirs.nulls[row] = n * nulls / (1 - nulls) if nulls < 1 else 0.0  # NaN: nothing is known of these hours
        theirs.mean[row], theirs.variance[row] = mean, variance
    return pairs


def _as_the_whole(pairs: Pairs, row: int, hours: Expected, counts: Floats) -> tuple[Floats, float, float, float, float]:
    """What to expect of a segment if the hour moves it as it moves the whole: shares, n, nulls, mean and variance."""
    profile, mine, sums = pairs.profile[row], pairs.expected[row], pairs.signals[row].profile.moments
    total, own = profile.sum(), mine.sum()
    moved = mine * np.divide(counts * total, profile, out=np.zeros_like(profile), where=profile > 0)
    whole, part = sums.nulls / max(1, total + sums.nulls), pairs.theirs.nulls[row]
    usual = moments.deviation(sums)
    return (
        moved / (moved.sum() or 1.0),
        hours.level.n * own / max(1, total),
        min(1.0, max(0.0, part / max(1, own + part) + hours.nulls - whole)),
        pairs.theirs.mean[row] + hours.level.mean - moments.mean(sums),
        pairs.theirs.variance[row] * (hours.level.deviation**2 / usual**2 if usual > 0 else 1.0),
    )


def _ours(signals: Sequence[Signal]) -> Sample:
    return Sample.of([signal.moments for signal in signals])


def _expected_moments(signal: Signal) -> Moments:
    return signal.profile.moments if signal.slice is None else signal.slice.moments.get(signal.name, moments.EMPTY)


def _slice_bins(signal: Signal) -> Mapping[str, int]:
    return _NONE if signal.slice is None else signal.slice.bins.get(signal.name, _NONE)


def _table(rows: Sequence[Sequence[float]], width: int) -> Floats:
    return np.array(rows, np.float64).reshape(len(rows), width)


def _binned(bins: Sequence[Mapping[str, int]]) -> Floats:
    """The counts of the 64 bins, shape `(signals, 64)`."""
    counts = chain.from_iterable(map(each.get, _LABELS, repeat(0)) for each in bins)
    return np.fromiter(counts, np.float64, len(bins) * BINS).reshape(len(bins), BINS)


def _named(names: Sequence[str], bins: Mapping[str, int], width: int) -> Floats:
    """The counts of the categories, and of all others: in the profile's own rest, or at the end if it has none."""
    counts = np.zeros(width)
    counts[: len(names)] = [bins.get(name, 0) for name in names]
    rest = names.index(OTHER_CATEGORY) if OTHER_CATEGORY in names else len(names)
    counts[rest] += sum(bins.values()) - counts.sum()
    return counts
