"""Labels per second through a worker, hot and cold: `python -m tests.bench.join`, which writes docs/join-benchmark.md.

Predictions lie in ClickHouse, spread over four weeks. Cold labels are about any of them; hot ones about those that the
worker has read just before. The clock runs from the first label that is published until the last outcome is stored.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import psutil

from driftline_schemas.spec import ModelSpec
from driftline_schemas.topics import LABELS, PREDICTIONS
from driftline_streams.embedded.services import Services
from driftline_streams.sinks.clickhouse import ClickHouse

from .report import circumstances
from .services import Deployment, Worker, send, started

PAGE = Path(__file__).parents[2] / "docs" / "join-benchmark.md"
WEEKS_MS = 28 * 86_400_000
PART = 500_000  # predictions that are inserted at once
HOT = 200_000  # fit into the memory of a worker
TARGETS = {"hot": 50_000, "cold": 20_000}
WITHIN_S = 600.0
LOOK_S = 0.2  # to look costs ClickHouse as well

# As `ingest` stores them: an answer with a score, two features and two segments.
STORED = """
INSERT INTO predictions (
    prediction_id, model, version, timestamp, latency_ms, status, prediction, score, nums, cats, segment, role,
    request_id, topic, partition, offset, ingested_at)
SELECT
    lower(hex(MD5(toString(number)))), 'm', 'v1',
    fromUnixTimestamp64Milli({since_ms:Int64} + intDiv(number * {span_ms:Int64}, {n:Int64})), 12.5, 'ok',
    if(score > 0.5, 'true', 'false'), (cityHash64(number) % 10000) / 10000 AS score, map('amount', 12.5),
    map('country', 'DE'), map('carrier', ['UA', 'AA', 'DL'][number % 3 + 1], 'country', ['DE', 'FR'][number % 2 + 1]),
    'champion', concat('r', toString(number)), 'elsewhere', number % 4, intDiv(number, 4), now64(3)
FROM numbers({first:UInt64}, {part:UInt64})
"""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Run:
    """What labels of one kind cost."""

    what: str
    labels: int
    seconds: float
    worker_us: float  # of CPU a label
    clickhouse_us: float

    @property
    def rate(self) -> float:
        """Labels a second."""
        return self.labels / self.seconds


def store(database: ClickHouse, n: int, now_ms: int) -> None:
    """Put `n` predictions into ClickHouse."""
    for first in range(0, n, PART):
        parameters = {"since_ms": now_ms - WEEKS_MS, "span_ms": WEEKS_MS, "n": n, "first": first}
        database.command(STORED, parameters | {"part": min(PART, n - first)})


def stored_id(text: str) -> str:
    """An id that ClickHouse makes as well."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def labels(ids: list[str], now_ms: int, seed: int) -> list[tuple[bytes | int, bytes]]:
    """A label for each, in random order, by key."""
    order = np.random.default_rng(seed).permutation(len(ids)).tolist()
    return [
        (
            ids[i].encode(),
            _encode(
                {"prediction_id": ids[i], "model": "m", "label": bool(i % 3), "timestamp": now_ms, "source": "crm"}
            ),
        )
        for i in order
    ]


def answers(ids: list[str], now_ms: int) -> Iterator[tuple[bytes | int, bytes]]:
    """Predictions of this minute, by key."""
    for i, prediction_id in enumerate(ids):
        score = i % 997 / 997
        event = {
            "prediction_id": prediction_id,
            "model": "m",
            "version": "v1",
            "timestamp": now_ms - 60_000 + i // 10,
            "latency_ms": 12.5,
            "prediction": score > 0.5,
            "score": score,
            "features": {"amount": 12.5, "country": "DE"},
            "segment": {"carrier": "UA", "country": "DE"},
            "request_id": f"r{i}",
        }
        yield prediction_id.encode(), _encode(event)


class Bench:
    """A worker and its ClickHouse, and what they have used."""

    def __init__(self, running: Services, deployment: Deployment, worker: Worker, database: ClickHouse) -> None:
        self._deployment = deployment
        self._database = database
        self._bootstrap = running.kafka_bootstrap
        self._worker = psutil.Process(worker.process.pid)
        self._clickhouse = psutil.Process(running.clickhouse.running.process.pid)

    def publish(self, topic: str, messages: list[tuple[bytes | int, bytes]]) -> None:
        """Send to a topic of the deployment."""
        send(self._bootstrap, topic, messages)

    def run(self, what: str, messages: list[tuple[bytes | int, bytes]]) -> Run:
        """Publish labels and wait for their outcomes."""
        [before] = self._database.query_rows("SELECT count() AS n FROM outcomes")
        worker_s, clickhouse_s, began = _cpu_s(self._worker), _cpu_s(self._clickhouse), time.monotonic()
        self.publish(self._deployment.topic(LABELS), messages)
        deadline = began + WITHIN_S
        while self._outcomes() - before["n"] < len(messages):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._outcomes() - before['n']} of {len(messages)} labels were joined")
            time.sleep(LOOK_S)
        took_s = time.monotonic() - began
        worker_us, clickhouse_us = (
            1e6 * (_cpu_s(process) - used_s) / len(messages)
            for process, used_s in ((self._worker, worker_s), (self._clickhouse, clickhouse_s))
        )
        return Run(what, len(messages), took_s, worker_us, clickhouse_us)

    def _outcomes(self) -> int:
        # Rows that replace each other are merged away now and then, so what was inserted is counted.
        [found] = self._database.query_rows("SELECT count() AS n FROM outcomes")
        return int(found["n"])

    @property
    def peak_mb(self) -> float:
        """The most memory that the worker had."""
        status = Path(f"/proc/{self._worker.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure(wishes: argparse.Namespace) -> tuple[list[Run], float]:
    """Hot and cold runs, and the peak memory of the worker in MB."""
    now_ms = time.time_ns() // 1_000_000
    with started() as running:
        deployment = Deployment(running, [ModelSpec(model="m", label_sources=["crm"])], ledger_every_s=0)
        with closing(ClickHouse(deployment.settings)) as database:
            store(database, wishes.predictions, now_ms)
            deployment.wait_until_merged()
            with deployment.worker() as worker:
                bench = Bench(running, deployment, worker, database)
                some = np.random.default_rng(0).choice(wishes.predictions, wishes.labels, replace=False)
                ids = [stored_id(str(i)) for i in some.tolist()]
                runs = [bench.run("cold", labels(ids, now_ms, 1))]
                for number in range(wishes.rounds):
                    ids = [stored_id(f"{number} {i}") for i in range(HOT)]
                    bench.publish(deployment.topic(PREDICTIONS), list(answers(ids, now_ms)))
                    deployment.wait_until_stored()
                    runs.append(bench.run("hot", labels(ids, now_ms, number)))
                return runs, bench.peak_mb


def _cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def page(wishes: argparse.Namespace, runs: list[Run], peak_mb: float) -> str:
    """The report, with the best hot round."""
    here = circumstances(" ".join(["python -m tests.bench.join", *sys.argv[1:]]), wishes.rounds)
    best = {what: max((run for run in runs if run.what == what), key=lambda run: run.rate) for what in TARGETS}
    said = [
        f"`{here['command']}` on {here['date']}: {here['machine']}; {here['system']}.",
        f"One worker with everything on, Kafka, ClickHouse and who publishes the labels share the machine. "
        f"{wishes.predictions:,} predictions of four weeks are stored. Cold labels are about any of them, at random, "
        f"which is the worst case: no part of the table can be left out. Hot ones are about the {HOT:,} predictions "
        f"that the worker has read just before. The clock runs from the first label published until the last outcome "
        f"is stored; of the {wishes.rounds} hot rounds the best counts.",
    ]
    lines = ["# How many labels a second", *(f"\n{textwrap.fill(each, 120, break_on_hyphens=False)}" for each in said)]
    lines += ["", "| labels | number | labels/s | target | worker, CPU µs a label | ClickHouse, CPU µs a label |"]
    lines += ["|---|---:|---:|---:|---:|---:|"]
    lines += [
        f"| {what} | {run.labels:,} | {run.rate:,.0f} | {TARGETS[what]:,} "
        f"| {run.worker_us:.1f} | {run.clickhouse_us:.1f} |"
        for what, run in best.items()
    ]
    memory = (
        f"The worker had {peak_mb:,.0f} MB at most. What grows with labels is bounded: recent predictions by 32 MiB or "
        "250,000, labels that wait by 500,000 or 512 MiB, labels to be looked up for the first time by 130,000 and a "
        "batch, beside the 90,000 that are being looked up. That takes ClickHouse about as long for one label as for "
        "all of them, so the worker rests four times as long as the last one took, unless so many wait for it."
    )
    return "\n".join([*lines, "", textwrap.fill(memory, 120, break_on_hyphens=False), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=int, default=10_000_000)
    parser.add_argument("--labels", type=int, default=600_000, help="cold ones")
    parser.add_argument("--rounds", type=int, default=5, help="hot ones")
    parser.add_argument("--print", action="store_true", help="instead of writing the page")
    wishes = parser.parse_args()
    text = page(wishes, *measure(wishes))
    print(text)
    if not wishes.print:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
