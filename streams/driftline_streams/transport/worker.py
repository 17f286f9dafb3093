"""Runs an app in the foreground until it is told to stop or fails."""

from __future__ import annotations

import asyncio
import gc
import signal

import structlog

from driftline_streams.transport.app import BatchApp

log = structlog.get_logger(__name__)


def run(app: BatchApp) -> int:
    """Run until SIGTERM or SIGINT (finish the batches in flight, commit, leave; 0) or until the app fails (1)."""
    return asyncio.run(_run(app))


async def _run(app: BatchApp) -> int:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    # What start-up allocated lives as long as the process, and a batch allocates 20,000 messages at once: with the
    # default threshold of 700 the collector would walk all of them again and again. It stays on, though: reference
    # cycles in aiokafka leak without it.
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
    stopping = asyncio.create_task(told.wait())
    await app.start()
    crashed = asyncio.create_task(app._crashed.wait())
    await asyncio.wait({stopping, crashed}, return_when=asyncio.FIRST_COMPLETED)
    if told.is_set():
        log.info("stopping")
    await app.stop()
    return int(app.crashed)
