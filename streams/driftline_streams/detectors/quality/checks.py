"""Is the data of a window what a model can work with: schema, types, ranges, constants, duplicates.

In the walk: asked of every closed test window, of all events and of each segment. Other than drift, these are facts
about values and not about distributions, so that each has a limit of its own (`quality` in the spec) and no p-value;
where chance could do it (a rare feature that did not come), the chance is computed and must be under `CHANCE`. Missing
values that became more frequent, and unseen categories, are tests of `drift`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.detectors.quality import schema, soundness
from driftline_streams.detectors.quality.facts import LEAST_N, Fact, Seen
from driftline_streams.kernel import findings, words
from driftline_streams.kernel.rates import wilson
from driftline_streams.kernel.signals import FEATURE
from driftline_streams.windows.cells import WideCell

MOST = 10  # findings of one method in one window; the rest is counted in one more
SKEW_WINDOWS = 3  # the first ones of a version, in which drift is training-serving skew
ALL = "features"  # the signal of findings about all of them

Check = Callable[[Seen], Iterable[Fact]]
OF_ALL: Sequence[Check] = (schema.new, schema.retyped, soundness.beyond, soundness.constant, soundness.cardinality)
OF_ANY: Sequence[Check] = (schema.vanished, schema.mistyped, soundness.outside, soundness.answers)  # segments too


def check(spec: ModelSpec, version: str, reference: Reference | None, window: WideCell) -> list[Detection]:
    """The findings of one test window; at most `MOST` of a method, and one that counts the rest.

    A segment is checked for vanished features and for values that are wrong in themselves. Nothing is said of a window
    with fewer than 30 events.
    """
    if window.n < LEAST_N:
        return []
    seen = Seen(spec, reference, window)
    checks = OF_ANY if window.dim else (*OF_ANY, *OF_ALL)
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
    k = min(fact.k, fact.n)
    end_ms = window.start_ms + window.width_ms
    return findings.quality(
        findings.Window(spec.model, version, reference, window.start_ms, end_ms, window.dim, window.value),
        fact.signal,
        fact.method,
        fact.detail,
        direction=fact.direction,
        statistic=k / fact.n,
        threshold=fact.limit,
        n=fact.n,
        before=fact.before,
        after=fact.after,
        interval=wilson(k, fact.n),
    )
