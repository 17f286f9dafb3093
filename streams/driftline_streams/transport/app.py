"""The Faust app of a worker: agents that get whole, named batches.

In the walk: `driftline_streams/app.py` builds one from the settings, gives each topic its handler and runs it.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import faust
import structlog
from faust.types import TP, TransportT
from yarl import URL

from driftline_streams.errors import BrokenInvariant, DriftlineError, Unavailable, UsageError
from driftline_streams.settings import Settings
from driftline_streams.telemetry.availability import Availability
from driftline_streams.transport.batch import Batch
from driftline_streams.transport.credentials import credentials
from driftline_streams.transport.feed import Ends, Feed, Handler
from driftline_streams.transport.membership import MemberConsumer, MemberThread, Transport
from driftline_streams.transport.offsets import Progress, progress, recover
from driftline_streams.transport.state import FAUST_LOG, Table, Tables
from driftline_streams.transport.topics import MAX_STATE_BYTES
from driftline_streams.transport.watermarks import Watermarks

log = structlog.get_logger(__name__)

# A member that stops answering is out after this long; with static membership a restart within it keeps its partitions.
SESSION_S = 10.0
# A rebalance waits this long for batches in flight, and every worker with it; an abandoned batch costs a repeat.
PATIENCE_S = 10.0
ENDS_EVERY_S = 1.0

LossHandler = Callable[[str, int, int, int], Awaitable[None]]


class BatchApp(faust.App):
    """A Faust app whose agents are given batches by `on_batches`; `build` makes one."""

    logger = FAUST_LOG
    settings: Settings

    def __init__(self, settings: Settings, **faust_settings: Any) -> None:
        super().__init__(settings.group, **faust_settings)
        self.settings = settings
        self.feeds: dict[str, Feed] = {}  # by topic
        self.watermarks = Watermarks(settings)
        self.kafka = Availability("Kafka", settings.kafka_bootstrap)
        self.failed = False
        self._lasting: list[Table] = []
        self._on_loss: LossHandler | None = None
        self._resuming: asyncio.Future[Any] | None = None

    # --- what a worker is made of

    def on_batches(self, topic: str, handler: Handler, *, age_s: float | None = None) -> None:
        """Have `handler` called with every batch of a topic, one at a time, partitions in turn.

        When it returns, the batch is done. When it raises, the worker stops and the batch comes back under its name.
        It waits out outages itself; meanwhile reading pauses. A batch closes at `age_s`, else at the settings' age.

        Raises
        ------
        UsageError
            If the topic has a handler.
        """
        if topic in self.feeds:
            raise UsageError(f"{topic} has a handler: two would need two consumer groups")
        feed = self.feeds[topic] = Feed(self, topic, handler, self.settings.batch_age_s if age_s is None else age_s)
        # Without acks, Faust neither tracks nor commits these messages: that is the feed's business.
        self.agent(self.topic(topic, acks=False), name=f"feed-{topic}")(feed.serve)

    def on_loss(self, handler: LossHandler) -> None:
        """Have `handler` called for messages that Kafka's retention deleted before they were read.

        It gets topic, partition, the first offset and the number of offsets, again after a crash; and it comes with the
        first batch that ends behind them: until then, only the log and `lost` tell of them.
        """
        self._on_loss = handler

    def every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Have `work` done again and again, `seconds` apart; an outage is waited out, a bug stops the worker."""

        async def again() -> None:
            while not self.should_stop:
                try:
                    await work()
                except BrokenInvariant:
                    raise
                except Unavailable as outage:  # whoever did not answer is told of elsewhere, once
                    log.debug("will be tried again", work=work.__name__, reason=str(outage))
                except DriftlineError as error:
                    log.warning("will be tried again", work=work.__name__, reason=str(error))
                await asyncio.sleep(seconds)

        self.task(again)

    def table(self, name: str) -> Table:
        """A table whose values outlive the worker; its changelog topic must exist (`topics.create_all`)."""
        table = self.Table(name, key_type=str, value_type=bytes, partitions=self.settings.partitions)
        assert isinstance(table, Table)  # noqa: S101 - `build` chose the class
        self._lasting.append(table)
        return table

    # --- what a worker knows

    def idle_partitions(self, topic: str, for_s: float) -> list[int]:
        """The assigned partitions in which nothing new has come for `for_s` seconds and nothing is left to do.

        Empty during an outage: silence counts only while the broker confirms it.
        """
        return self.feeds[topic].idle(for_s, time.monotonic())

    def read_ages(self, topic: str) -> dict[int, float]:
        """Seconds since everything that the assigned partitions then held has been acted on, where that is known."""
        return self.feeds[topic].read_ages(time.monotonic())

    def lag(self, topic: str) -> dict[int, int]:
        """Offsets that are not finished, by assigned partition, as of about a second ago."""
        return self.feeds[topic].lag()

    async def progress(self, topic: str) -> dict[int, Progress]:
        """How far the whole group is now, by partition; raises `Unavailable`."""
        return await progress(self.member_thread, self.watermarks, topic)

    def lost(self, topic: str) -> int:
        """Offsets that retention deleted before this worker read them, since it started."""
        return self.feeds[topic].lost

    async def confirm(self, batch: Batch) -> None:
        """To be called by a handler before it changes a table: the partition must still be its own.

        A worker that was frozen longer than a session would write what a newer owner has long overwritten.

        Raises
        ------
        PartitionLost
            If the partition went to another worker, which does the batch under the same name; let it through.
        """
        await self.feeds[batch.topic].confirm(batch)

    # --- what happens to a worker

    async def record_loss(self, topic: str, partition: int, first: int, n: int) -> None:
        """Tell whoever wants to know of messages that are gone."""
        if self._on_loss is not None:
            await self._on_loss(topic, partition, first, n)

    async def fail(self, error: BaseException) -> None:
        """Stop the worker for a reason that a restart may or may not cure; nothing more is acknowledged."""
        self.failed = True
        await self.crash(error)

    async def wait_until_crashed(self) -> None:
        """Return when the app failed: in a handler, in reading, or in a part of Faust."""
        await self._crashed.wait()

    async def settle_tables(self, topic: str) -> None:
        """Wait until the broker has every change that batches of `topic` made; raises what it answered to one."""
        for table in self._lasting:
            await table.settle(topic)

    async def release(self) -> None:
        """Finish or abandon the batches in flight, and take no more until the next assignment."""
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None
        await asyncio.gather(*[feed.release(PATIENCE_S) for feed in self.feeds.values()])

    def on_rebalance_end(self) -> None:
        """Faust says: partitions are assigned and tables recovered."""
        super().on_rebalance_end()
        self._resuming = self.add_future(self._resume())

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        # Before Faust's own steps, while this member can still commit what is in flight. All partitions are revoked at
        # every rebalance: aiokafka has no incremental ones.
        await self.release()
        await super()._on_partitions_revoked(revoked)

    async def on_stop(self) -> None:
        """Faust says: the app stops."""
        await self.release()
        await super().on_stop()
        await asyncio.gather(*[feed.close() for feed in self.feeds.values()])

    async def on_started_init_extra_tasks(self) -> None:
        """Start reading beside Faust's own tasks."""
        await super().on_started_init_extra_tasks()
        for feed in self.feeds.values():
            self.add_future(feed.read())
        self.add_future(self._learn_ends())

    async def _resume(self) -> None:
        generation = self.member_thread.member._coordinator.generation
        mine = [(tp.topic, tp.partition) for tp in self.member_thread.assignment() if tp.topic in self.feeds]
        starts = await recover(self.member_thread, self.watermarks, mine)
        for topic, feed in self.feeds.items():
            own = {partition: start for (name, partition), start in starts.items() if name == topic}
            await feed.assign(own, generation)
        log.info("reading", partitions=len(starts))

    async def _learn_ends(self) -> None:
        while not self.should_stop:
            asked_at = time.monotonic()
            mine = [(topic, partition) for topic, feed in self.feeds.items() for partition in feed.partitions]
            try:
                found = await self.watermarks.ends(mine)
            except Unavailable as error:
                self.kafka.failed(str(error))
                found = {}
            if found:
                self.kafka.answered()
            by_topic: dict[str, dict[int, int]] = defaultdict(dict)
            for (topic, partition), end in found.items():
                by_topic[topic][partition] = end
            for topic, ends in by_topic.items():
                self.feeds[topic].learn_ends(Ends(asked_at, ends))
            await self.sleep(ENDS_EVERY_S)

    @property
    def member_thread(self) -> MemberThread:
        """Where aiokafka's consumer lives, this worker's member of the group."""
        return cast("MemberConsumer", self.consumer).thread

    def _new_transport(self) -> TransportT:
        return Transport(self.conf.broker_consumer, self)


def build(settings: Settings) -> BatchApp:
    """An app without handlers yet, configured for this deployment; connects to nothing.

    Raises
    ------
    SettingsError
        If the Kafka security settings contradict each other or a certificate cannot be read.
    """
    return BatchApp(
        settings,
        broker=[URL(f"kafka://{address.strip()}") for address in settings.kafka_bootstrap.split(",")],
        broker_credentials=credentials(settings),
        consumer_group_instance_id=settings.worker_id,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=SESSION_S / 4,
        consumer_metadata_max_age_ms=10_000,  # so long does a new partition go unread
        broker_request_timeout=30.0,  # must not be shorter than the session
        datadir=str(faust_directory(settings)),
        store="memory://",
        Table=Table,
        TableManager=Tables,
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication,
        # Topics are created explicitly; Faust declares its own with settings nobody chose, and waits for each.
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,  # batches in flight are waited for in `release`
        producer_acks=-1,
        producer_max_request_size=MAX_STATE_BYTES,
        producer_request_timeout=1200.0,  # an outage blocks a batch; it must not lose a table's changelog
        web_enabled=False,  # on by default, on all interfaces, serving the tables
        autodiscover=False,
        worker_redirect_stdouts=False,
    )


def faust_directory(settings: Settings) -> Path:
    """Where Faust keeps what belongs to one worker; created, because Faust creates the last part of a path only.

    Raises
    ------
    UsageError
        If it cannot be made.
    """
    directory = settings.data_dir / "faust" / settings.worker_id
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"set DRIFTLINE_DATA_DIR to a directory that can be written: {error}") from None
    return directory
