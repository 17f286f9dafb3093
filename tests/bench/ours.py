"""Runs a `driftline worker` on a lap: everything on, as an operator would run it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

from driftline_schemas.topics import PREDICTIONS
from driftline_streams.sinks.clickhouse import ClickHouse

from .course import Course, DidNotRun, Run
from .events import records
from .frames import framed
from .measure import Cost, Stopwatch
from .services import Deployment, send
from .verdict import disagreement

# Percentiles from the sketch as the views read them; feature means from the sums of the cells.
WINDOWS = """
WITH 1.01 / 0.99 AS g
SELECT w.model AS model, w.version AS version, toUnixTimestamp(w.window) * 1000 AS window, n, errors,
    latency_sum, latency_max,
    arrayReduce('quantilesExactWeighted(0.5, 0.95, 0.99)',
        arrayMap(i -> 2 * pow(g, i) / (g + 1), mapKeys(sketch)), mapValues(sketch)) AS quantiles,
    mapFromArrays(arrayMap(s -> substring(s, 9), mapKeys(sums)),
        arrayMap((s, p) -> s / p, mapValues(sums), mapValues(present))) AS means
FROM (
    SELECT model, version, window, sum(n) AS n, sum(errors) AS errors, sumMap(latency) AS sketch,
        sum(latency_sum) AS latency_sum, max(latency_max) AS latency_max
    FROM windows WHERE dim = '' GROUP BY model, version, window
) AS w
LEFT JOIN (
    SELECT model, version, window,
        mapSort(mapFilter((signal, _) -> startsWith(signal, 'feature:'), sumMap(sums))) AS sums,
        mapSort(mapFilter((signal, _) -> mapContains(sums, signal), sumMap(present))) AS present
    FROM features WHERE dim = '' GROUP BY model, version, window
) AS f USING (model, version, window)
"""


def run(course: Course, events: int, frame_events: int = 1, **settings: Any) -> Run:
    """Run one worker in a deployment of its own; what is given replaces its settings.

    With `frame_events` the events come in column frames of up to so many.

    Wall time ends when every event is stored; CPU time when the detectors have followed; ClickHouse's is told a second
    time when it has merged what it stored.

    Raises
    ------
    DidNotRun
        If the worker fails, takes longer than ten minutes, or leaves a ledger that does not hold.
    """
    lap = course.lap(events)
    deployment = Deployment(course.services, records(), **settings)
    try:
        singles = lap.sample.messages()
        messages = framed(singles, deployment.settings.partitions, frame_events) if frame_events > 1 else singles
        send(deployment.settings.kafka_bootstrap, deployment.topic(PREDICTIONS), messages)
        cost = _work(deployment, course)
        ledger = deployment.driftline("ledger")
        if ledger.returncode:
            raise DidNotRun(" ".join(ledger.stderr.split())[:200])
        with closing(ClickHouse(deployment.settings)) as database:
            return Run(events, cost, disagreement(database.query_rows(WINDOWS), lap.truth))
    except (RuntimeError, TimeoutError) as error:
        raise DidNotRun(" ".join(str(error).split())[-200:]) from error
    finally:
        deployment.drop()


def _work(deployment: Deployment, course: Course) -> Cost:
    with deployment.worker() as worker:
        stopwatch = Stopwatch(worker.process.pid, course.services)
        deployment.wait_until_stored()
        stopwatch.stop_wall()
        deployment.wait_until_watched()
        cost = stopwatch.stop()
        deployment.wait_until_merged()
        return replace(cost, beside_s={**cost.beside_s, "clickhouse_merged": stopwatch.beside_s("clickhouse")})
