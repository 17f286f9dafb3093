"""The watch over daily performance: asks ClickHouse for the days that can change and publishes what broke a limit.

In the walk: `judgement.py` has it done by one worker; two would do no harm. Detections have ids that come from their
cause, and those that stand in `detections` already are not published again. A day that is restated is judged anew: a
limit that it breaks only now is a finding, and so is that a limit which it was said to break holds.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, PerformanceRules
from driftline_streams.kernel import findings
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.each import of_each
from driftline_streams.kernel.effects import Named
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.query import Query
from driftline_streams.performance import objectives
from driftline_streams.performance.objectives import METRICS, Day, Expectation, Interval

_COUNTS = ("tp", "fp", "tn", "fn", "classified", "scored", "measured", "lists")
_EPOCH = "1970-01-01"
CURRENT = 0.9  # of the predictions of a day that what is expected must speak of

CHANGED = """
SELECT toString(performance.day) AS changed, toString(max(computed_at)) AS newest
FROM performance
WHERE model = {model:String} AND stage = 'latest' AND dim = '' AND computed_at >= {since:DateTime64(3, 'UTC')}
GROUP BY performance.day
"""

DAYS = f"""
SELECT
    version, role, toUnixTimestamp(toDateTime(day, 'UTC')) * 1000 AS day_ms, state, expected, labelled,
    {", ".join(_COUNTS)}, {", ".join(f"{name}, {name}_low, {name}_high" for name in METRICS)}
FROM performance_daily
WHERE model = {{model:String}} AND day IN {{days:Array(Date)}}
ORDER BY day, version, role
"""

EXPECTED = """
SELECT
    version, role, toUnixTimestamp(toDateTime(day, 'UTC')) * 1000 AS day_ms, metric, n, labelled,
    estimate, low, high, coverage_expected AS coverage, reason
FROM performance_expected
WHERE model = {model:String} AND day >= toDate({from:String})
"""

KNOWN = """
SELECT id FROM detections
WHERE model = {model:String} AND kind = 'performance' AND start >= toDateTime64({from:String}, 3, 'UTC')
"""

CLOCK = """
SELECT max(toUnixTimestamp(window) + width_s) * 1000 AS clock_ms FROM windows WHERE model = {model:String} AND dim = ''
"""


class Watch:
    """The watch over the models whose specs set limits; it remembers which days of each model are not final."""

    def __init__(self, catalog: Catalog, prefix: str, query: Query) -> None:
        self._catalog = catalog
        self._prefix = prefix
        self._query = query
        # Model to its limits, the time at which the newest of its sums were computed, and its days that are not final.
        self._judged: dict[str, tuple[PerformanceRules, str, set[str]]] = {}

    async def __call__(self, now_ms: int) -> AsyncIterator[Named]:
        """What is new of each model with limits; raises what `of_each` raises, and the next round makes up for it.

        A day is judged anew until it is final and whenever its sums change, and with new limits from the beginning.
        """
        limited = [spec.model for spec in self._catalog.specs() if spec.performance != PerformanceRules()]
        async for found in of_each(limited, lambda model: self._model(self._catalog.spec(model), now_ms)):
            yield found

    async def _model(self, spec: ModelSpec, now_ms: int) -> AsyncIterator[Named]:
        limits, since, open_days = self._judged.get(spec.model, (spec.performance, _EPOCH, set()))
        if limits != spec.performance:
            since, open_days = _EPOCH, set()
        changed = await self._query(CHANGED, {"model": spec.model, "since": since})
        asked = sorted({row["changed"] for row in changed} | open_days)
        rows = await self._query(DAYS, {"model": spec.model, "days": asked}) if asked else []
        days = await self._days(spec.model, rows)
        if new := await self._judge(spec, days):
            # They are known in the next round: until then nobody has promised that they were published.
            yield _named(new, self._prefix, now_ms)
            return
        since = max((row["newest"] for row in changed), default=since)
        left = {_date(day.day_ms) for day in days if day.state == "provisional"}
        self._judged[spec.model] = (spec.performance, since, left)

    async def _days(self, model: str, rows: Sequence[Mapping[str, Any]]) -> list[Day]:
        """The rows with what is expected of those that are not final."""
        open_ms = [int(row["day_ms"]) for row in rows if row["state"] == "provisional"]
        if not open_ms:
            return [_day(model, row, {}, over=True) for row in rows]
        (clock,) = await self._query(CLOCK, {"model": model})
        expected: dict[tuple[Any, ...], dict[str, Expectation]] = {}
        spoken_of: dict[tuple[Any, ...], int] = {}
        joined: Counter[tuple[str, int]] = Counter()  # in all roles
        for row in rows:
            joined[row["version"], row["day_ms"]] += row["labelled"]
        for each in await self._query(EXPECTED, {"model": model, "from": _date(min(open_ms))}):
            whose = (each["version"], each["role"], each["day_ms"], each["labelled"])
            expected.setdefault(whose, {})[each["metric"]] = Expectation(*(each[name] for name in Expectation._fields))
            spoken_of[whose] = each["n"]
        found = []
        for row in rows:
            whose = (row["version"], row["role"], row["day_ms"], row["labelled"])
            # From fewer labels, or of far fewer predictions, it is out of date: the next round has it anew.
            own = row["expected"] - joined[row["version"], row["day_ms"]] + row["labelled"]
            current = spoken_of.get(whose, 0) >= CURRENT * own
            over = clock["clock_ms"] >= row["day_ms"] + DAY_MS
            found.append(_day(model, row, expected.get(whose, {}) if current else {}, over=over))
        return found

    async def _judge(self, spec: ModelSpec, days: Sequence[Day]) -> list[Detection]:
        """What is to be said about these days and has not been said."""
        judged = [(day, each) for day in days for each in objectives.judge(day, spec)]
        judged = [(day, each) for day, each in judged if each.broken or each.holds]
        if not judged:
            return []
        first = _date(min(day.day_ms for day, _ in judged))
        known = {row["id"] for row in await self._query(KNOWN, {"model": spec.model, "from": first})}
        new = []
        for day, each in judged:
            times = 0
            while objectives.cause(day, each.metric, times) in known:
                times += 1
            said_broken = times % 2 == 1
            if each.broken and not said_broken:
                new.append(objectives.broken(day, each, times))
            elif each.holds and said_broken:
                new.append(objectives.withdrawn(day, each, times))
        return new


def _day(model: str, row: Mapping[str, Any], expectations: Mapping[str, Expectation], *, over: bool) -> Day:
    intervals = {name: Interval(*(row[f"{name}{end}"] for end in ("", "_low", "_high"))) for name in METRICS}
    return Day(
        model=model,
        version=row["version"],
        role=row["role"],
        day_ms=int(row["day_ms"]),
        state=row["state"],
        over=over,
        expected=row["expected"],
        labelled=row["labelled"],
        counts={name: row[name] for name in _COUNTS if row[name] is not None},
        metrics={name: each for name, each in intervals.items() if None not in each},
        expectations=expectations,
    )


def _date(ms: int) -> str:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).date().isoformat()


def _named(found: Sequence[Detection], prefix: str, now_ms: int) -> Named:
    effects = findings.effects(found, prefix, now_ms)
    digest = hashlib.blake2b(b"\0".join(message.value or b"" for message in effects.messages), digest_size=16)
    return Named(f"performance:{digest.hexdigest()}", effects)
