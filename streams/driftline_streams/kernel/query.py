"""What a stage that asks ClickHouse, or has it compute, is given: stages know neither the sinks nor their client.

In the walk: beside it. The watches over performance, labels and features together ask with it, and who builds a
reference from stored events.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

# SQL and its parameters to rows by column name: `sinks.clickhouse.ClickHouse.query` is one.
Query = Callable[[str, Mapping[str, Any]], Awaitable[list[dict[str, Any]]]]

# A statement that computes rows inside ClickHouse, and its parameters: `sinks.clickhouse.ClickHouse.execute` is one.
Execute = Callable[[str, Mapping[str, Any]], Awaitable[None]]
