"""The cold half of the join: questions to ClickHouse, tens of thousands of ids at a time.

In the walk: `join` asks here what `recent.py` does not know. Only the questions stand here; the connection is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.outcomes.served import Served, objects
from driftline_streams.outcomes.truth import SLACK_MS, Objects, Truths

LABELS_IN_ONE_JOIN = 1_000_000  # of `unjoined`: about 150 MB in ClickHouse
PAIRS = 100  # of one query of `alternatives`: they travel in its address

# The index is by model and time, so the bounds save reading; where ids are few, the bloom filter saves the rest. Maps
# travel as JSON: equal ones are parsed once.
_COLUMNS = """
    prediction_id, version, role, toUnixTimestamp64Milli(timestamp) AS timestamp_ms, status = 'ok' AS answered,
    prediction, prediction_value, score, confidence, request_id,
    CAST(toJSONString(segment) AS LowCardinality(String)) AS segment, toJSONString(probabilities) AS probabilities
"""
_WHERE = """
    model = {model:String}
    AND timestamp BETWEEN fromUnixTimestamp64Milli({since_ms:Int64}) AND fromUnixTimestamp64Milli({until_ms:Int64})
    AND prediction_id IN {ids:Array(String)}
"""
PREDICTIONS = f"SELECT {_COLUMNS} FROM predictions WHERE {_WHERE}"

# A duplicate is the same prediction told twice: the one that Kafka holds first counts. To order all would take a third
# of the time once more, and duplicates are rare.
FIRST_IN_KAFKA = f"""
SELECT {_COLUMNS} FROM predictions WHERE {_WHERE}
ORDER BY predictions.topic, predictions.partition, predictions.offset, predictions.position
LIMIT 1 BY prediction_id
"""

_TRUTH = """
    label, label_value AS value, toUnixTimestamp64Milli(timestamp) AS timestamp_ms, weight, source, trust, position,
    topic, partition, offset, toUnixTimestamp64Milli(ingested_at) AS ingested_ms
"""

# A label is joined when an outcome carries it or one of greater precedence; a correction that is not yet joined is
# found as well. Of the labels of a prediction and partition the one comes that would hold, and how many it stands for.
# `part` of `parts` by the hash of the id bounds the memory of the join.
UNJOINED = f"""
SELECT
    labels.model AS model, labels.prediction_id AS prediction_id, {_TRUTH},
    count() OVER (PARTITION BY labels.model, labels.prediction_id, partition) - 1 AS superseded
FROM labels
LEFT JOIN
(
    SELECT model, prediction_id, max(precedence) AS joined
    FROM outcomes
    WHERE cityHash64(prediction_id) % {{parts:UInt32}} = {{part:UInt32}}
        AND timestamp >= fromUnixTimestamp64Milli({{oldest_ms:Int64}})
    GROUP BY model, prediction_id
) AS known ON known.model = labels.model AND known.prediction_id = labels.prediction_id
WHERE topic = {{topic:String}} AND has({{partitions:Array(UInt32)}}, partition)
    AND ingested_at >= fromUnixTimestamp64Milli({{since_ms:Int64}})
    AND cityHash64(labels.prediction_id) % {{parts:UInt32}} = {{part:UInt32}}
    AND known.joined < labels.precedence
    AND ({{served:UInt8}} = 0 OR (labels.model, labels.prediction_id) IN (
        SELECT model, prediction_id FROM predictions
        WHERE cityHash64(prediction_id) % {{parts:UInt32}} = {{part:UInt32}}
            AND timestamp >= fromUnixTimestamp64Milli({{oldest_ms:Int64}}) AND status = 'ok'))
ORDER BY labels.precedence DESC
LIMIT 1 BY model, prediction_id, partition
LIMIT {{limit:UInt64}}
"""

COUNT = """
SELECT count() AS n, toUnixTimestamp64Milli(min(timestamp)) AS oldest_ms
FROM labels
WHERE topic = {topic:String} AND has({partitions:Array(UInt32)}, partition)
    AND ingested_at >= fromUnixTimestamp64Milli({since_ms:Int64})
"""

# Of each prediction, given by its id and time, the label that holds among those that belong to it.
ALTERNATIVES = f"""
SELECT model, prediction_id, {_TRUTH}
FROM labels
INNER JOIN
(
    SELECT (arrayJoin(arrayZip({{ids:Array(String)}}, {{times_ms:Array(Int64)}})) AS pair).1 AS id, pair.2 AS served_ms
) AS given ON given.id = labels.prediction_id
WHERE model = {{model:String}} AND prediction_id IN {{ids:Array(String)}}
    AND given.served_ms >= toUnixTimestamp64Milli(timestamp) - {{horizon_ms:Int64}}
    AND given.served_ms <= toUnixTimestamp64Milli(timestamp) + {SLACK_MS}
ORDER BY labels.precedence DESC
LIMIT 1 BY prediction_id
"""


class Columns(Protocol):
    """What can be asked: `sinks.clickhouse.ClickHouse` can."""

    def columns(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Awaitable[dict[str, list[Any]]]:
        """The result by column; waits as long as an outage lasts."""


class Lookup:
    """The questions that the join has for ClickHouse."""

    def __init__(self, database: Columns) -> None:
        self._database = database

    async def predictions(
        self, model: str, ids: Sequence[str], since_ms: int, until_ms: int
    ) -> tuple[list[str], Served]:
        """The predictions of `model` with these ids and event times in `[since_ms, until_ms]`, and the id of each."""
        span = {"model": model, "since_ms": since_ms, "until_ms": until_ms}
        found = await self._database.columns(PREDICTIONS, span | {"ids": ids})
        known: list[str] = found["prediction_id"]
        served = _served(found)
        if len(set(known)) == len(known):
            return known, served
        doubled = [each for each, n in Counter(known).items() if n > 1]
        first = await self._database.columns(FIRST_IN_KAFKA, span | {"ids": doubled})
        single = np.flatnonzero(~np.isin(objects(known), objects(doubled)))
        return [known[row] for row in single.tolist()] + first["prediction_id"], Served.joined(
            [served.take(single), _served(first)]
        )

    async def unjoined(
        self, topic: str, partitions: Collection[int], since_ms: int, horizon_ms: int, limit: int, *, served: bool
    ) -> tuple[Truths, list[int]]:
        """Labels of these partitions, taken in since `since_ms`, that no outcome carries, and how many each stands for.

        Of one prediction and partition the one comes that would hold, up to `limit` of the greatest precedence. With
        `served`, only those whose prediction is stored by now. `horizon_ms` is the longest of any model: labels are not
        compared with outcomes of predictions that are older than it allows.
        """
        columns: dict[str, list[Any]] = {name: [] for name in (*Truths._fields, "superseded")}
        if partitions and limit > 0:
            parameters: dict[str, Any] = {"topic": topic, "partitions": sorted(partitions), "since_ms": since_ms}
            counted = await self._database.columns(COUNT, parameters)
            parts = -(-int(counted["n"][0]) // LABELS_IN_ONE_JOIN)
            parameters["oldest_ms"] = int(counted["oldest_ms"][0]) - horizon_ms
            for part in range(parts):
                more = {"parts": parts, "part": part, "limit": limit - len(columns["offset"]), "served": int(served)}
                found = await self._database.columns(UNJOINED, parameters | more)
                for name in columns:
                    columns[name] += found[name]
        return Truths.by_column(columns), columns["superseded"]

    async def alternatives(self, model: str, ids: Sequence[str], times_ms: Sequence[int], horizon_ms: int) -> Truths:
        """Of predictions of `model`, by id and time, the labels that hold among those that belong to them."""
        columns: dict[str, list[Any]] = {name: [] for name in Truths._fields}
        for first in range(0, len(ids), PAIRS):
            some = slice(first, first + PAIRS)
            parameters = {"model": model, "ids": ids[some], "times_ms": times_ms[some], "horizon_ms": horizon_ms}
            found = await self._database.columns(ALTERNATIVES, parameters)
            for name in columns:
                columns[name] += found[name]
        return Truths.by_column(columns)


def _served(found: Mapping[str, list[Any]]) -> Served:
    texts = {name: objects(found[name]) for name in ("version", "role", "prediction", "request_id")}
    # `None` becomes NaN.
    numbers = {name: _numbers(found[name]) for name in ("prediction_value", "score", "confidence")}
    return Served(
        **texts,
        **numbers,
        timestamp_ms=_integers(found["timestamp_ms"]),
        answered=np.array(found["answered"], np.bool_),
        segment=_maps(found["segment"], dict[str, str]),
        probabilities=_maps(found["probabilities"], dict[str, float]),
    )


def _numbers(values: list[Any]) -> Floats:
    return np.array(values, np.float64)


def _integers(values: list[Any]) -> Ints:
    return np.array(values, np.int64)


def _maps(values: list[str], kind: type[dict[str, Any]]) -> Objects:
    decoder = msgspec.json.Decoder(kind)
    known = {text: decoder.decode(text) for text in set(values)}
    return objects([known[text] for text in values])
