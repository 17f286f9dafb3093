"""Is the data of a window what a model can work with: schema, types, ranges, constants, duplicates.

In the walk: `test_windows` asks for every closed test window, of all events and of each segment. Other than drift,
these are facts about values and not about distributions, so that each has a limit of its own (`quality` in the spec)
and no p-value; where chance could do it (a rare feature that did not come), the chance is computed and must be under
`CHANCE`. Missing values that became more frequent, and unseen categories, are tests of `drift`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, Profile, Reference, Slice
from driftline_streams.kernel import extremes, findings, histogram, rhythm, words
from driftline_streams.kernel.limits import BIN_SEPARATOR, OTHER_CATEGORY
from driftline_streams.kernel.rates import wilson
from driftline_streams.windows.cells import WideCell

LEAST_N = 30  # events; smaller windows are not judged
CHANCE = 1e-4
HOUR_MS = 3_600_000
MOST = 10  # findings of one method in one window; the rest is counted in one more
MORE_CATEGORIES = 2.0  # times as many as the reference leads to expect
FEW_CATEGORIES = 10  # more than that is no explosion yet
SKEW_WINDOWS = 3  # the first ones of a version, in which drift is training-serving skew

Method = Literal[
    "vanished",
    "new",
    "type",
    "mistyped",
    "outside",
    "constant",
    "cardinality",
    "duplicate",
    "improper",
    "skew",
]
FEATURE = "feature:"
ALL = "features"  # the signal of findings about all of them
IDS = "prediction_id"
ANSWERS = "prediction"


class Fact(NamedTuple):
    """What a check has found; `share` is of the events or values `n`, with what is wrong in `k` of them."""

    signal: str
    method: Method
    detail: str
    k: int
    n: int
    limit: float = 0.0
    before: float | None = None
    after: float | None = None
    direction: Literal["up", "down", "both"] = "both"


class Seen(NamedTuple):
    """What is judged: a window that has at least `LEAST_N` events."""

    spec: ModelSpec
    reference: Reference | None
    window: WideCell

    @property
    def when(self) -> str:
        return words.when(self.window.start_ms, self.window.start_ms + self.window.width_ms)

    @property
    def trials(self) -> int:
        """How often chance had to do the same: events of one hour share their weather, their batch job, their market.

        (Flights of a day without rain in January: rare as 846 events, common as 24 hours.)
        """
        return max(1, min(self.window.n, self.window.width_ms // HOUR_MS))

    @property
    def where(self) -> str:
        return f" where {self.window.dim} is {self.window.value}" if self.window.dim else ""

    def name(self, signal: str) -> str:
        """What a sentence calls a signal of the window."""
        return words.subject(signal) + self.where

    def present(self, signal: str) -> int:
        """Events that have a value."""
        sums = self.window.moments.get(signal)
        return 0 if sums is None else sums.n

    def issues(self, kind: str) -> dict[str, int]:
        """Counts of one kind by signal, of those that are monitored."""
        start = kind + BIN_SEPARATOR
        named = {key[len(start) :]: count for key, count in self.window.issues.items() if key.startswith(start)}
        return {signal: count for signal, count in named.items() if count and self.monitors(signal)}

    def monitors(self, signal: str) -> bool:
        described = self.spec.features.get(signal.removeprefix(FEATURE)) if signal.startswith(FEATURE) else None
        return described is None or described.monitor

    def bins(self, signal: str) -> dict[str, int]:
        """Bins that can be compared with the reference's; empty without any."""
        comparable = self.reference is not None and self.window.reference == self.reference.id
        return self.window.bins.get(signal, {}) if comparable else {}

    def declared(self) -> list[str]:
        """The features that every event should have: those of the spec, else those of the reference."""
        if self.spec.features:
            return [FEATURE + name for name, feature in self.spec.features.items() if feature.monitor]
        return [] if self.reference is None else [name for name in self.reference.signals if name.startswith(FEATURE)]

    def slice(self) -> Slice | None:
        """The window's segment of the reference."""
        segments = {} if self.reference is None else self.reference.segments
        return segments.get(self.window.dim, {}).get(self.window.value)


def check(spec: ModelSpec, version: str, reference: Reference | None, window: WideCell) -> list[Detection]:
    """The findings of one test window; at most `MOST` of a method, and one that counts the rest.

    A segment is checked for vanished features and for values that are wrong in themselves. Nothing is said of a window
    with fewer than 30 events.
    """
    if window.n < LEAST_N:
        return []
    seen = Seen(spec, reference, window)
    checks: Sequence[Callable[[Seen], Iterable[Fact]]] = (_vanished, _mistyped, _outside, _answers)
    if not window.dim:
        checks = (*checks, _new, _retyped, _beyond, _constant, _cardinality)
    facts = [fact for each in checks for fact in each(seen)]
    made_with = "" if reference is None else reference.id
    return [_finding(spec, version, made_with, window, fact) for fact in _bounded(spec, facts)]


def skew(
    spec: ModelSpec, version: str, reference: Reference, window: WideCell, drifted: Sequence[Detection], *, tested: int
) -> list[Detection]:
    """The finding that a version was served data unlike its training data from the beginning, or nothing.

    `drifted` are the findings of drift in the window, of which `tested` came before with enough events to tell. Only a
    reference that was given is training data.
    """
    signals = sorted({found.signal for found in drifted if not found.dim})
    if reference.source != "given" or tested >= SKEW_WINDOWS or not signals or window.dim:
        return []
    named = ", ".join(words.subject(signal) for signal in signals[:5]) + (" and others" if len(signals) > 5 else "")
    detail = (
        f"{len(signals):,} of {len(reference.signals):,} signals differed from the training data "
        f"{words.when(window.start_ms, window.start_ms + window.width_ms)}, which is among the first that version "
        f"{version} was tested on: {named}. Training and serving may compute them differently."
    )
    fact = Fact(ALL, "skew", detail, len(signals), max(len(signals), len(reference.signals)))
    return [_finding(spec, version, reference.id, window, fact)]


def _vanished(seen: Seen) -> Iterator[Fact]:
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
            had, of = _values(profile), seen.reference.n if seen.reference else 0
        usual = min(1.0, had / of) if of else 0.0
        if not had or (usual < 1 and seen.trials * math.log1p(-usual) > math.log(CHANCE)):
            continue
        detail = (
            f"{seen.name(signal)} had no value in any of {n:,} events {seen.when}; in the reference "
            f"{words.share(usual)} of them have one."
        )
        yield Fact(signal, "vanished", detail, n, n, before=usual, after=0.0, direction="down")


def _new(seen: Seen) -> Iterator[Fact]:
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


def _mistyped(seen: Seen) -> Iterator[Fact]:
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


def _retyped(seen: Seen) -> Iterator[Fact]:
    """Numbers where the reference has names: they are read as names, so nothing counts them as mistyped."""
    for signal, profile in _monitored(seen):
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


def _outside(seen: Seen) -> Iterator[Fact]:
    limit = seen.spec.quality.outside
    for signal, k in seen.issues("outside").items():
        feature = seen.spec.features.get(signal.removeprefix(FEATURE))
        n = max(k, seen.present(signal))
        if feature is None or (feature.min is None and feature.max is None) or wilson(k, n)[0] <= limit:
            continue
        sums = seen.window.moments.get(signal)
        worst = None
        if sums is not None and sums.n and not seen.window.dim:  # segments have no extremes
            over = feature.max is not None and sums.max > feature.max
            worst = sums.max if over else sums.min
        allowed = " to ".join("any" if end is None else words.number(end) for end in (feature.min, feature.max))
        detail = (
            f"{seen.name(signal)} was outside of its range ({allowed}) in {k:,} of {n:,} values "
            f"({words.share(k / n)}) {seen.when}{'' if worst is None else f', at worst {words.number(worst)}'}."
        )
        yield Fact(signal, "outside", detail, k, n, limit, after=worst)


def _beyond(seen: Seen) -> Iterator[Fact]:
    """Extremes far beyond the reference's, for signals without a given range."""
    for signal, profile in _monitored(seen):
        feature = seen.spec.features.get(signal.removeprefix(FEATURE))
        sums = seen.window.moments.get(signal)
        given = feature is not None and (feature.min is not None or feature.max is not None)
        if profile.type != "numeric" or given or sums is None or not sums.n:
            continue
        low, high = extremes.limits(profile, sums.n)
        end: Literal["up", "down"]
        for end, found, limit, usual, worst in (
            ("down", sums.min < low, low, profile.moments.min, sums.min),
            ("up", sums.max > high, high, profile.moments.max, sums.max),
        ):
            if found:
                size = "large" if end == "up" else "small"
                detail = (
                    f"{seen.name(signal)} was as {size} as {words.number(worst)} {seen.when}; the reference goes "
                    f"to {words.number(usual)}, and its tail makes {words.number(limit)} the limit."
                )
                yield Fact(signal, "outside", detail, 1, sums.n, limit, usual, worst, end)


def _constant(seen: Seen) -> Iterator[Fact]:
    for signal, profile in _monitored(seen):
        n = seen.present(signal)
        if n < seen.spec.drift.min_n:
            continue
        sums, counts = seen.window.moments[signal], seen.bins(signal)
        if profile.type == "numeric":
            stuck = sums.min == sums.max and profile.moments.min < profile.moments.max
            value, after = words.number(sums.min), sums.min
            place = int(histogram.bin_index([sums.min], profile.edges)[0]) if stuck and profile.edges else 0
            usual = profile.counts
        else:
            names = list(profile.categories)
            stuck = len(counts) == 1 and OTHER_CATEGORY not in counts and len(names) > 1
            value, after = next(iter(counts), ""), None
            place = names.index(value) if value in profile.categories else len(names)
            usual = [*profile.categories.values(), 0]
        if not stuck or not sum(usual):
            continue
        share = usual[place] / sum(usual)
        timely = None
        if seen.reference is not None:
            timely = rhythm.expected(seen.reference, signal, seen.window.start_ms, seen.window.width_ms)
        if timely is not None and place < len(timely.counts):
            share = float(timely.counts[place])
        if share > 0 and seen.trials * math.log(share) > math.log(CHANCE):
            continue
        detail = (
            f"{seen.name(signal)} was always {value} in {n:,} values {seen.when}; in the reference it varies, and "
            f"{words.share(share)} of its values are like that."
        )
        yield Fact(signal, "constant", detail, n, n, before=None, after=after)


def _cardinality(seen: Seen) -> Iterator[Fact]:
    for signal, profile in _monitored(seen):
        counts, n = seen.bins(signal), seen.present(signal)
        if profile.type != "categorical" or n < seen.spec.drift.min_n or OTHER_CATEGORY in profile.categories:
            continue
        total, once = _values(profile), sum(1 for count in profile.categories.values() if count == 1)
        # Good and Toulmin (1956): at most so many new ones are due in n more values, from those that came once.
        due = len(profile.categories) + (n * once / total if total else 0)
        most = max(MORE_CATEGORIES * due, len(profile.categories) + FEW_CATEGORIES)
        if len(counts) <= most:
            continue
        folded = counts.get(OTHER_CATEGORY, 0)
        detail = (
            f"{seen.name(signal)} had {'at least ' if folded else ''}{len(counts):,} different values "
            f"{seen.when}; the reference has {len(profile.categories):,}, and {due:,.0f} of them were due."
        )
        yield Fact(signal, "cardinality", detail, len(counts), max(n, len(counts)), most, due, float(len(counts)), "up")


def _answers(seen: Seen) -> Iterator[Fact]:
    rules, n = seen.spec.quality, seen.window.n
    duplicates, improper = (seen.window.issues.get(kind, 0) for kind in ("duplicate", "improper"))
    if duplicates and wilson(min(duplicates, n), n)[0] > rules.duplicates:
        detail = (
            f"{duplicates:,} of {n:,} events{seen.where} ({words.share(duplicates / n)}) {seen.when} had the id of "
            "another one that was read with them."
        )
        yield Fact(IDS, "duplicate", detail, duplicates, n, rules.duplicates, 0.0, duplicates / n, "up")
    if improper and wilson(min(improper, n), n)[0] > rules.improper:
        detail = (
            f"{improper:,} of {n:,} answers{seen.where} ({words.share(improper / n)}) {seen.when} cannot be: their "
            f"probabilities do not sum to 1."
        )
        yield Fact(ANSWERS, "improper", detail, improper, n, rules.improper, 0.0, improper / n, "up")


def _monitored(seen: Seen) -> Iterator[tuple[str, Profile]]:
    """Signals of the reference that are monitored and came."""
    signals = {} if seen.reference is None else seen.reference.signals
    for signal, profile in signals.items():
        if seen.monitors(signal) and seen.present(signal):
            yield signal, profile


def _values(profile: Profile) -> int:
    return profile.moments.n if profile.type == "numeric" else sum(profile.categories.values())


def _reads_as_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def _bounded(spec: ModelSpec, facts: Iterable[Fact]) -> Iterator[Fact]:
    """At most `MOST` of each method, the important and large ones, and how many more there were."""

    def weight(fact: Fact) -> tuple[str, float, float, str]:
        feature = spec.features.get(fact.signal.removeprefix(FEATURE))
        return fact.method, -((feature and feature.importance) or 0.0), -fact.k / max(1, fact.n), fact.signal

    for method, group in groupby(sorted(facts, key=weight), key=lambda fact: fact.method):
        listed = list(group)
        yield from listed[:MOST]
        if rest := listed[MOST:]:
            named = ", ".join(words.subject(fact.signal) for fact in rest[:3])
            detail = f"{len(rest):,} more signals have the same: {named}{' and others' if len(rest) > 3 else ''}."
            yield Fact(ALL, method, detail, len(rest), len(listed))


def _finding(spec: ModelSpec, version: str, reference: str, window: WideCell, fact: Fact) -> Detection:
    k, share = min(fact.k, fact.n), min(fact.k, fact.n) / fact.n
    low, high = wilson(k, fact.n)
    return Detection(
        id=findings.id_of(
            *(spec.model, version, fact.signal, fact.method, fact.direction, "quality", window.start_ms),
            *(window.width_ms, window.dim, window.value),
        ),
        model=spec.model,
        version=version,
        signal=fact.signal,
        kind="quality",
        method=fact.method,
        start_ms=window.start_ms,
        end_ms=window.start_ms + window.width_ms,
        direction=fact.direction,
        statistic=share,
        threshold=fact.limit,
        effect=share,
        p_value=None,
        before=fact.before,
        after=fact.after,
        n=fact.n,
        reference=reference,
        detail=fact.detail,
        dim=window.dim,
        value=window.value,
        low=low,
        high=high,
    )
