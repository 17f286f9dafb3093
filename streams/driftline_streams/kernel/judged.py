"""Which days have been judged: those in a window that stands in `drift`, whatever comes of them after that.

In the walk: beside it. The watches over labels and over how features go together judge what is not among these.
"""

from __future__ import annotations

from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.query import Query

_DAY_S = DAY_MS // 1000

_WINDOWS = """
SELECT DISTINCT version, toUnixTimestamp(window) AS start_s, toUnixTimestamp(window + width_s) AS end_s
FROM drift
WHERE model = {model:String} AND signal = {signal:String} AND dim = ''
    AND window >= toDateTime({from_s:UInt32}, 'UTC')
"""


async def days(query: Query, model: str, signal: str, from_s: int = 0) -> set[tuple[str, int]]:
    """Version and start (UTC, in seconds) of each day in a window of the signal that begins at `from_s` or later."""
    found = await query(_WINDOWS, {"model": model, "signal": signal, "from_s": from_s})
    return {(row["version"], day_s) for row in found for day_s in range(int(row["start_s"]), int(row["end_s"]), _DAY_S)}
