"""Whether a reference that somebody hands us holds together, before every worker takes it for what normal is.

In the walk: before it. What `build` makes holds by construction; what comes from a file is looked at here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import msgspec

from driftline_schemas.spec import Joint, Profile, Reference, Rhythm
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
    if reference.joint is not None:
        yield from _of_joint(reference.joint, reference.signals)
    if (rhythm := reference.rhythm) is not None:
        yield from chain.from_iterable(_of_rhythm(rhythm, name, reference.signals.get(name)) for name in rhythm.counts)


def _of_profile(profile: Profile) -> Iterator[str]:
    if any(usual.n < 2 or usual.width_s < 1 for usual in profile.usual):
        yield "what is usual of fewer than two windows is not known"
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


def _of_joint(joint: Joint, signals: Mapping[str, Profile]) -> Iterator[str]:
    n, waves = len(joint.signals), 2 * len(joint.frequencies)
    for name in joint.signals:
        if name not in signals or not signals[name].edges:
            yield f"joint has {name}, of which there are no edges"
    lengths = {
        "correlations": (len(joint.correlations), n * (n - 1) // 2),
        "variances": (len(joint.variances), n * (n - 1) // 2),
        "means": (len(joint.means), n),
        "deviations": (len(joint.deviations), n),
        **{f"components[{i}]": (len(row), n) for i, row in enumerate(joint.components)},
        **{f"frequencies[{i}]": (len(row), n) for i, row in enumerate(joint.frequencies)},
        "waves": (len(joint.waves), waves),
        "covariance": (len(joint.covariance), waves * (waves + 1) // 2),
    }
    for what, (found, expected) in lengths.items():
        if found != expected:
            yield f"joint.{what} has {found} values, expected {expected}"
    if joint.days is not None and joint.days.n < 2:
        yield "joint.days are fewer than two"


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
