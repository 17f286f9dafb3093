"""The watch over days that are not final: writes down what their numbers will be when all their labels have come.

In the walk: beside it, by the worker that reads the first partition of predictions, after `cohorts.py` has summed up
what came. The label process belongs to the model: its curve is learned from all its versions and roles together. The
clock is the latest time at which a truth was known, so that a replay of history, labels that are delivered at night and
a label source that has stopped do not make a day older than what has been seen of it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.each import of_each
from driftline_streams.kernel.effects import Effects, Named, Rows
from driftline_streams.kernel.limits import BIN_SEPARATOR, DAY_MS
from driftline_streams.kernel.query import Query
from driftline_streams.performance import delay
from driftline_streams.performance.maturity import MOST_DAYS, History, look
from driftline_streams.performance.nowcast import Expected, Seen, nowcast

DAY_S = DAY_MS // 1000
_CELLS = {"tp": ("1", "1"), "fp": ("1", "0"), "tn": ("0", "0"), "fn": ("0", "1")}

MODELS = "SELECT model, max(computed_at) AS computed_at FROM performance WHERE stage = 'latest' GROUP BY model"

NEWEST = """
SELECT toUnixTimestamp(max(newest_label)) AS clock_s
FROM performance
WHERE model = {model:String} AND stage = 'latest' AND dim = '' AND n > 0
"""

COHORTS = """
SELECT version, role, toUnixTimestamp(toDateTime(day, 'UTC')) AS day_s, n, delays, confusion, correct, classified_weight
FROM performance FINAL
WHERE model = {model:String} AND stage = 'latest' AND dim = '' AND notEmpty(delays)
    AND day >= toDate(toDateTime({from_s:UInt32}, 'UTC'))
"""

LOADS = """
SELECT version, toUnixTimestamp(toStartOfHour(window)) AS hour_s, sum(windows.n) - sum(windows.errors) AS answered
FROM windows
WHERE model = {model:String} AND dim = '' AND window >= toDateTime({from_s:UInt32}, 'UTC')
GROUP BY version, hour_s
"""

# Of a day without a label there is nothing to tell from: it is expected when one has come.
OPEN = """
SELECT version, toUnixTimestamp(toDateTime(cohort, 'UTC')) AS day_s
FROM performance_states(grain = 'day')
WHERE model = {model:String} AND NOT is_final AND labelled > 0
"""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a model's labels: rows of the queries above."""

    spec: ModelSpec
    clock_s: int
    cohorts: Sequence[Row]
    loads: Sequence[Row]
    open: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Line:
    """A number that is expected of one version and role on one day."""

    version: str
    role: str
    day_s: int
    seen: Seen
    coverage: float | None
    expected: Expected


class Expectations:
    """The watch over the days of all models; it remembers up to which labels each model has been looked at."""

    def __init__(self, catalog: Catalog, query: Query) -> None:
        self._catalog = catalog
        self._query = query
        self._looked: dict[str, dt.datetime] = {}

    async def __call__(self, now_ms: int) -> AsyncIterator[Named]:
        """One model at a time, those for which labels have come; raises what `of_each` raises."""
        computed = {row["model"]: row["computed_at"] for row in await self._query(MODELS, {})}

        async def of(model: str) -> AsyncIterator[Named]:
            if self._looked.get(model) != computed[model]:
                known = await self._known(self._catalog.spec(model), now_ms)
                lines = await asyncio.to_thread(expect, known)
                if lines:
                    name = f"expected:{model}:{computed[model].isoformat()}"
                    yield Named(name, Effects((rows(model, lines, now_ms),)))
                self._looked[model] = computed[model]

        async for expected in of_each(computed, of):
            yield expected

    async def _known(self, spec: ModelSpec, now_ms: int) -> Known:
        (newest,) = await self._query(NEWEST, {"model": spec.model})
        clock_s = min(int(newest["clock_s"]), now_ms // 1000)
        days = MOST_DAYS + -(-spec.label_horizon_s // DAY_S)
        bounds = {"model": spec.model, "from_s": max(0, clock_s // DAY_S - days) * DAY_S}
        cohorts, loads = await self._query(COHORTS, bounds), await self._query(LOADS, bounds)
        return Known(spec, clock_s, cohorts, loads, await self._query(OPEN, {"model": spec.model}))


def history_of(known: Known) -> tuple[int, History]:
    """The start of the first day in seconds, and the labels of all days from it on; there must be a cohort."""
    days = [int(row["day_s"]) for row in known.cohorts]
    first_s, last_s = min(days), max(days)
    n_days = (last_s - first_s) // DAY_S + 1
    by_class: dict[str, np.ndarray] = {}
    for row in known.cohorts:
        for name, counts in delay.classes(row["delays"]).items():
            mine = by_class.setdefault(name, np.zeros((n_days, delay.BUCKETS)))
            mine[(int(row["day_s"]) - first_s) // DAY_S] += counts
    answered = np.zeros(n_days)
    for row in known.loads:
        day = (int(row["hour_s"]) - first_s) // DAY_S
        if 0 <= day < n_days:
            answered[day] += row["answered"]
    names = tuple(sorted(by_class))
    return first_s, History(
        classes=names,
        counts=np.stack([by_class[name] for name in names], axis=1),
        answered=answered,
        horizon_min=known.spec.label_horizon_s / 60,
        age_min=(known.clock_s - last_s - DAY_S) / 60,
        target=known.spec.label_coverage,
    )


def expect(known: Known) -> list[Line]:
    """What is expected of each day that is not final."""
    if not known.cohorts or not known.open:
        return []
    first_s, history = history_of(known)
    hours: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    answered: dict[tuple[str, int], float] = defaultdict(float)
    for row in known.loads:
        hour_s, n = int(row["hour_s"]), row["answered"]
        hours[hour_s // DAY_S * DAY_S][hour_s] += n
        answered[row["version"], hour_s // DAY_S * DAY_S] += n
    shared: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in known.cohorts:
        shared[row["version"], int(row["day_s"])].append(row)
    waiting = {(row["version"], int(row["day_s"])) for row in known.open}
    found: list[Line] = []
    for day_s in sorted({day_s for _, day_s in waiting if day_s >= first_s}):
        mature = look(history, (day_s - first_s) // DAY_S, *delay.ages(hours[day_s], known.clock_s))
        for version in sorted({version for version, day in waiting if day == day_s}):
            rows_of_all = shared[version, day_s]
            for row in rows_of_all:
                others = sum(other["n"] for other in rows_of_all if other is not row)
                seen = _seen(row, round(answered[version, day_s]) - others, alone=len(rows_of_all) == 1)
                drawn = nowcast(seen, mature)
                coverage = drawn.coverage()
                found += [
                    Line(version, row["role"], day_s, seen, coverage.estimate, each)
                    for each in (coverage, *drawn.rates())
                ]
    return found


def rows(model: str, lines: Sequence[Line], now_ms: int) -> Rows:
    """Rows of `estimates`, of the basis `labels`."""
    n = len(lines)

    def numbers(values: Iterable[float | None]) -> np.ndarray:
        return np.array([np.nan if value is None else value for value in values], np.float64)

    return Rows(
        "estimates",
        n,
        {
            "model": [model] * n,
            "version": [line.version for line in lines],
            "role": [line.role for line in lines],
            "day": np.array([line.day_s // DAY_S for line in lines], np.uint16),
            "metric": [line.expected.metric for line in lines],
            "basis": ["labels"] * n,
            "estimate": numbers(line.expected.estimate for line in lines),
            "low": numbers(line.expected.low for line in lines),
            "high": numbers(line.expected.high for line in lines),
            "n": np.array([line.seen.answered for line in lines], np.uint64),
            "labelled": np.array([line.seen.labelled for line in lines], np.uint64),
            "coverage": numbers(line.coverage for line in lines),
            "method": [line.expected.method for line in lines],
            "reason": [line.expected.reason for line in lines],
            "computed_at": np.full(n, now_ms, np.int64),
        },
    )


def _seen(row: Row, answered: int, *, alone: bool) -> Seen:
    counts = {name: float(n.sum()) for name, n in delay.classes(row["delays"]).items()}
    confusion = row["confusion"]
    weights = {
        name: float(confusion.get(BIN_SEPARATOR.join(cell), 0.0)) for name, cell in _CELLS.items() if name in counts
    }
    weights["right"] = row["correct"] - weights.get("tp", 0.0) - weights.get("tn", 0.0)
    weights["wrong"] = row["classified_weight"] - sum(weights.values())
    weights = {name: weights[name] for name in weights if name in counts}
    return Seen(counts=counts, weights=weights, answered=max(answered, 0), alone=alone)
