"""The questions of the dashboard, by what they are about, with the rows that answer them.

Every answer is bounded: by time, by points of a series, or by rows. Times are event times, in Unix seconds (`_s`) or
milliseconds (`_ms`); `None` is undefined.
"""

from driftline_streams.dashboard.queries import (
    alerts,
    comparison,
    drift,
    estimates,
    labels,
    models,
    performance,
    records,
    scores,
    segments,
    traffic,
    worth,
)

__all__ = [
    "alerts",
    "comparison",
    "drift",
    "estimates",
    "labels",
    "models",
    "performance",
    "records",
    "scores",
    "segments",
    "traffic",
    "worth",
]
