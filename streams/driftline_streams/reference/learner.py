"""Learns what normal looks like from the first events of a model version that nobody gave a reference.

In the walk: beside it. `judgement.py` has it done by the one worker that reads the first partition of predictions,
and publishes what it learned on the `models` topic. What a person gave, took back or pinned is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.query import Query
from driftline_streams.kernel.rhythm import HOUR_MS
from driftline_streams.reference import stored

# The sums by hour of the versions that are not settled: of few events, or of a few weeks.
HOURS = """
SELECT model, version, toUnixTimestamp(toStartOfHour(window)) * 1000 AS hour_ms, sum(n) AS events
FROM windows
WHERE dim = '' AND model NOT IN {models:Array(String)}
    AND (model, version) NOT IN {versions:Array(Tuple(String, String))}
GROUP BY model, version, hour_ms
ORDER BY model, version, hour_ms
"""

# What a person took back stands there as an empty record, also when the topic has forgotten it.
TAKEN_BACK = """
SELECT count() AS n FROM (
    SELECT argMax(record, offset) AS record FROM models
    WHERE model = {model:String} AND version = {version:String} AND kind = 'reference'
    GROUP BY model, version
) WHERE record = ''
"""

# An event whose clock was wrong by years must not be the first one: so much of the events is left out at the beginning.
_STRAYS = 0.001


@dataclass(frozen=True, slots=True)
class Span:
    """From `start_ms` (inclusive) to `end_ms` (exclusive), full hours."""

    start_ms: int
    end_ms: int


class Learner:
    """The references that can be learned by now, one at a time."""

    def __init__(self, catalog: Catalog, query: Query) -> None:
        self._catalog = catalog
        self._query = query
        self._refused: set[tuple[str, str]] = set()  # what a person took back, until a reference is given

    async def __call__(self) -> Reference | None:
        """A reference to publish, `None` when there is nothing to learn; raises what the query raises.

        A version is learned when `learn_events` and `learn_days` have come, from those and no later ones, and again
        when `rhythm_days` have.
        """
        for (model, version), hours in (await self._hours()).items():
            spec = self._catalog.spec(model)
            span = self._due(spec, version, hours)
            if span is None:
                continue
            (taken_back,) = await self._query(TAKEN_BACK, {"model": model, "version": version})
            if int(taken_back["n"]):
                self._refused.add((model, version))
                continue
            sample = await stored.sample(self._query, spec, version, span.start_ms, span.end_ms)
            if not len(sample):
                continue  # the sums outlive the rows where those are deleted sooner
            learned = await asyncio.to_thread(
                sample.reference,
                version,
                source="learned",
                description=f"learned from {len(sample):,} of its first events",
                start_ms=span.start_ms,
                end_ms=span.end_ms - 1,
            )
            if self._may_learn(spec, version):  # nobody gave one in the meantime
                return learned
        return None

    async def _hours(self) -> dict[tuple[str, str], dict[int, int]]:
        """Events by hour of the versions that may be learned now or later."""
        specs = self._catalog.specs()
        never = [spec.model for spec in specs if not spec.reference.learn_events or self._is_pinned(spec)]
        settled = [
            (each.model, each.version)
            for each in self._catalog.references()
            if not self._may_learn(self._catalog.spec(each.model), each.version)
        ]
        # A list of nothing has no type.
        rows = await self._query(HOURS, {"models": ["", *never], "versions": [("", ""), *settled, *self._refused]})
        found: dict[tuple[str, str], dict[int, int]] = {}
        for row in rows:
            found.setdefault((row["model"], row["version"]), {})[int(row["hour_ms"])] = int(row["events"])
        return found

    def _is_pinned(self, spec: ModelSpec) -> bool:
        """Whether all versions have the reference of one that has nothing to learn."""
        pinned = spec.reference.version
        return pinned is not None and not self._may_learn(spec, pinned)

    def _may_learn(self, spec: ModelSpec, version: str) -> bool:
        """Whether a version has nothing better than what can still be learned."""
        rules = spec.reference
        if not rules.learn_events or (rules.version is not None and rules.version != version):
            return False
        known = self._catalog.reference(spec.model, version)
        if known is None:
            return True
        return known.source == "learned" and known.end_ms - known.start_ms + 1 < rules.rhythm_days * DAY_MS

    def _due(self, spec: ModelSpec, version: str, hours: Mapping[int, int]) -> Span | None:
        """The hours to learn from, when they have all come; those with a rhythm rather than fewer."""
        if not self._may_learn(spec, version):
            return None
        rules = spec.reference
        days = [max(rules.learn_days, rules.rhythm_days)] if rules.rhythm_days else []
        if self._catalog.reference(spec.model, version) is None:
            days.append(rules.learn_days)
        spans = (span(hours, rules.learn_events, int(each * DAY_MS)) for each in days)
        return next((found for found in spans if found is not None), None)


def span(hours: Mapping[int, int], events: int, length_ms: int) -> Span | None:
    """The first hours, by their start, that hold so many events and are so long; `None` until they have passed.

    The events of an hour count when a later hour has some: until then more of them may come.

    >>> span({0: 5, HOUR_MS: 5, 2 * HOUR_MS: 1}, 10, HOUR_MS)
    Span(start_ms=0, end_ms=7200000)
    """
    total, end_ms = 0, 0
    start_ms: int | None = None
    for hour_ms in sorted(hours):
        if start_ms is not None and total >= events and hour_ms - start_ms >= length_ms:
            return Span(start_ms, max(end_ms, start_ms + length_ms))
        total += hours[hour_ms]
        if start_ms is None and total >= max(1, _STRAYS * events):
            start_ms = hour_ms
        end_ms = hour_ms + HOUR_MS
    return None
