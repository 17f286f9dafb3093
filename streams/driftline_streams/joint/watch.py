"""The watch over how features go together: draws a sample of each day that is over from ClickHouse and tests it.

In the walk: beside it. `app.py` runs it on a timer, on the one worker that reads the first partition of predictions. A
window that stands in `drift` was judged; events that come after that do not change the judgement.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.joint import finding
from driftline_streams.kernel import budget, joint
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Named
from driftline_streams.kernel.limits import DAY_MS

DAY_S = DAY_MS // 1000
SAMPLE_ROWS = 5_000  # a correlation is known to 0.03, and a shift to 0.03 deviations: less than what matters
GRACE_MS = 3_600_000  # of event time after a window, in which late events may come

WINDOWS = """
SELECT
    version, intDiv(toUnixTimestamp(window), {width_s:UInt32}) * {width_s:UInt32} AS start_s,
    max(toUnixTimestamp(window)) AS last_s, sum(n) AS events
FROM windows
WHERE model = {model:String} AND dim = '' AND window >= toDateTime({from_s:UInt32}, 'UTC')
GROUP BY version, start_s
ORDER BY start_s, version
"""

JUDGED = """
SELECT DISTINCT version, toUnixTimestamp(window) AS start_s
FROM drift
WHERE model = {model:String} AND signal = {signal:String} AND width_s = {width_s:UInt32}
    AND window >= toDateTime({from_s:UInt32}, 'UTC')
"""

# An event is in the sample or not by the hash of its place in Kafka: asked again, the sample is the same.
SAMPLE = """
SELECT arrayMap(name -> if(mapContains(nums, name), nums[name], nan), {names:Array(String)}) AS vector
FROM predictions
WHERE model = {model:String} AND version = {version:String}
    AND timestamp >= toDateTime({start_s:UInt32}, 'UTC') AND timestamp < toDateTime({end_s:UInt32}, 'UTC')
    AND cityHash64(partition, offset, position) % {every:UInt64} = 0
ORDER BY cityHash64(partition, offset, position), topic, partition, offset, position
LIMIT {rows:UInt32}
"""

# SQL and its parameters to rows by column name: `sinks.clickhouse.ClickHouse.query` is one.
Query = Callable[[str, Mapping[str, Any]], Awaitable[list[dict[str, Any]]]]


class Window(NamedTuple):
    """A day, or a longer test window, of one version."""

    version: str
    start_s: int
    events: int


class Watch:
    """The watch over the models whose references know how features go together."""

    def __init__(self, catalog: Catalog, prefix: str, query: Query) -> None:
        self._catalog = catalog
        self._prefix = prefix
        self._query = query
        self._from_s: dict[tuple[str, int], int] = {}  # model and width → nothing before it is to be judged
        self._generation = catalog.generation  # of the catalog that this is true of

    async def __call__(self, now_ms: int) -> AsyncIterator[Named]:
        """The windows that have been closed for `GRACE_MS` and were not judged yet, oldest first, one at a time.

        Each is a day, or the longest test window of the spec when that is longer, aligned to the epoch. Raises what the
        query raises; what was not carried out comes again in the next round.
        """
        if self._generation != self._catalog.generation:
            self._from_s, self._generation = {}, self._catalog.generation
        for model in sorted({each.model for each in self._catalog.references() if each.joint is not None}):
            spec = self._catalog.spec(model)
            width_s = max(DAY_S, *spec.test_windows_s)
            for window in await self._due(model, width_s):
                reference = self._reference(model, window)
                if reference is not None:
                    yield await self._judge(spec, reference, window, width_s, now_ms)

    async def _due(self, model: str, width_s: int) -> list[Window]:
        bounds = {"model": model, "width_s": width_s, "from_s": self._from_s.get((model, width_s), 0)}
        found = await self._query(WINDOWS, bounds)
        known = await self._query(JUDGED, bounds | {"signal": finding.SIGNAL}) if found else []
        judged = {(row["version"], int(row["start_s"])) for row in known}
        newest_s = max((int(row["last_s"]) for row in found), default=0)
        closed_s = newest_s - GRACE_MS // 1000 - width_s  # by the start of a window
        windows = [Window(row["version"], int(row["start_s"]), int(row["events"])) for row in found]
        due = [each for each in windows if each.start_s <= closed_s and each[:2] not in judged]
        ahead = [each.start_s for each in windows if each.start_s > closed_s]
        if ahead and not any(self._reference(model, each) for each in due):
            self._from_s[model, width_s] = min(ahead)
        return due

    def _reference(self, model: str, window: Window) -> Reference | None:
        """What a window is compared with; never with its own events, unless a person wants it so."""
        found = self._catalog.reference(model, window.version)
        if found is None or found.joint is None:
            return None
        own = found.source != "given" and window.start_s * 1000 <= found.end_ms
        return None if own else found

    async def _judge(self, spec: ModelSpec, reference: Reference, window: Window, width_s: int, now_ms: int) -> Named:
        signals = reference.joint.signals if reference.joint is not None else []
        drawn = await self._query(
            SAMPLE,
            {
                "model": spec.model,
                "version": window.version,
                "start_s": window.start_s,
                "end_s": window.start_s + width_s,
                "names": [signal.removeprefix("feature:") for signal in signals],
                "every": max(1, window.events // (2 * SAMPLE_ROWS)),  # twice as many as are taken
                "rows": SAMPLE_ROWS,
            },
        )
        values = np.array([row["vector"] for row in drawn], np.float64).reshape(len(drawn), len(signals))
        alpha = budget.alpha(spec.drift, budget.JOINT, width_s / DAY_S)
        results = await asyncio.to_thread(joint.compare, reference, values, spec.drift, alpha)
        judged = finding.Judged(reference, window.version, window.start_s * 1000, width_s * 1000, results)
        name = f"joint:{spec.model}:{window.version}:{width_s}:{window.start_s}"
        return Named(name, finding.effects(judged, self._prefix, now_ms))
