"""From bytes to effects: raw rows, window sums, partials and rejects of every batch of predictions.

The walk inside: `decode` → `columns` → `raw`, `windows`, `features` → `partials`; `stage` puts them in order.
"""

from driftline_streams.ingest.stage import Ingest, IngestResult

__all__ = ["Ingest", "IngestResult"]
