"""Structured logs: readable on a terminal, one JSON object a line elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import MutableMapping
from typing import Any, Literal

import orjson
import stamina
import structlog

SPARSE_S = 30.0


class Sparse(logging.Filter):
    """Lets one line of a library through in 30 s: aiokafka writes a hundred a second during an outage.

    >>> sparse, record = Sparse("a"), logging.makeLogRecord({"name": "a.b", "msg": "%s", "args": ("no",)})
    >>> [sparse.filter(record), sparse.filter(record), sparse.filter(logging.makeLogRecord({"name": "ab"}))]
    [True, False, True]
    """

    def __init__(self, library: str) -> None:
        super().__init__()
        self._library, self._dropped, self._next_at = library, 0, 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; the first after a silence says how many were not."""
        if record.name != self._library and not record.name.startswith(self._library + "."):
            return True
        now = time.monotonic()
        if now < self._next_at:
            self._dropped += 1
            return False
        self._next_at = now + SPARSE_S
        if self._dropped:
            record.msg, record.args = f"{record.getMessage()} (and {self._dropped} lines since the last)", ()
        self._dropped = 0
        return True


def _render_json(_: object, __: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(event, default=str).decode()


def configure(log_format: Literal["console", "json"], level: str) -> None:
    """Send Driftline's and the libraries' logs through one pipeline to stderr."""
    stamina.instrumentation.set_on_retry_hooks([])  # who retries says so itself, with the reason
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if log_format == "json":
        final: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, _render_json]
    else:
        # The default would print local variables, events and secrets included.
        final = [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    handler.addFilter(Sparse("aiokafka"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("aiokafka", "faust", "mode", "asyncio", "nicegui"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    # Each attempt of an outage would bring a trace of a hundred lines; the sinks say in one what is wrong.
    for silent in ("clickhouse_connect", "urllib3"):
        logging.getLogger(silent).setLevel(logging.CRITICAL)
