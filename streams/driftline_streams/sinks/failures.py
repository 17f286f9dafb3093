"""What an error of ClickHouse means: an outage that passes, a mistake of a person, or a bug of ours.

In the walk: `clickhouse.py` repeats what is `Unavailable` and lets everything else through to whoever asked.
"""

from __future__ import annotations

import re

from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from driftline_streams.errors import BrokenInvariant, DriftlineError, Overloaded, SettingsError, Unavailable, UsageError

# https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
PASSING = frozenset(
    {
        *(209, 210, 203, 279),  # timeouts, network, connections
        *(201, 202, 439),  # quotas, too many queries, no thread free
        *(74, 75, 76, 243, 499),  # files, disk full, S3
        *(225, 242, 252, 285, 286, 319, 999),  # replicas and Keeper, read-only tables, too many parts
        *(236, 394, 425),  # shutting down
    }
)
TOO_DEAR = frozenset({159, 173, 241})  # the time of a query, memory
REFUSED = frozenset({192, 193, 194, 516})  # unknown user, wrong password, authentication failed
NO_TABLE, NO_DATABASE = 60, 81

_STATUS = re.compile(r"HTTP status (\d+)")
_NOISE = re.compile(r"^Received ClickHouse exception.*?server response: |Code: \d+\. |DB::Exception: ")


def explained(error: DatabaseError, address: str, database: str, table: str = "") -> DriftlineError:
    """What to raise instead of an error of the driver.

    `table` is the one that was inserted into, empty for queries: that ClickHouse refuses rows is our bug, that it
    refuses a query is for whoever wrote it.
    """
    text = _NOISE.sub("", str(error)).strip()
    found: DriftlineError
    if error.code is None and (status := _STATUS.search(text)):
        found = _by_status(int(status[1]), text, address)
    elif error.code is None and isinstance(error, OperationalError):
        found = Unavailable(f"ClickHouse at {address} does not answer; is it up (`driftline up`)? {text}")
    elif error.code in PASSING:
        found = Unavailable(f"ClickHouse at {address} cannot answer now: {text}")
    elif error.code in TOO_DEAR:
        found = Overloaded(f"ClickHouse at {address} has not enough time or memory for this now: {text}")
    elif error.code in REFUSED:
        found = SettingsError(
            f"ClickHouse at {address} does not let this user in: check DRIFTLINE_CLICKHOUSE_USERNAME and _PASSWORD"
        )
    elif error.code == NO_DATABASE or (error.code == NO_TABLE and table):
        found = UsageError(f"ClickHouse has no such table in database {database}: run `driftline migrate` ({text})")
    elif table:
        found = BrokenInvariant(f"ClickHouse refuses rows for table {table} (code {error.code}): {text}")
    else:
        found = UsageError(f"ClickHouse cannot run this: {text}")
    return found


def _by_status(status: int, text: str, address: str) -> DriftlineError:
    """An answer that is not ClickHouse's own: of a proxy before it, or of something else altogether."""
    if status >= 500 or status == 429:
        return Unavailable(f"ClickHouse at {address} does not answer: {text}")
    return SettingsError(f"what answers at {address} is not ClickHouse: check DRIFTLINE_CLICKHOUSE_HOST and _PORT")
