"""Publish what has already happened: any CSV or Parquet file as prediction and label events.

Beside the SDK: `driftline replay` and the demo are built on it. `spec.py` says how a file's columns map to events,
`tables.py` reads the file, `rows.py` makes the events, `publisher.py` sends them in the order of their time. YAML and
Parquet need PyYAML and pyarrow, which come with `driftline[streams]`; the rest needs no more than the SDK does.
"""

from driftline.replay.errors import ReplaySpecError
from driftline.replay.file import ReplaySummary, preview, replay
from driftline.replay.publisher import Published, Publisher
from driftline.replay.rows import BadRow
from driftline.replay.spec import ReplaySpec, read_spec

__all__ = [
    "BadRow",
    "Published",
    "Publisher",
    "ReplaySpec",
    "ReplaySpecError",
    "ReplaySummary",
    "preview",
    "read_spec",
    "replay",
]
