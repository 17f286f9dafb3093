"""Whether the values that came make sense: ranges, constants, categories, ids, probabilities.

In the walk: `quality` runs these checks on every closed test window.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from driftline_streams.detectors.quality.facts import ANSWERS, CHANCE, IDS, Fact, Seen, count
from driftline_streams.kernel import extremes, histogram, rhythm, words
from driftline_streams.kernel.limits import OTHER_CATEGORY
from driftline_streams.kernel.rates import wilson
from driftline_streams.kernel.signals import FEATURE

MORE_CATEGORIES = 2.0  # times as many as the reference leads to expect
FEW_CATEGORIES = 10  # more than that is no explosion yet


def outside(seen: Seen) -> Iterator[Fact]:
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


def beyond(seen: Seen) -> Iterator[Fact]:
    """Extremes far beyond the reference's, for signals without a given range."""
    for signal, profile in seen.compared():
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


def constant(seen: Seen) -> Iterator[Fact]:
    for signal, profile in seen.compared():
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


def cardinality(seen: Seen) -> Iterator[Fact]:
    for signal, profile in seen.compared():
        counts, n = seen.bins(signal), seen.present(signal)
        if profile.type != "categorical" or n < seen.spec.drift.min_n or OTHER_CATEGORY in profile.categories:
            continue
        total, once = count(profile), sum(1 for count in profile.categories.values() if count == 1)
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


def answers(seen: Seen) -> Iterator[Fact]:
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
