"""The watch over how features go together: draws a sample of each day that is over from ClickHouse and tests it.

In the walk: beside it. `judgement.py` has it done by the one worker that reads the first partition of predictions. A
day that stands in `drift` was judged; events that come after that do not change the judgement.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import numpy as np

from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.joint import finding
from driftline_streams.kernel import budget, joint, judged
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.each import of_each
from driftline_streams.kernel.effects import Named
from driftline_streams.kernel.findings import Window
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.query import Query
from driftline_streams.kernel.signals import FEATURE

DAY_S = DAY_MS // 1000
SAMPLE_ROWS = 5_000  # a correlation is known to 0.03, and a shift to 0.03 deviations: less than what matters
GRACE_S = 3_600  # of event time after a day, in which late events may come

DAYS = """
SELECT version, toUnixTimestamp(toStartOfDay(window)) AS day_s, max(toUnixTimestamp(window)) AS last_s
FROM windows
WHERE model = {model:String} AND dim = '' AND window >= toDateTime({from_s:UInt32}, 'UTC')
GROUP BY version, day_s
ORDER BY day_s, version
"""

# In the order of the hash of their places in Kafka: asked again, the sample is the same. Of 2 million events it takes
# 0.3 s of ClickHouse's CPU, and no less when most of them are refused by their hash first.
SAMPLE = """
SELECT arrayMap(name -> if(mapContains(nums, name), nums[name], nan), {names:Array(String)}) AS vector
FROM predictions
WHERE model = {model:String} AND version = {version:String}
    AND timestamp >= toDateTime({start_s:UInt32}, 'UTC') AND timestamp < toDateTime({end_s:UInt32}, 'UTC')
ORDER BY cityHash64(partition, offset, position), topic, partition, offset, position
LIMIT {rows:UInt32}
"""


class Day(NamedTuple):
    """A day (UTC) of one version."""

    version: str
    start_s: int


class Watch:
    """The watch over the models whose references know how features go together."""

    def __init__(self, catalog: Catalog, prefix: str, query: Query) -> None:
        self._catalog = catalog
        self._prefix = prefix
        self._query = query
        self._from_s: dict[str, int] = {}  # by model: no day before it is to be judged
        self._generation = catalog.generation  # of the catalog that this is true of

    async def __call__(self, now_ms: int) -> AsyncIterator[Named]:
        """The days that have been over for `GRACE_S` and were not judged yet, oldest first, one at a time.

        Raises what `of_each` raises; what was not carried out comes again in the next round.
        """
        if self._generation != self._catalog.generation:
            self._from_s, self._generation = {}, self._catalog.generation
        models = sorted({each.model for each in self._catalog.references() if each.joint is not None})
        async for found in of_each(models, lambda model: self._model(self._catalog.spec(model), now_ms)):
            yield found

    async def _model(self, spec: ModelSpec, now_ms: int) -> AsyncIterator[Named]:
        for day in await self._due(spec.model):
            reference = self._reference(spec.model, day)
            if reference is not None:
                yield await self._judge(spec, reference, day, now_ms)

    async def _due(self, model: str) -> list[Day]:
        from_s = self._from_s.get(model, 0)
        found = await self._query(DAYS, {"model": model, "from_s": from_s})
        known = await judged.days(self._query, model, finding.SIGNAL, from_s) if found else set()
        days = [Day(row["version"], int(row["day_s"])) for row in found]
        newest_s: dict[str, int] = {}
        for row in found:
            newest_s[row["version"]] = max(newest_s.get(row["version"], 0), int(row["last_s"]))
        over = [day for day in days if day.start_s + DAY_S + GRACE_S <= newest_s[day.version]]
        due = [day for day in over if day not in known]
        if len(over) < len(days) and not any(self._reference(model, day) for day in due):
            self._from_s[model] = min(day.start_s for day in days if day not in over)
        return due

    def _reference(self, model: str, day: Day) -> Reference | None:
        """What a day is compared with; never with its own events, unless a person wants it so."""
        found = self._catalog.reference(model, day.version)
        if found is None or found.joint is None:
            return None
        own = found.source != "given" and day.start_s * 1000 <= found.end_ms
        return None if own else found

    async def _judge(self, spec: ModelSpec, reference: Reference, day: Day, now_ms: int) -> Named:
        signals = reference.joint.signals if reference.joint is not None else []
        drawn = await self._query(
            SAMPLE,
            {
                "model": spec.model,
                "version": day.version,
                "start_s": day.start_s,
                "end_s": day.start_s + DAY_S,
                "names": [signal.removeprefix(FEATURE) for signal in signals],
                "rows": SAMPLE_ROWS,
            },
        )
        values = np.array([row["vector"] for row in drawn], np.float64).reshape(len(drawn), len(signals))
        alpha = budget.alpha(spec.drift, budget.JOINT, 1)
        results = await asyncio.to_thread(joint.compare, reference, values, spec.drift, alpha)
        start_ms = day.start_s * 1000
        window = Window(spec.model, day.version, reference.id, start_ms, start_ms + DAY_MS)
        name = f"joint:{spec.model}:{day.version}:{day.start_s}"
        return Named(name, finding.effects(window, results, self._prefix, now_ms))
