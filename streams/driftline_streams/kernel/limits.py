"""The bounds on what one batch may make of its events, each with its reason; overflow is counted, never silent.

In the walk: `ingest` and the reference builder keep to them, so that a careless or hostile publisher costs a bounded
amount of memory here and a bounded number of rows in ClickHouse.
"""

from __future__ import annotations

from typing import Final

DAY_MS: Final = 86_400_000

# Before the year 2000 no model answered: such times are seconds taken for milliseconds, or an unset clock.
EARLIEST_MS: Final = 946_684_800_000
# A server's clock may be wrong by a zone; a day ahead would hold the watermark of its source in the future.
FUTURE_MS: Final = DAY_MS

# A monitored signal costs a row of moments and up to 64 bins in every feature window; wider models are embeddings,
# and those are not read one dimension at a time.
MAX_SIGNALS: Final = 1_000  # features of one model in one batch
# With more categories the null bias of PSI, (B-1)(1/n+1/N), exceeds its usual threshold at the usual window sizes.
MAX_CATEGORIES: Final = 250  # of one signal in one batch
OTHER_CATEGORY: Final = "\x1eother"  # the sum of the rest; no publisher's category starts with a record separator
# A segment value is a row in every window, each with its own sketch: identifiers are not segments.
MAX_SEGMENT_VALUES: Final = 200  # of one segment key of one model in one batch
OTHER_SEGMENT: Final = "other"
# A longer one is free text; as the key of a map it would be repeated in every window.
MAX_NAME_CHARS: Final = 128  # of a monitored feature's name, a category or a segment value

BIN_SEPARATOR: Final = "\x1f"  # between signal and bin in the table `features`

EVIDENCE_BYTES: Final = 4 * 1024  # of a rejected event's payload: enough to see what it was
# Half of the broker's default limit of 1 MiB, so that a message with its headers always fits.
MAX_PARTIAL_BYTES: Final = 512 * 1024

# Squares must stay finite after 10**8 additions, for JSON and SQL have no infinity that survives a merge.
MAX_MAGNITUDE: Final = 1e150  # larger values are kept as they are in `predictions`, and count as this in sums
