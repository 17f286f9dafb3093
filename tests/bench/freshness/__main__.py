"""Freshness on this machine: `python -m tests.bench.freshness [seconds] [events a second]`, from the checkout.

Kafka, ClickHouse, one worker with the default settings, a producer and two clients share the machine. The figures go to
`docs/freshness.md` and `docs/freshness.svg`.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable

import numpy as np

from driftline_schemas.topics import PREDICTIONS
from driftline_streams.embedded.services import Services

from ..events import records
from ..measure import Stopwatch
from ..services import Deployment, Worker, started
from . import page, results
from .stream import Sent, publish, shifts, specs
from .watching import Alerts, Rows

SECONDS, RATE = 60, 20_000
WAIT_S = 60.0  # what has not arrived by then never will
QUIET_S = 8.0  # alerts come at most so long after the last event


def main(seconds: int, rate: int) -> None:
    """Run, and write the report."""
    with started() as services:
        deployment = Deployment(services, [*records(), *specs()])
        with deployment.worker() as worker:
            page.write(_measure(services, deployment, worker, seconds, rate))


def _measure(services: Services, deployment: Deployment, worker: Worker, seconds: int, rate: int) -> page.Run:
    settings = deployment.settings
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    addresses = (settings.kafka_bootstrap, deployment.topic(PREDICTIONS))
    producer = spawn.Process(target=publish, args=(*addresses, rate, float(seconds), theirs), daemon=True)
    producer.start()
    ours.recv()
    with Rows(settings) as rows, Alerts(settings) as alerts:
        stopwatch, clients = Stopwatch(worker.process.pid, services), time.process_time()
        ours.send("go")
        _until(lambda: ours.poll(0.2), worker, within_s=seconds + WAIT_S)
        sent: Sent = ours.recv()
        cost, clients = stopwatch.stop(), time.process_time() - clients
        _until(lambda: sum(last + 1 for last in rows.last.values()) >= sent.n, worker)
        time.sleep(QUIET_S)
    planned = shifts(seconds)
    found, others = results.found(sent, planned, alerts, settings)
    cpu_s = {"worker": cost.cpu_s, **cost.beside_s, "producer": sent.cpu_s, "clients": clients}
    return page.Run(
        command=" ".join(["python -m tests.bench.freshness", *sys.argv[1:]]),
        sent=sent,
        events=results.Events.of(settings, rows),
        found=found,
        planned=len(planned),
        other_alerts=others,
        looks_s=np.array(rows.polls_s),
        cpu={name: seconds / sent.seconds for name, seconds in cpu_s.items()},
        settings=settings,
    )


def _until(done: Callable[[], bool], worker: Worker, within_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        worker.check()
        if time.monotonic() > deadline:
            raise SystemExit(f"not done within {within_s:.0f} s; see {worker.log}")
        time.sleep(0.05)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:])) if len(sys.argv) == 3 else main(SECONDS, RATE)
