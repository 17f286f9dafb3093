"""Waits until everything that was published has had all its consequences.

In the walk: behind its end. What counts is what stands in ClickHouse: all events stored or refused, all labels joined,
all test windows closed, all settled days compared, and no finding or alert still on its way. What is judged day by day
is not waited for (features together, labels, estimates and the relation of answers to truth): a year of days takes
minutes of a worker's spare time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from driftline_schemas.topics import LABELS, PREDICTIONS
from driftline_streams.sinks.clickhouse import ClickHouse

EVERY_S = 0.25
QUIET_S = 4.0  # one job after the other judges what was summed up last; a finding is an alert within a second
STALLED_S = 30.0  # nothing moves for so long: something is wrong
PACED_S = 300.0  # the same when all is joined: what is summed up rests twenty times as long as it took

COUNTS = """
SELECT
    (SELECT count() FROM predictions) AS predictions,
    (SELECT count() FROM labels) AS labels,
    (SELECT count() FROM outcomes) AS outcomes,
    (SELECT countIf(topic = {predictions:String}) FROM rejected) AS refused_predictions,
    (SELECT countIf(topic = {labels:String}) FROM rejected) AS refused_labels,
    (SELECT count() FROM detections) AS detections,
    (SELECT count() FROM alerts) AS alerts,
    (SELECT count() FROM verdicts) AS verdicts,
    (SELECT countIf(signal NOT IN ('features', 'label', 'relation')) FROM drift) AS tests
"""
SUMMED = """
SELECT
    (SELECT count() FROM outcomes FINAL) AS outcomes,  -- a label may be joined twice
    (SELECT sum(n) FROM performance FINAL WHERE dim = '' AND stage = 'latest') AS summed
"""
OPEN = """
SELECT version
FROM (SELECT version, max(toUnixTimestamp(timestamp)) AS latest FROM predictions WHERE model = {model:String} GROUP BY version) AS said
LEFT JOIN (SELECT version, max(toUnixTimestamp(window) + width_s) AS closed FROM drift WHERE model = {model:String} GROUP BY version) AS tested
USING (version)
WHERE closed <= latest
ORDER BY version
"""  # noqa: E501
UNJUDGED = """
SELECT count() AS days
FROM comparison_days
WHERE model = {model:String} AND settled AND (champion, challenger, role, day) NOT IN (
    SELECT champion, challenger, role, through FROM verdicts WHERE model = {model:String})
"""


@dataclass(frozen=True, slots=True)
class Expected:
    """What was published."""

    predictions: int
    labels: int


@dataclass(frozen=True, slots=True)
class Settled:
    """How it ended; `missing` says in words what never came, and is empty when all did."""

    stored_at: float  # `time.monotonic()` when the last event was stored and the last label joined
    missing: str


class Settling:
    """Looks into ClickHouse for what became of the events of one model."""

    def __init__(self, clickhouse: ClickHouse, model: str) -> None:
        self._clickhouse = clickhouse
        self._model = model
        prefix = clickhouse.settings.topic_prefix
        self._topics = {"predictions": PREDICTIONS.full_name(prefix), "labels": LABELS.full_name(prefix)}

    def counts(self) -> dict[str, int]:
        """Rows of each table, now."""
        [row] = self._clickhouse.query_rows(COUNTS, self._topics)
        return {name: int(value) for name, value in row.items()}

    def wait(self, expected: Expected, look: Callable[[dict[str, int]], None]) -> Settled:
        """Wait until all is done, or nothing moves any more; `look` is called with the counts at each look."""
        before: dict[str, int] = {}
        moved_at = time.monotonic()
        stored_at = 0.0
        while True:
            counts = self.counts()
            look(counts)
            now = time.monotonic()
            moves = counts != before
            if moves:
                before, moved_at = counts, now
            missing = _missing(counts, expected)
            if not missing and not stored_at:
                stored_at = now
            patience = STALLED_S if missing else PACED_S
            if not missing and not moves:  # what is asked here costs more than the counts
                missing = self._open()
            if not missing and now - moved_at >= QUIET_S:
                return Settled(stored_at, "")
            if now - moved_at >= patience:
                return Settled(stored_at or moved_at, missing)
            time.sleep(EVERY_S)

    def _open(self) -> str:
        [row] = self._clickhouse.query_rows(SUMMED)
        if (left := row["outcomes"] - row["summed"]) > 0:
            return f"the performance of {left} of {row['outcomes']} outcomes"
        rows: list[dict[str, Any]] = self._clickhouse.query_rows(OPEN, {"model": self._model})
        if rows:
            return f"the last test windows of {', '.join(row['version'] for row in rows)}"
        [row] = self._clickhouse.query_rows(UNJUDGED, {"model": self._model})
        return f"the verdicts of {row['days']} days" if row["days"] else ""


def _missing(counts: dict[str, int], expected: Expected) -> str:
    """What of the events has not arrived yet, in words.

    >>> counts = dict(predictions=9, refused_predictions=0, labels=5, refused_labels=0, outcomes=4)
    >>> _missing(counts, Expected(predictions=9, labels=5))
    '1 of 5 labels are not joined'
    """
    parts = []
    if (left := expected.predictions - counts["predictions"] - counts["refused_predictions"]) > 0:
        parts.append(f"{left} of {expected.predictions} predictions are not stored")
    if (left := expected.labels - counts["labels"] - counts["refused_labels"]) > 0:
        parts.append(f"{left} of {expected.labels} labels are not stored")
    elif (left := counts["labels"] - counts["outcomes"]) > 0:
        parts.append(f"{left} of {expected.labels} labels are not joined")
    return ", ".join(parts)
