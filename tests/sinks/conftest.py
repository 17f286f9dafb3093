"""What the tests of the sinks share: a `ClickHouse` on an empty database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from driftline_streams.sinks.clickhouse import ClickHouse


@pytest.fixture
def store(settings: Any) -> Iterator[ClickHouse]:
    """The class under test, on the run's ClickHouse."""
    made = ClickHouse(settings())
    yield made
    made.close()
