"""Which features came, and of which type: checks of a closed test window against spec and reference.

In the walk: `quality` runs them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from driftline_streams.detectors.quality.facts import CHANCE, LEAST_N, Fact, Method, Seen, count
from driftline_streams.kernel import words
from driftline_streams.kernel.rates import wilson
from driftline_streams.kernel.signals import FEATURE


def vanished(seen: Seen) -> Iterator[Fact]:
    n, part = seen.window.n, seen.slice()
    for signal in seen.declared():
        if seen.present(signal):
            continue
        profile = None if seen.reference is None else seen.reference.signals.get(signal)
        if profile is None:
            if not seen.window.dim:
                name = seen.name(signal)
                yield Fact(
                    signal, "vanished", f"{name} is in the spec, but none of {n:,} events had it {seen.when}.", n, n
                )
            continue
        if seen.window.dim:
            had = 0 if part is None or signal not in part.moments else part.moments[signal].n
            of = 0 if part is None else part.n
        else:
            had, of = count(profile), seen.reference.n if seen.reference else 0
        usual = min(1.0, had / of) if of else 0.0
        if not had or (usual < 1 and seen.trials * math.log1p(-usual) > math.log(CHANCE)):
            continue
        detail = (
            f"{seen.name(signal)} had no value in any of {n:,} events {seen.when}; in the reference "
            f"{words.share(usual)} of them have one."
        )
        yield Fact(signal, "vanished", detail, n, n, before=usual, after=0.0, direction="down")


def new(seen: Seen) -> Iterator[Fact]:
    reference, n = seen.reference, seen.window.n
    if reference is None or not any(name.startswith(FEATURE) for name in reference.signals):
        return
    for signal, sums in seen.window.moments.items():
        name = signal.removeprefix(FEATURE)
        if signal == name or signal in reference.signals or name in seen.spec.features or not sums.n + sums.nulls:
            continue
        k = min(n, sums.n + sums.nulls)
        detail = f"{seen.name(signal)} is not in the reference; {k:,} of {n:,} events had it {seen.when}."
        yield Fact(signal, "new", detail, k, n, before=0.0, after=k / n, direction="up")


def mistyped(seen: Seen) -> Iterator[Fact]:
    limit = seen.spec.quality.mistyped
    for signal, k in seen.issues("mistyped").items():
        n = k + seen.present(signal)
        low, _ = wilson(k, n)
        if low <= limit or n < LEAST_N:
            continue
        method: Method = "type" if 2 * k > n else "mistyped"
        detail = (
            f"{seen.name(signal)} should be {_type(seen, signal)}, but {k:,} of {n:,} values "
            f"({words.share(k / n)}) were of another type {seen.when}; they count as missing."
        )
        yield Fact(signal, method, detail, k, n, limit, before=0.0, after=k / n, direction="up")


def _type(seen: Seen, signal: str) -> str:
    feature = seen.spec.features.get(signal.removeprefix(FEATURE))
    if feature is not None and feature.type is not None:
        return feature.type
    profile = None if seen.reference is None else seen.reference.signals.get(signal)
    return "of the type of the reference" if profile is None else profile.type


def retyped(seen: Seen) -> Iterator[Fact]:
    """Numbers where the reference has names: they are read as names, so nothing counts them as mistyped."""
    for signal, profile in seen.compared():
        counts = seen.bins(signal)
        if profile.type != "categorical" or not counts or any(map(_reads_as_number, profile.categories)):
            continue
        n = sum(counts.values())
        k = sum(count for name, count in counts.items() if _reads_as_number(name))
        if n >= LEAST_N and 2 * k > n:
            detail = (
                f"{seen.name(signal)} has names in the reference, but {k:,} of {n:,} values were numbers {seen.when}."
            )
            yield Fact(signal, "type", detail, k, n, 0.5, before=0.0, after=k / n, direction="up")


def _reads_as_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False
