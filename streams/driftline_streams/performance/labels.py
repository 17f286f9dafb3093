"""The watch over the truth itself: whether what turns out to be true is distributed as it used to be.

In the walk: beside it, as `watch`. A day of predictions is judged when nearly all its labels have come or none will any
more, so that early labels are not taken for all. Days with few labels are judged together. A window that stands in
`drift` was judged; labels that come or are corrected after that do not change the judgement.

What is usual are the labels of the reference, else the first ones of the version: a thousand, and a week.

Outcomes are read from the first day on that is not settled, or that labels have come for since. What was read of the
days before is kept in memory; of those that were judged, only that they are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

from driftline_schemas.records import Moments
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.kernel import judged
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.each import of_each
from driftline_streams.kernel.effects import Named
from driftline_streams.kernel.findings import Window
from driftline_streams.kernel.query import Query
from driftline_streams.performance.cohorts import SLACK_S
from driftline_streams.performance.label_drift import DAY_S, SIGNAL, Labels, compare, effects

# Of a version without labels in its reference: a rate of a tenth is known to two hundredths, and each weekday is seen.
LEARNT_LABELS = 1_000
LEARNT_S = 7 * DAY_S
COMPLETE = 0.95  # of the answers of a day

CHANGED = f"""
SELECT
    model, toUnixTimestamp(toDateTime(min(toDate(timestamp)), 'UTC')) AS first_s,
    toUnixTimestamp(now()) - {SLACK_S:.0f} AS until_s
FROM outcomes
WHERE joined_at >= toDateTime({{since_s:UInt32}}, 'UTC')
GROUP BY model
"""

# Days of which no label has come are among them. A number of a regression is no class, and there are as many as labels.
DAYS = """
SELECT
    version, toUnixTimestamp(toDateTime(day, 'UTC')) AS start_s, classes, n, total, squares, least, most, answered,
    newest_s
FROM
(
    SELECT version, day, predictions AS answered
    FROM label_coverage
    WHERE model = {model:String} AND day >= toDate(toDateTime({from_s:UInt32}, 'UTC'))
) AS load
LEFT JOIN
(
    SELECT
        version, toDate(timestamp) AS day,
        sumMapIf(map(label, toUInt64(1)), label_value IS NULL) AS classes,
        countIf(label_value IS NOT NULL) AS n,
        sum(ifNull(label_value, 0)) AS total, sum(pow(ifNull(label_value, 0), 2)) AS squares,
        ifNull(min(label_value), 0) AS least, ifNull(max(label_value), 0) AS most
    FROM outcomes FINAL
    WHERE model = {model:String} AND toDate(timestamp) >= toDate(toDateTime({from_s:UInt32}, 'UTC'))
    GROUP BY version, day
) AS joined USING (version, day)
CROSS JOIN (
    SELECT least(max(toUnixTimestamp(window)), toUnixTimestamp(now())) AS newest_s  -- a clock may be fast
    FROM windows
    WHERE model = {model:String} AND dim = ''
) AS clock
ORDER BY version, start_s
SETTINGS do_not_merge_across_partitions_select_final = 1
"""


@dataclass(slots=True)
class _Version:
    against: str  # the id of its reference, if that has labels
    days: list[Labels] = field(default_factory=list)  # all that are settled, in order


@dataclass(slots=True)
class _Model:
    from_s: int | None = 0  # the start of the first day that is to be read
    versions: dict[str, _Version] = field(default_factory=dict)

    def open(self, start_s: int) -> None:
        """The days from this one on are to be read."""
        self.from_s = start_s if self.from_s is None else min(self.from_s, start_s)


class LabelWatch:
    """The watch over the labels of all models."""

    def __init__(self, catalog: Catalog, prefix: str, query: Query) -> None:
        self._catalog = catalog
        self._prefix = prefix
        self._query = query
        self._since_s = 0  # of what was joined before, it is known which days are to be read
        self._models: dict[str, _Model] = {}

    async def __call__(self, now_ms: int) -> AsyncIterator[Named]:
        """The windows that can be judged and were not, oldest first, one at a time; raises what `of_each` raises."""
        changed = await self._query(CHANGED, {"since_s": self._since_s})
        for row in changed:
            self._models.setdefault(row["model"], _Model()).open(int(row["first_s"]))
        for row in changed[:1]:
            self._since_s = int(row["until_s"])
        async for found in of_each(sorted(self._models), lambda model: self._judge(self._catalog.spec(model), now_ms)):
            yield found

    async def _judge(self, spec: ModelSpec, now_ms: int) -> AsyncIterator[Named]:
        versions = self._models[spec.model].versions
        if any(self._usual(spec.model, name)[0] != version.against for name, version in versions.items()):
            self._models[spec.model] = _Model()
        model = self._models[spec.model]
        await self._read(spec, model)
        known = await judged.days(self._query, spec.model, SIGNAL)
        for name, version in sorted(model.versions.items()):
            usual, learnt = _learn(version.days, self._usual(spec.model, name)[1])
            version.days[learnt:] = [
                Labels(day.start_s, day.end_s) if (name, day.start_s) in known else day for day in version.days[learnt:]
            ]
            for window in _windows(version.days[learnt:], spec.drift.min_n):
                span = Window(spec.model, name, version.against, window.start_s * 1000, window.end_s * 1000)
                batch = f"labels:{spec.model}:{name}:{window.start_s}-{window.end_s}"
                yield Named(batch, effects(span, compare(usual, window, spec.drift), self._prefix, now_ms))

    async def _read(self, spec: ModelSpec, model: _Model) -> None:
        """Bring the settled days of all versions up to date."""
        if (from_s := model.from_s) is None:
            return
        rows = await self._query(DAYS, {"model": spec.model, "from_s": from_s})
        model.from_s = None
        for name, group in groupby(rows, itemgetter("version")):
            days = list(group)
            settled = _settled(days, spec.label_horizon_s)
            version = model.versions.setdefault(name, _Version(self._usual(spec.model, name)[0]))
            version.days = [day for day in version.days if day.start_s < from_s] + [day for day in settled if day.n]
            if len(settled) < len(days):
                model.open(int(days[len(settled)]["start_s"]))

    def _usual(self, model: str, version: str) -> tuple[str, Labels | None]:
        """The id and the labels of the version's reference, if that has labels."""
        reference = self._catalog.reference(model, version)
        given = _given(reference)
        return (reference.id, given) if reference and given else ("", None)


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


def _learn(days: Sequence[Labels], given: Labels | None) -> tuple[Labels, int]:
    """What is usual, and of how many of the first days that was learnt: all, as long as they are too few."""
    if given is not None:
        return given, 0
    usual = Labels(0, 0)
    for n, day in enumerate(days, 1):
        usual = day if n == 1 else usual.merge(day)
        if usual.n >= LEARNT_LABELS and usual.end_s - usual.start_s >= LEARNT_S:
            return usual, n
    return usual, len(days)


def _windows(days: Sequence[Labels], least: int) -> Iterator[Labels]:
    """Each window of at least `least` labels of days in a row; days without labels have been judged."""
    window: Labels | None = None
    for day in days:
        if not day.n:
            window = None
            continue
        window = day if window is None else window.merge(day)
        if window.n >= least:
            yield window
            window = None
