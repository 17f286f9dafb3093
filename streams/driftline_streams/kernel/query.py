"""What a stage that asks ClickHouse, or has it compute, is given: stages know neither the sinks nor their client.

In the walk: beside it. The watches over performance, labels and features together ask with it, and who builds a
reference from stored events.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

# SQL and its parameters to rows by column name: `sinks.clickhouse.ClickHouse.query` is one.
Query = Callable[[str, Mapping[str, Any]], Awaitable[list[dict[str, Any]]]]

# A statement and its parameters, to be repeated for as long as an outage lasts: `sinks.clickhouse.ClickHouse.execute`.
Execute = Callable[[str, Mapping[str, Any]], Awaitable[None]]
