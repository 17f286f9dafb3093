"""What is different between two references, signal by signal.

In the walk: beside it, for `driftline reference diff`: before a new one takes the place of an old one.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct

from driftline_schemas.spec import Profile, Reference
from driftline_streams.kernel import moments
from driftline_streams.kernel.divergence import coarse_bins, psi
from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.kernel.limits import OTHER_CATEGORY


class Difference(Struct, frozen=True, kw_only=True):
    """How one signal of a first reference differs from that of a second; what cannot be said is `None`."""

    signal: str
    type: str  # of the second, or "numeric → categorical"
    only: str = ""  # "first" or "second" where the other has no such signal
    psi: float | None = None  # of the second against the first, its bias taken off
    mean: tuple[float, float] | None = None  # of the first and of the second, in the signal's own unit
    deviations: float | None = None  # difference of the means, in standard deviations of the first
    missing: tuple[float, float] | None = None  # shares of the events
    new: tuple[str, ...] = ()  # categories that the first does not have
    gone: tuple[str, ...] = ()
    rhythm: tuple[bool, bool] = (False, False)


def diff(first: Reference, second: Reference) -> list[Difference]:
    """All signals of both, those first that differ most; equal ones have a PSI of 0."""
    found = [_difference(name, first, second) for name in sorted(first.signals.keys() | second.signals.keys())]
    return sorted(found, key=lambda each: (-_size(each), each.signal))


def _size(difference: Difference) -> float:
    if difference.only or "→" in difference.type:
        return math.inf
    nulls = difference.missing or (0.0, 0.0)
    return max(difference.psi or 0.0, abs(difference.deviations or 0.0), abs(nulls[1] - nulls[0]))


def _difference(name: str, first: Reference, second: Reference) -> Difference:
    a, b = first.signals.get(name), second.signals.get(name)
    if a is None or b is None:
        there = a or b
        assert there is not None  # noqa: S101 - a signal of one of them
        return Difference(signal=name, type=there.type, only="first" if b is None else "second")
    missing = _missing(a, first.n), _missing(b, second.n)
    rhythm = _moves(first, name), _moves(second, name)
    if a.type != b.type:
        return Difference(signal=name, type=f"{a.type} → {b.type}", missing=missing, rhythm=rhythm)
    if a.type == "categorical":
        names, others = a.categories.keys() - {OTHER_CATEGORY}, b.categories.keys() - {OTHER_CATEGORY}
        return Difference(
            signal=name,
            type=a.type,
            psi=_psi_of_categories(a, b),
            missing=missing,
            new=tuple(sorted(others - names)),
            gone=tuple(sorted(names - others)),
            rhythm=rhythm,
        )
    mean = moments.mean(a.moments), moments.mean(b.moments)
    spread = moments.deviation(a.moments)
    known = not any(map(math.isnan, mean))
    return Difference(
        signal=name,
        type=a.type,
        psi=_psi_of_numbers(a, b),
        mean=mean if known else None,
        deviations=(mean[1] - mean[0]) / spread if known and spread > 0 else None,
        missing=missing,
        rhythm=rhythm,
    )


def _missing(profile: Profile, n: int) -> float:
    return profile.moments.nulls / n


def _moves(reference: Reference, name: str) -> bool:
    return reference.rhythm is not None and name in reference.rhythm.counts


def _psi_of_categories(a: Profile, b: Profile) -> float | None:
    names = sorted(a.categories.keys() | b.categories.keys())
    first, second = (np.array([each.categories.get(name, 0) for name in names], np.int64) for each in (a, b))
    return _known(second, first)


def _psi_of_numbers(a: Profile, b: Profile) -> float | None:
    """By the ten coarse bins of the first; what a fine bin of the second spreads over is shared out evenly."""
    if not a.counts or not b.counts:
        return None
    first = np.array(a.counts, np.int64)
    group = coarse_bins(first)
    edges = np.array(a.edges)[np.flatnonzero(np.diff(group))]
    ends = np.concatenate([[0.0], _below(b, edges), [1.0]])
    second = np.round(np.diff(ends) * sum(b.counts)).astype(np.int64)
    return _known(second, np.bincount(group, weights=first)[np.unique(group)].astype(np.int64))


def _below(profile: Profile, points: Floats) -> Floats:
    """The share of the values below each point (ascending)."""
    counts = np.array(profile.counts, np.float64)
    below = np.cumsum(counts)[:-1] / counts.sum()
    # Between tied edges there is nothing, so that each edge has one share; `interp` wants it once.
    edges, place = np.unique(np.array(profile.edges), return_index=True)
    beyond = np.nextafter(max(profile.moments.max, edges[-1]), np.inf)
    at = np.concatenate([[min(profile.moments.min, edges[0])], edges, [beyond]])
    shares: Floats = np.interp(points, at, np.concatenate([[0.0], below[place], [1.0]]), left=0.0, right=1.0)
    return shares


def _known(observed: Ints, expected: Ints) -> float | None:
    value = float(psi(observed, expected))
    return None if math.isnan(value) else value
