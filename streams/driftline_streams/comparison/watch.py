"""The watch over comparisons: has challengers, segments and groups of a model judged when there may be something new.

In the walk: beside it. `judgement.py` has it done by the one worker that reads the first partition of predictions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from driftline_streams.comparison.challengers import Challengers
from driftline_streams.comparison.fairness import Groups
from driftline_streams.comparison.segments import Segments
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.each import of_each
from driftline_streams.kernel.effects import Named
from driftline_streams.kernel.query import Query

# What settles days: labels, the time of the model and, where nothing comes any more, that of the clock. By the hour:
# horizons may be short, and who is judged an hour late has waited for days. Rows are counted as well, for those of one
# computation become visible one month after the other, and pairs after sums.
STATES = """
SELECT model, at, rows, paired_at, pairs, hour, toStartOfHour(now()) AS clock
FROM (SELECT model, max(computed_at) AS at, count() AS rows FROM performance GROUP BY model) AS sums
LEFT JOIN (SELECT model, max(computed_at) AS paired_at, count() AS pairs FROM comparisons GROUP BY model) AS paired
    USING (model)
LEFT JOIN (SELECT model, toStartOfHour(max(window)) AS hour FROM windows WHERE dim = '' GROUP BY model) AS load
    USING (model)
ORDER BY model
"""


class Watch:
    """The watch over all models with labels; it remembers in which state each had nothing new."""

    def __init__(self, catalog: Catalog, prefix: str, query: Query) -> None:
        self._catalog = catalog
        self._query = query
        self._judges = [judge(prefix, query) for judge in (Challengers, Segments, Groups)]
        self._seen: dict[str, tuple[object, ...]] = {}

    async def __call__(self, now_ms: int) -> AsyncIterator[Named]:
        """What is new of each model, one finding at a time; raises what `of_each` raises.

        What was not carried out comes again in the next round.
        """
        rows = {row["model"]: row for row in await self._query(STATES, {})}

        async def of(model: str) -> AsyncIterator[Named]:
            spec = self._catalog.spec(model)
            state = (spec, *rows[model].values())
            if self._seen.get(model) == state:
                return
            told = False
            for judge in self._judges:
                async for found in judge(spec, now_ms):
                    told = True
                    yield found
            if not told:  # else when it is known: until then nobody has promised that it was published
                self._seen[model] = state

        async for found in of_each(rows, of):
            yield found
