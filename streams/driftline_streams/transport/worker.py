"""Runs an app in the foreground until it is told to stop or fails."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from aiokafka.errors import KafkaConnectionError

from driftline_streams.errors import Unavailable, UsageError
from driftline_streams.settings import Settings
from driftline_streams.transport.app import BatchApp, faust_directory

log = structlog.get_logger(__name__)

# After the batches in flight; both together stay below the 30 s that Kubernetes grants.
STOP_S = 10.0

_M_ARENA_MAX, _M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -8, -3, -1  # of glibc's mallopt


def run(app: BatchApp) -> int:
    """Run until SIGTERM or SIGINT (finish the batches in flight, commit, leave; 0) or until the app fails (1).

    Raises
    ------
    UsageError
        If a worker with this id runs on this data directory.
    Unavailable
        If Kafka does not answer at the start.
    """
    with _only_one(app.settings):
        return asyncio.run(_run(app))


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    # Two members with one id push each other out of the group for ever, and nobody gets anything done.
    with faust_directory(settings).joinpath("lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"a worker with the id {settings.worker_id!r} runs already: set DRIFTLINE_WORKER_ID for another"
            ) from None
        yield


async def _run(app: BatchApp) -> int:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    # What start-up allocated lives as long as the process, and reading allocates 20,000 messages at once: with the
    # default threshold of 700 the collector walks all of them again and again (505k events a CPU second instead of
    # 705k). It stays on, because libraries leave reference cycles behind.
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
    try:
        await app.start()
    except KafkaConnectionError as refused:
        raise Unavailable(
            f"Kafka at {app.settings.kafka_bootstrap} does not answer; is it up (`driftline up`)? {refused}"
        ) from None
    ends = {asyncio.create_task(told.wait()), asyncio.create_task(app.wait_until_crashed())}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping", failed=app.crashed)
    await app.release()
    stopping = asyncio.create_task(app.stop())
    await asyncio.wait({stopping}, timeout=STOP_S)
    code = int(app.crashed)
    if not stopping.done():
        # Faust and aiokafka wait for minutes for a broker that is away. What is not finished is not acknowledged, and
        # comes back under its name, so there is nothing to lose.
        log.warning("left without a word to Kafka, which does not answer")
        os._exit(code)
    if (error := stopping.exception()) is not None:
        log.warning("stopping was not smooth", exc_info=error)
    return code


def settle_memory() -> None:
    """Tell glibc how memory is used here; before any thread is started.

    Batches are made in one thread and freed in another, and each arena keeps what was freed in it: with two arenas
    instead of up to eight a core the year of flights took 609 MB and not 714. The arrays of a batch, of up to a few MB,
    come and go with it: given back to the system, each is filled with zeros again a page at a time, which was more than
    half of what summing features cost (1.1 µs an event, and 0.45 when the memory is kept).
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, 2)
            mallopt(_M_MMAP_THRESHOLD, 16 << 20)
            mallopt(_M_TRIM_THRESHOLD, 64 << 20)
