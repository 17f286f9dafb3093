"""A sample of the predictions that stand in ClickHouse, as a reference needs it.

In the walk: beside it, for `driftline reference learn` and for the learner. The same rows are drawn each time: an event
is in the sample or not by the hash of its place in Kafka.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.query import Query
from driftline_streams.reference.sample import Sample

MAX_ROWS = 100_000  # 64 quantiles are known to 0.1 % of the values, an hour of the week has 600 events
MIN_ROWS = 5_000
MAX_VALUES = 4_000_000  # 16 bytes each: of models with very many features there are fewer rows
PAGE_VALUES = 400_000  # that are asked for at once: a value is 100 bytes while it is Python's

# Of more rows than these, blocks of neighbours are drawn first, so that the columns of the others are not read.
SCANNED_ROWS = 20_000_000
_PLACES = 1_000_000

_RANGE = """
FROM predictions
WHERE model = {model:String} AND version = {version:String}
    AND timestamp >= fromUnixTimestamp64Milli({start_ms:Int64}) AND timestamp < fromUnixTimestamp64Milli({end_ms:Int64})
"""

SIZE = f"SELECT count() AS n, sum(length(nums) + length(cats)) AS features {_RANGE}"

ROWS = f"""
SELECT
    toUnixTimestamp64Milli(timestamp) AS timestamp_ms, status = 'error' AS failed, latency_ms, score, confidence,
    prediction, prediction_value, nums, cats, segment,
    cityHash64(topic, partition, offset, position) AS place
{_RANGE}
    AND cityHash64(partition, intDiv(offset, 8192)) % {_PLACES} < {{blocks:UInt32}}
    AND place % {_PLACES} >= {{first:UInt32}} AND place % {_PLACES} < {{end:UInt32}}
ORDER BY place, topic, partition, offset, position
"""


async def sample(query: Query, spec: ModelSpec, version: str, start_ms: int, end_ms: int) -> Sample:
    """At most about 100,000 events of a version from `start_ms` (inclusive) to `end_ms` (exclusive), drawn by hash.

    `query` takes SQL and its parameters to rows by column name: `sinks.clickhouse.ClickHouse.query` is one. It raises
    what the query raises.
    """
    bounds = {"model": spec.model, "version": version, "start_ms": start_ms, "end_ms": end_ms}
    (size,) = await query(SIZE, bounds)
    drawn = Sample(spec)
    n, features = int(size["n"]), int(size["features"])
    if not n:
        return drawn
    drawn.drawn_from = n
    width = features / n + 8
    rows = min(MAX_ROWS, max(MIN_ROWS, int(MAX_VALUES / width)))
    blocks = min(1.0, SCANNED_ROWS / n)
    places = math.ceil(min(1.0, rows / n / blocks) * _PLACES)
    pages = math.ceil(min(n, rows) * width / PAGE_VALUES)
    bounds["blocks"] = math.ceil(blocks * _PLACES)
    prediction = "prediction_value" if spec.kind == "regression" else "prediction"
    for page in range(pages):
        of_page = {"first": places * page // pages, "end": places * (page + 1) // pages}
        found = await query(ROWS, bounds | of_page)
        # Half a second of work, during which a worker has batches to attend to.
        await asyncio.to_thread(_add, drawn, found, prediction)
    return drawn


def _add(drawn: Sample, rows: Sequence[Mapping[str, Any]], prediction: str) -> None:
    for row in rows:
        drawn.add(
            row["timestamp_ms"],
            failed=bool(row["failed"]),
            answers={
                "latency_ms": row["latency_ms"],
                "score": row["score"],
                "confidence": row["confidence"],
                "prediction": None if row[prediction] == "" else row[prediction],
            },
            features={**row["nums"], **row["cats"]},
            segment=row["segment"],
        )
