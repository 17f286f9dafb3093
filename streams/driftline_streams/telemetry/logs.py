"""Structured logs: readable on a terminal, one JSON object a line elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import orjson
import stamina
import structlog


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
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("aiokafka", "faust", "mode", "asyncio", "nicegui"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    # Each attempt of an outage would bring a trace of a hundred lines; the sinks say in one what is wrong.
    for silent in ("clickhouse_connect", "urllib3"):
        logging.getLogger(silent).setLevel(logging.CRITICAL)
