"""The cold half of the join: questions to ClickHouse, a few thousand ids at a time.

In the walk: `join` asks here what `recent.py` does not know. Only the questions stand here; the connection is given.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from driftline_streams.outcomes.truth import Served, Truth

IDS = 20_000  # of one query: 37–73 ms of ClickHouse's time in 5M rows, and less than 1 MB of text
LABELS_IN_ONE_JOIN = 1_000_000  # of `unjoined`: about 150 MB in ClickHouse

# The index is by model and time, so the bounds save reading; the bloom filter on the id saves the rest of the granules.
# A duplicate is the same prediction told twice: the one that Kafka holds first counts.
PREDICTIONS = """
SELECT
    prediction_id, version, role, toUnixTimestamp64Milli(timestamp) AS timestamp_ms,
    status = 'ok' AS answered, prediction, prediction_value, score, confidence, request_id,
    segment, probabilities
FROM predictions
WHERE model = {model:String}
    AND timestamp BETWEEN fromUnixTimestamp64Milli({since_ms:Int64}) AND fromUnixTimestamp64Milli({until_ms:Int64})
    AND prediction_id IN {ids:Array(String)}
ORDER BY predictions.topic, predictions.partition, predictions.offset, predictions.position
LIMIT 1 BY prediction_id
"""

# A label is joined when an outcome carries it or one of greater precedence; a correction that is not yet joined is
# found as well.
# `part` of `parts` by the hash of the id bounds the memory of the join.
UNJOINED = """
SELECT
    model, prediction_id, label, label_value AS value, toUnixTimestamp64Milli(timestamp) AS timestamp_ms, weight,
    source, trust, position, topic, partition, offset, toUnixTimestamp64Milli(ingested_at) AS ingested_ms
FROM labels
LEFT JOIN
(
    SELECT model, prediction_id, max(precedence) AS joined
    FROM outcomes
    WHERE cityHash64(prediction_id) % {parts:UInt32} = {part:UInt32}
        AND timestamp >= fromUnixTimestamp64Milli({oldest_ms:Int64})
    GROUP BY model, prediction_id
) AS known ON known.model = labels.model AND known.prediction_id = labels.prediction_id
WHERE topic = {topic:String} AND has({partitions:Array(UInt32)}, partition)
    AND ingested_at >= fromUnixTimestamp64Milli({since_ms:Int64})
    AND cityHash64(labels.prediction_id) % {parts:UInt32} = {part:UInt32}
    AND known.joined < labels.precedence
    AND ({served:UInt8} = 0 OR (labels.model, labels.prediction_id) IN (
        SELECT model, prediction_id FROM predictions
        WHERE cityHash64(prediction_id) % {parts:UInt32} = {part:UInt32}
            AND timestamp >= fromUnixTimestamp64Milli({oldest_ms:Int64}) AND status = 'ok'))
ORDER BY labels.ingested_at DESC, labels.offset DESC
LIMIT {limit:UInt64}
"""

COUNT = """
SELECT count() AS n, toUnixTimestamp64Milli(min(timestamp)) AS oldest_ms
FROM labels
WHERE topic = {topic:String} AND has({partitions:Array(UInt32)}, partition)
    AND ingested_at >= fromUnixTimestamp64Milli({since_ms:Int64})
"""


class Columns(Protocol):
    """What can be asked: `sinks.clickhouse.ClickHouse` can."""

    def columns(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Awaitable[dict[str, list[Any]]]:
        """The result by column; waits as long as an outage lasts."""


class Lookup:
    """The questions that the join has for ClickHouse."""

    def __init__(self, database: Columns) -> None:
        self._database = database

    async def predictions(self, model: str, ids: Sequence[str], since_ms: int, until_ms: int) -> dict[str, Served]:
        """The predictions of `model` with these ids and event times in `[since_ms, until_ms]`, by id."""
        served: dict[str, Served] = {}
        for first in range(0, len(ids), IDS):
            parameters = {"model": model, "ids": ids[first : first + IDS], "since_ms": since_ms, "until_ms": until_ms}
            served.update(_served(await self._database.columns(PREDICTIONS, parameters)))
        return served

    async def unjoined(
        self, topic: str, partitions: Collection[int], since_ms: int, horizon_ms: int, limit: int, *, served: bool
    ) -> list[Truth]:
        """Labels of these partitions, taken in since `since_ms`, that no outcome carries: the newest, up to `limit`.

        With `served`, only those whose prediction is stored by now. `horizon_ms` is the longest of any model: labels
        are not compared with outcomes of predictions that are older than it allows.
        """
        if not partitions or limit <= 0:
            return []
        parameters: dict[str, Any] = {"topic": topic, "partitions": sorted(partitions), "since_ms": since_ms}
        counted = await self._database.columns(COUNT, parameters)
        parts = -(-int(counted["n"][0]) // LABELS_IN_ONE_JOIN)
        parameters["oldest_ms"] = int(counted["oldest_ms"][0]) - horizon_ms
        truths: list[Truth] = []
        for part in range(parts):
            more = {"parts": parts, "part": part, "limit": limit - len(truths), "served": int(served)}
            truths += _truths(await self._database.columns(UNJOINED, parameters | more))
        return truths


def _served(found: dict[str, list[Any]]) -> dict[str, Served]:
    rows = _rows(found, numbers=("prediction_value", "score", "confidence"))
    return {row.pop("prediction_id"): Served(**row) for row in rows}


def _truths(found: dict[str, list[Any]]) -> list[Truth]:
    return [Truth(**row) for row in _rows(found, numbers=("value",))]


def _rows(found: dict[str, list[Any]], numbers: Collection[str]) -> Iterator[dict[str, Any]]:
    """The rows by column name; in `numbers`, NULL is NaN."""
    columns = [
        [math.nan if value is None else value for value in column] if name in numbers else column
        for name, column in found.items()
    ]
    return (dict(zip(found, row, strict=True)) for row in zip(*columns, strict=True))
