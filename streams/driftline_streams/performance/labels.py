"""The watch over the truth itself: whether what turns out to be true is distributed as it used to be.

In the walk: beside it, as `watch`. A day of predictions is judged when nearly all its labels have come or none will any
more, so that early labels are not taken for all. Days with few labels are judged together. A window that stands in
`drift` was judged; labels that come or are corrected after that do not change the judgement.

What is usual are the labels of the reference, else the first ones of the version: a thousand, and a week.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from typing import Any

from driftline_schemas.records import Moments
from driftline_schemas.spec import Reference
from driftline_streams.kernel import judged
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Named
from driftline_streams.kernel.findings import Window
from driftline_streams.kernel.query import Query
from driftline_streams.performance.label_drift import DAY_S, SIGNAL, Labels, compare, effects

# Of a version without labels in its reference: a rate of a tenth is known to two hundredths, and each weekday is seen.
LEARNT_LABELS = 1_000
LEARNT_S = 7 * DAY_S
COMPLETE = 0.95  # of the answers of a day

MODELS = "SELECT DISTINCT model FROM outcomes"

# A number of a regression is no class, and there are as many as labels.
DAYS = """
SELECT
    version, toUnixTimestamp(toDateTime(day, 'UTC')) AS start_s, classes, n, total, squares, least, most,
    c.predictions AS answered, newest_s
FROM
(
    SELECT
        version, toDate(timestamp) AS day,
        sumMapIf(map(label, toUInt64(1)), label_value IS NULL) AS classes,
        countIf(label_value IS NOT NULL) AS n,
        sum(ifNull(label_value, 0)) AS total, sum(pow(ifNull(label_value, 0), 2)) AS squares,
        ifNull(min(label_value), 0) AS least, ifNull(max(label_value), 0) AS most
    FROM outcomes FINAL
    WHERE model = {model:String}
    GROUP BY version, day
) AS joined
INNER JOIN (SELECT version, day, predictions FROM label_coverage WHERE model = {model:String}) AS c USING (version, day)
CROSS JOIN (
    SELECT max(toUnixTimestamp(window)) AS newest_s FROM windows WHERE model = {model:String} AND dim = ''
) AS clock
ORDER BY version, start_s
SETTINGS do_not_merge_across_partitions_select_final = 1
"""


class LabelWatch:
    """The watch over the labels of all models."""

    def __init__(self, catalog: Catalog, prefix: str, query: Query) -> None:
        self._catalog = catalog
        self._prefix = prefix
        self._query = query

    async def __call__(self, now_ms: int) -> AsyncIterator[Named]:
        """The windows that can be judged and were not, oldest first, one at a time; raises what the query raises."""
        for row in await self._query(MODELS, {}):
            spec = self._catalog.spec(row["model"])
            days = await self._query(DAYS, {"model": spec.model})
            known = await judged.days(self._query, spec.model, SIGNAL)
            for version in dict.fromkeys(each["version"] for each in days):
                mine = _settled([each for each in days if each["version"] == version], spec.label_horizon_s)
                reference = self._catalog.reference(spec.model, version)
                given = _given(reference)
                left = {day.start_s for day in mine if (version, day.start_s) not in known}
                for usual, window in _windows(mine, given, spec.drift.min_n, left):
                    against = reference.id if reference and given else ""
                    span = Window(spec.model, version, against, window.start_s * 1000, window.end_s * 1000)
                    name = f"labels:{spec.model}:{version}:{window.start_s}-{window.end_s}"
                    yield Named(name, effects(span, compare(usual, window, spec.drift), self._prefix, now_ms))


def _settled(days: Sequence[Mapping[str, Any]], horizon_s: int) -> list[Labels]:
    """The days whose labels have come, up to the first for which some are still to come."""
    out: list[Labels] = []
    for day in days:
        start_s, classes = int(day["start_s"]), Counter({name: int(n) for name, n in day["classes"].items()})
        numbers = Moments(int(day["n"]), 0, day["total"], day["squares"], day["least"], day["most"])
        labels = Labels(start_s, start_s + DAY_S, classes, numbers)
        over = labels.end_s <= day["newest_s"]
        if not over or (labels.n < COMPLETE * day["answered"] and labels.end_s + horizon_s > day["newest_s"]):
            break
        out.append(labels)
    return out


def _given(reference: Reference | None) -> Labels | None:
    """The labels of a reference; `None` when it has none."""
    profile = None if reference is None else reference.signals.get(SIGNAL)
    if reference is None or profile is None:
        return None
    start_s, end_s = reference.start_ms // 1000, reference.end_ms // 1000 + 1
    labels = Labels(start_s, end_s, Counter(profile.categories), profile.moments)
    return labels if labels.n else None


def _windows(
    days: Sequence[Labels], usual: Labels | None, least: int, left: Collection[int]
) -> Iterator[tuple[Labels, Labels]]:
    """What is usual, and each window of at least `least` labels of days in a row that are `left` to be judged."""
    window: Labels | None = None
    learnt = usual is not None
    for day in days:
        if not learnt:
            usual = day if usual is None else usual.merge(day)
            learnt = usual.n >= LEARNT_LABELS and usual.end_s - usual.start_s >= LEARNT_S
            continue
        if day.start_s not in left:
            window = None
            continue
        window = day if window is None else window.merge(day)
        if usual is not None and window.n >= least:
            yield usual, window
            window = None
