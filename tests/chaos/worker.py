"""The worker of the crash test: `driftline worker` whose group misses it after three seconds instead of ten.

So partitions change hands, and zombies wake up to it, several times in a run: `python -m tests.chaos.worker [HOW]`.
With a HOW its effects are not idempotent, which the crash test must catch:

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
from driftline_streams.transport import app, offsets
from driftline_streams.transport.offsets import Start

SESSION_S = 3.0


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
    app.SESSION_S = SESSION_S
    for how in sys.argv[1:]:
        HOW[how]()
    sys.argv[1:] = ["worker"]
    cli.main()
