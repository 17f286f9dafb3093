"""Publish what has already happened: any CSV or Parquet file as prediction and label events.

Beside the SDK: `driftline replay` and the demo are built on it. `spec.py` says how a file's columns map to events,
`rows.py` makes the events, `publisher.py` sends them in the order of their time. Reading files needs pyarrow, which
comes with `driftline[streams]`; publishing needs no more than the SDK does.
"""

from driftline.replay.errors import ReplaySpecError
from driftline.replay.publisher import Published, Publisher

__all__ = ["Published", "Publisher", "ReplaySpecError"]
