"""What was answered on days without labels: how much, and with which scores.

In the walk: `watch` asks which days there are, and for the scores of those that need an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from driftline_schemas.spec import ModelSpec
from driftline_streams.estimation.expected import Served
from driftline_streams.estimation.histogram import OUTERMOST, PER_LOGIT
from driftline_streams.kernel.query import Query

_DAYS = """
SELECT
    version, toUnixTimestamp(toStartOfDay(window)) AS start_s, sum(windows.n) - sum(errors) AS answered,
    toUnixTimestamp(max(window)) AS newest_s
FROM windows
WHERE model = {model:String} AND dim = '' AND window >= toDateTime({from_s:UInt32}, 'UTC')
GROUP BY version, start_s
HAVING answered > 0
ORDER BY start_s, version
"""

# Buckets as in the cells. Of several classes every answer is taken for the positive one: that it is right.
_SCORES = f"""
SELECT role, groupArray(bucket) AS buckets, groupArrayIf(n - yes, bucket IS NOT NULL) AS negative,
    groupArrayIf(yes, bucket IS NOT NULL) AS positive
FROM
(
    SELECT
        role,
        toInt32(multiIf(given IS NULL, NULL, given <= 0, -{OUTERMOST}, given >= 1, {OUTERMOST},
            greatest(-{OUTERMOST}, least({OUTERMOST}, floor({PER_LOGIT} * log(given / (1 - given))))))) AS bucket,
        count() AS n,
        countIf({{classes:UInt8}} OR prediction IN {{positive:Array(String)}}) AS yes
    FROM
    (
        SELECT role, prediction, if({{classes:UInt8}}, ifNull(confidence, score), score) AS given
        FROM predictions
        WHERE model = {{model:String}} AND version = {{version:String}} AND status = 'ok'
            AND timestamp >= toDateTime({{start_s:UInt32}}, 'UTC') AND timestamp < toDateTime({{end_s:UInt32}}, 'UTC')
    )
    GROUP BY role, bucket
    ORDER BY bucket
)
GROUP BY role
ORDER BY role
"""


class Open(NamedTuple):
    """A day (UTC) on which a version answered."""

    version: str
    start_s: int
    answered: int
    newest_s: int  # start of its last window


async def days(query: Query, model: str, from_s: int) -> list[Open]:
    """The days from `from_s` on that have answers, by time; raises what the query raises."""
    rows = await query(_DAYS, {"model": model, "from_s": max(from_s, 0)})
    return [Open(row["version"], *(int(row[name]) for name in ("start_s", "answered", "newest_s"))) for row in rows]


async def scores(query: Query, spec: ModelSpec, version: str, start_s: int, end_s: int) -> dict[str, Served]:
    """The scores of a version in that time by role, of several classes their confidence; empty where it gives none.

    Raises what the query raises.
    """
    bounds: Mapping[str, Any] = {
        "model": spec.model,
        "version": version,
        "start_s": start_s,
        "end_s": end_s,
        "classes": int(spec.kind == "multiclass"),
        "positive": ["true", "1"] if spec.positive in {"true", "1"} else [spec.positive],
    }
    return {
        row["role"]: Served(
            np.array(row["buckets"], np.int64),
            np.array(row["negative"], np.float64),
            np.array(row["positive"], np.float64),
        )
        for row in await query(_SCORES, bounds)
    }
