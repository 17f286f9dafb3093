"""Whether labels still come: how many should have come since the last one, and how long labels usually pause.

In the walk: beside it, as `watch`. Predictions go on and their truth does not come: the join is healthy, coverage sinks
slowly, and nobody notices for weeks. From the predictions served and from how many of them have had their label after
so long, it follows how many labels were to be expected since the last one. Of a Poisson number of 20 none comes with a
chance of 2e-9; but labels come in heaps, rest at night and are delivered once a day. So the silence must also be longer
than usual ones, twice: in expected labels of event time, and in hours of the wall clock. Longer is 2 + 20/m times the
longest of `m` gaps, which a gap among its like is once in about 40 m (Rényi 1953; `detectors.quality.silence`). Both
must be, so a replay of history finds nothing while labels are on their way, whatever their times.

A model that never had labels is never found, nor one whose labels are known for less than two days.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from driftline_schemas.records import Detection
from driftline_streams.kernel import findings, words
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.each import of_each
from driftline_streams.kernel.effects import Named
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.query import Query
from driftline_streams.performance import delay

Method = Literal["labels_stopped", "labels_again"]
SIGNAL = "labels"
HOUR_MS = 3_600_000
GAP_DAYS = 28  # in which the gaps between labels are usual
LOAD_DAYS = 90  # of predictions that labels may still be on their way for
LEAST_MISSED = 20.0  # labels
LEAST_LABELS, LEAST_MS = 100, 2 * DAY_MS  # that must be known, and over how long

MODELS = "SELECT DISTINCT model FROM performance WHERE n > 0"

LABELS = """
SELECT
    toUnixTimestamp(toStartOfHour({time:Identifier})) AS hour_s, count() AS n,
    toUnixTimestamp64Milli(max({time:Identifier})) AS newest_ms
FROM labels
WHERE model = {model:String} AND {time:Identifier} >= fromUnixTimestamp64Milli({from_ms:Int64})
GROUP BY hour_s
"""

NEWEST = """
SELECT
    toUnixTimestamp64Milli(max(timestamp)) AS known_ms, toUnixTimestamp64Milli(max(ingested_at)) AS ingested_ms
FROM labels
WHERE model = {model:String}
"""

LOADS = """
SELECT
    toUnixTimestamp(toStartOfHour(window)) AS hour_s, sum(windows.n) - sum(windows.errors) AS answered,
    argMax(version, window) AS version, max(toUnixTimestamp(window) + width_s) * 1000 AS clock_ms
FROM windows
WHERE model = {model:String} AND dim = '' AND window >= toDateTime({from_s:UInt32}, 'UTC')
GROUP BY hour_s
ORDER BY hour_s
"""

CELLS = """
SELECT toUnixTimestamp(toDateTime(day, 'UTC')) AS day_s, sumMap(performance.delays) AS delays
FROM performance FINAL
WHERE model = {model:String} AND dim = '' AND stage = 'latest' AND n > 0
    AND day >= toDate(toDateTime({from_s:UInt32}, 'UTC'))
GROUP BY day_s
"""

SAID = """
SELECT method, version, toUnixTimestamp64Milli(start) AS start_ms, toUnixTimestamp64Milli(end) AS end_ms
FROM detections FINAL
WHERE model = {model:String} AND kind = 'quality' AND signal = {signal:String}
ORDER BY start DESC, method = 'labels_again' DESC
LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What is known of the labels of one model. Hours are starts in seconds, in UTC."""

    model: str
    version: str  # that answered last
    answered: Mapping[int, float]  # predictions by hour
    delays: Mapping[int, Mapping[str, int]]  # of the labels by the day of their prediction: `performance.delays`
    known: Mapping[int, int]  # labels by the hour in which their truth was known
    ingested: Mapping[int, int]  # and in which they came, by the wall clock
    last_known_ms: int
    last_ingested_ms: int
    clock_ms: int  # end of the last window with predictions
    now_ms: int  # by the wall clock


@dataclass(frozen=True, slots=True)
class Stop:
    """Labels that have not come."""

    missed: float  # as many were to be expected since the last one
    usual: float  # the most that were to be expected in a usual gap
    gaps: int  # usual ones


def incidence(delays: Mapping[int, Mapping[str, int]], answered: Mapping[int, float], clock_ms: int) -> Floats:
    """How many labels a prediction has had after so long, by bucket of delays; shape `(delay.BUCKETS,)`.

    From the days that were old enough for the bucket at `clock_ms`; what none was old enough for is as the bucket
    before. A day counts half as much as one `delay.HALF_LIFE_DAYS` later.
    """
    served: dict[int, float] = {}
    for hour_s, n in answered.items():
        day = hour_s * 1000 // DAY_MS
        served[day] = served.get(day, 0.0) + n
    labels, predictions = np.zeros(delay.BUCKETS), np.zeros(delay.BUCKETS)
    for day, n in served.items():
        age_min = (clock_ms - (day + 1) * DAY_MS) / 60_000
        weight = (age_min >= delay.UPPER_MIN) * 0.5 ** (max(age_min, 0) / delay.DAY_MIN / delay.HALF_LIFE_DAYS)
        mine = delay.classes(delays.get(day * DAY_MS // 1000, {}))
        labels += weight * sum(mine.values(), np.zeros(delay.BUCKETS)).cumsum()
        predictions += weight * n
    share = np.where(predictions > 0, labels / np.maximum(predictions, 1e-12), 0.0)
    return np.maximum.accumulate(share)


def stopped(flow: Flow) -> Stop | None:
    """Whether labels have stopped; `None` when they have not, or nobody can tell."""
    span_ms = 1000 * (max(flow.known, default=0) - min(flow.known, default=0))
    if sum(flow.known.values()) < LEAST_LABELS or span_ms < LEAST_MS:
        return None
    quiet_ms, elapsed_ms = flow.now_ms - flow.last_ingested_ms, flow.clock_ms - flow.last_known_ms
    arrivals = np.diff(sorted(flow.ingested)) * 1000.0
    if min(quiet_ms, elapsed_ms) < HOUR_MS or not len(arrivals) or quiet_ms < _longer(arrivals):
        return None
    share = incidence(flow.delays, flow.answered, flow.last_known_ms)

    first_s = min(flow.answered)
    hours = (flow.clock_ms // 1000 - first_s) // 3600 + 2
    load = np.zeros(hours)
    for hour_s, n in flow.answered.items():
        if hour_s < first_s + 3600 * hours:  # else by a server whose clock is fast
            load[(hour_s - first_s) // 3600] += n
    lag_min = 60.0 * (np.arange(hours) + 0.5)
    after = np.interp(delay.STEPS * np.log2(lag_min), np.arange(delay.BUCKETS), share)
    due = np.concatenate([[0.0], np.convolve(load, after)[:hours]])  # labels to be expected until each hour begins

    def until(ms: float) -> float:
        return float(np.interp(ms / 1000, first_s + 3600 * np.arange(hours + 1), due))

    missed = until(flow.clock_ms) - until(flow.last_known_ms)
    times = [hour_s for hour_s in sorted(flow.known) if hour_s >= first_s]
    usual = np.array([until(1000 * (b + 3600)) - until(1000 * a) for a, b in pairwise(times)])
    if not len(usual) or missed < max(LEAST_MISSED, _longer(usual)):
        return None
    return Stop(missed, float(usual.max()), len(usual))


def finding(flow: Flow, stop: Stop) -> Detection:
    """That labels have stopped."""
    since_ms, quiet_ms = flow.last_known_ms, flow.clock_ms - flow.last_known_ms
    detail = (
        f"The last label of model {flow.model} is of {words.since(since_ms)}. In the {words.duration(quiet_ms)} since, "
        f"{words.number(stop.missed)} were to be expected from the predictions served and from how long their labels "
        f"take; in the {stop.gaps:,} gaps of the last {GAP_DAYS} days it was {words.number(stop.usual)} at most. "
        "How good the model is cannot be known meanwhile."
    )
    whose = (flow.model, flow.version)
    return _finding(whose, "labels_stopped", (since_ms, flow.clock_ms), stop.missed, detail)


def again(model: str, version: str, span_ms: tuple[int, int]) -> Detection:
    """That labels come again, after the one at the beginning of the span had been the last."""
    detail = f"Labels of model {model} come again; {words.since(span_ms[0])} was the time of the last one before."
    return _finding((model, version), "labels_again", span_ms, 0.0, detail)


class LabelFlow:
    """The watch over the labels of all models."""

    def __init__(self, catalog: Catalog, prefix: str, query: Query) -> None:
        self._catalog = catalog
        self._prefix = prefix
        self._query = query

    async def __call__(self, now_ms: int) -> AsyncIterator[Named]:
        """What is to be said, one model at a time; raises what `of_each` does. What was said stands in ClickHouse."""

        async def of(model: str) -> AsyncIterator[Named]:
            found = await self._look(model, now_ms)
            if found is not None:
                yield Named(f"label flow:{found.id}", findings.effects([found], self._prefix, now_ms))

        async for said in of_each([row["model"] for row in await self._query(MODELS, {})], of):
            yield said

    async def _look(self, model: str, now_ms: int) -> Detection | None:
        (newest,) = await self._query(NEWEST, {"model": model})
        known_ms = int(newest["known_ms"])
        said = await self._query(SAID, {"model": model, "signal": SIGNAL})
        if said and said[0]["method"] == "labels_stopped":
            begun = said[0]
            span_ms = int(begun["start_ms"]), max(int(begun["end_ms"]), known_ms)
            return again(model, begun["version"], span_ms) if known_ms > span_ms[0] else None
        flow = await self._flow(model, known_ms, int(newest["ingested_ms"]), now_ms)
        stop = stopped(flow) if flow is not None else None
        return finding(flow, stop) if flow is not None and stop is not None else None

    async def _flow(self, model: str, known_ms: int, ingested_ms: int, now_ms: int) -> Flow | None:
        from_s = max(0, known_ms // DAY_MS - LOAD_DAYS) * (DAY_MS // 1000)
        loads = await self._query(LOADS, {"model": model, "from_s": from_s})
        clock_ms = min(max((int(row["clock_ms"]) for row in loads), default=0), now_ms)
        if min(clock_ms - known_ms, now_ms - ingested_ms) < HOUR_MS:
            return None
        times = {}
        for time, last_ms in (("timestamp", known_ms), ("ingested_at", ingested_ms)):
            rows = await self._query(
                LABELS, {"model": model, "time": time, "from_ms": max(0, last_ms - GAP_DAYS * DAY_MS)}
            )
            times[time] = {int(row["hour_s"]): int(row["n"]) for row in rows}
        cells = await self._query(CELLS, {"model": model, "from_s": from_s})
        return Flow(
            model=model,
            version=loads[-1]["version"],
            answered={int(row["hour_s"]): float(row["answered"]) for row in loads},
            delays={int(row["day_s"]): row["delays"] for row in cells},
            known=times["timestamp"],
            ingested=times["ingested_at"],
            last_known_ms=known_ms,
            last_ingested_ms=ingested_ms,
            clock_ms=clock_ms,
            now_ms=now_ms,
        )


def _longer(gaps: Floats) -> float:
    """Longer than a gap of their like is."""
    return (2 + 20 / len(gaps)) * float(gaps.max())


def _finding(
    whose: tuple[str, str],
    method: Method,
    span_ms: tuple[int, int],
    missed: float,
    detail: str,
) -> Detection:
    (model, version), (start_ms, end_ms) = whose, span_ms
    return Detection(
        id=findings.id_of(model, SIGNAL, method, "quality", start_ms),
        model=model,
        version=version,
        signal=SIGNAL,
        kind="quality",
        method=method,
        start_ms=start_ms,
        end_ms=end_ms,
        direction="up" if method == "labels_again" else "down",
        statistic=missed,
        threshold=LEAST_MISSED,
        effect=missed,
        p_value=math.exp(-missed) if missed else None,
        before=None,
        after=None,
        n=0,
        reference="",
        detail=detail,
    )
