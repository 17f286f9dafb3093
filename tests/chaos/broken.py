"""A worker whose effects are not idempotent, which the crash test must catch: `python -m tests.chaos.broken HOW`.

- `tokens`: every insert has a token of its own, so that ClickHouse takes a repeated one for a new one;
- `names`: the planned end of a batch is not taken from the commit, so that a batch that comes back has another name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast
from uuid import uuid4

from driftline_streams import cli
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.transport import offsets
from driftline_streams.transport.offsets import Start


def tokens() -> None:
    """Make each insert unique."""
    send = ClickHouse._send

    def unique(self: ClickHouse, table: str, body: bytes, token: str) -> None:
        send(self, table, body, f"{token}:{uuid4()}")

    ClickHouse._send = unique  # type: ignore[method-assign]


def names() -> None:
    """Forget the planned end."""
    begin = offsets._start

    def nameless(*given: Any) -> Start:
        start = begin(*given)
        return Start(start.first, None, start.position)

    offsets._start = cast("Any", nameless)


HOW: dict[str, Callable[[], None]] = {"tokens": tokens, "names": names}

if __name__ == "__main__":
    HOW[sys.argv[1]]()
    sys.argv[1:] = ["worker"]
    cli.main()
