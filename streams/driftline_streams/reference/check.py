"""Whether a reference that somebody hands us holds together, before every worker takes it for what normal is.

In the walk: before it. What `build` makes holds by construction; what comes from a file is looked at here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

from driftline_schemas.spec import Profile, Reference, Rhythm
from driftline_streams.kernel.histogram import BINS
from driftline_streams.kernel.limits import MAX_CATEGORIES
from driftline_streams.kernel.rhythm import groups
from driftline_streams.reference.build import identity


def checked(reference: Reference) -> Reference:
    """The reference with the id of its content.

    Raises
    ------
    ValueError
        If it cannot be compared with; names the first signal that is wrong, what was expected and what came.
    """
    wrong = next(_faults(reference), "")
    if wrong:
        raise ValueError(wrong)
    return msgspec.structs.replace(reference, id=identity(reference))


def _faults(reference: Reference) -> Iterator[str]:
    if reference.n < 1:
        yield "a reference of no events says nothing: n is 0"
    if reference.end_ms < reference.start_ms:
        yield f"it ends ({reference.end_ms}) before it starts ({reference.start_ms})"
    for name, profile in reference.signals.items():
        for fault in _of_profile(profile):
            yield f"{name}: {fault}"
    for key, slices in reference.segments.items():
        for value, piece in slices.items():
            if unknown := sorted({*piece.moments, *piece.bins} - reference.signals.keys()):
                yield f"segment {key} {value} has signals that the whole has not: {', '.join(unknown)}"
    if reference.rhythm is not None:
        for name in reference.rhythm.counts:
            yield from _of_rhythm(reference.rhythm, name, reference.signals.get(name))


def _of_profile(profile: Profile) -> Iterator[str]:
    if profile.type == "categorical":
        if len(profile.categories) > MAX_CATEGORIES + 1:
            yield f"{len(profile.categories)} categories, at most {MAX_CATEGORIES} and one of the rest are compared"
        if min(profile.categories.values(), default=1) < 0:
            yield "a category has a negative count"
        return
    if (len(profile.edges), len(profile.counts)) not in {(BINS - 1, BINS), (0, 0)}:
        yield f"{len(profile.edges)} edges and {len(profile.counts)} counts, expected {BINS - 1} and {BINS}, or none"
    if profile.edges != sorted(profile.edges) or not all(map(math.isfinite, profile.edges)):
        yield "its edges do not ascend"
    if min(profile.counts, default=0) < 0:
        yield "a bin has a negative count"


def _of_rhythm(rhythm: Rhythm, name: str, profile: Profile | None) -> Iterator[str]:
    if profile is None or not any(profile.counts or profile.categories.values()):
        yield f"{name} has a rhythm but no profile with values"
        return
    bins = int(groups(profile).max()) + 1
    columns: list[Sequence[object]] = [rhythm.counts[name], rhythm.n]
    columns += [level.get(name, []) for level in (rhythm.means, rhythm.deviations) if profile.type == "numeric"]
    if any(len(column) != rhythm.slots for column in columns):
        yield f"the rhythm of {name} does not have {rhythm.slots} slots"
    if any(len(row) != bins for row in rhythm.counts[name]):
        yield f"the rhythm of {name} does not have {bins} bins a slot"
