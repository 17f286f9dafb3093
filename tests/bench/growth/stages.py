"""What the stages of a worker cost an event, on batches in memory: CPU of this process, and the rows they want written.

All configurations take turns, round after round, and the best round of each counts: a machine that is busy for a while
is then busy for all of them.
"""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import driftline_schemas
from driftline_streams.detectors.detect import Detect
from driftline_streams.ingest import Ingest
from driftline_streams.kernel.effects import Effects
from driftline_streams.sinks import native

from ...memory_batch import MemoryBatch
from .traffic import NOW_MS, Traffic

BATCHES = 6  # the first ones teach `ingest` what events look like, and `detect` its first windows
LEARNING = 2


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one event: microseconds of CPU by stage, and rows."""

    ingest_us: float
    insert_us: float  # making the bodies of the inserts
    detect_us: float
    rows: float  # besides its own row in `predictions`

    @property
    def us(self) -> float:
        """All together."""
        return self.ingest_us + self.insert_us + self.detect_us


class Course:
    """One kind of traffic, in batches of `size` events."""

    def __init__(self, traffic: Traffic, size: int) -> None:
        self._size = size
        self._catalog = traffic.catalog()
        values = [value for _, value in traffic.events(BATCHES * size)]
        self._batches = [
            MemoryBatch(values[i : i + size], i, "growth.predictions") for i in range(0, len(values), size)
        ]
        self._ingest = Ingest(self._catalog, "growth")
        for batch in self._batches[:LEARNING]:
            self._ingest(batch, NOW_MS)

    def run(self) -> Cost:
        """One round over the batches after those for learning."""
        detect, state = Detect(self._catalog, "growth", lateness_ms=2_000), dict[str, bytes]()
        spent = dict.fromkeys(("ingest", "insert", "detect"), 0.0)
        rows = 0
        for number, batch in enumerate(self._batches):
            started = time.process_time()
            effects = self._ingest(batch, NOW_MS).effects
            ingested = time.process_time()
            _bodies(effects)
            inserted = time.process_time()
            detect([message.value or b"" for message in effects.messages], state, NOW_MS)
            if number >= LEARNING:
                spent["ingest"] += ingested - started
                spent["insert"] += inserted - ingested
                spent["detect"] += time.process_time() - inserted
                rows += sum(part.n for part in effects.rows if part.table != "predictions")
        n = (BATCHES - LEARNING) * self._size
        us = {f"{stage}_us": seconds / n * 1e6 for stage, seconds in spent.items()}
        return Cost(**us, rows=rows / n)


def compare(courses: Sequence[Course], rounds: int) -> list[Cost]:
    """The best round of each."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)  # as a worker does
    costs: list[list[Cost]] = [[] for _ in courses]
    for _ in range(rounds):
        for course, mine in zip(courses, costs, strict=True):
            mine.append(course.run())
    gc.unfreeze()
    return [
        Cost(
            min(cost.ingest_us for cost in mine),
            min(cost.insert_us for cost in mine),
            min(cost.detect_us for cost in mine),
            mine[0].rows,
        )
        for mine in costs
    ]


def _bodies(effects: Effects) -> int:
    return sum(len(native.block(rows, TYPES[rows.table])) for rows in effects.rows)


def _types() -> dict[str, dict[str, str]]:
    """The column types of every table, from the statements that make them."""
    sql = (Path(driftline_schemas.__file__).parent / "sql" / "001_tables.sql").read_text()
    tables = re.findall(r"CREATE TABLE (\w+)\n\((.*?)\n\)\nENGINE", sql, re.DOTALL)
    return {
        table: dict(_column(line) for line in body.splitlines() if line and "INDEX" not in line)
        for table, body in tables
    }


def _column(line: str) -> tuple[str, str]:
    name, kind = re.split(r" (?:COMMENT|DEFAULT) ", line.strip().rstrip(","))[0].split(None, 1)
    return name, kind


TYPES = _types()
