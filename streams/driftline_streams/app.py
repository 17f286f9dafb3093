"""The walk: every stage in the order in which an event meets it.

    predictions ─▶ ingest ─▶ partials ─▶ detect ─▶ detections ─▶ notify ─▶ alerts, actions
    labels ──────▶ join ───▶ outcomes ─▶ `judgement` ─▶ detections

A stage is a function from a batch to effects. `_carry_out` does them: rows into ClickHouse, then messages to Kafka.
Only then is the batch acknowledged; done twice, effects are the same as done once: they are named by the batch.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

import structlog

from driftline_schemas import topics
from driftline_schemas.records import Reason
from driftline_schemas.topics import Topic
from driftline_streams import model_topic
from driftline_streams.alerts.notify import Notify
from driftline_streams.alerts.send import Sender
from driftline_streams.beside import Beside
from driftline_streams.clocks import Clocks
from driftline_streams.detectors.detect import Detect
from driftline_streams.errors import Unavailable, UsageError
from driftline_streams.ingest import Ingest
from driftline_streams.judgement import Judgement
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.clock import now_ms
from driftline_streams.kernel.effects import Effects
from driftline_streams.kernel.refused import lose, reasons
from driftline_streams.ledger_gaps import Gaps
from driftline_streams.ledger_positions import take_account
from driftline_streams.outcomes.join import FRESH_LABELS, MOST_FRESH, Join, JoinResult
from driftline_streams.outcomes.lookup import Lookup
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.migrations import pending
from driftline_streams.telemetry import logs
from driftline_streams.telemetry.metrics import Metrics
from driftline_streams.transport import worker
from driftline_streams.transport.app import BatchApp, build
from driftline_streams.transport.backlog import Backlog
from driftline_streams.transport.batch import Batch
from driftline_streams.transport.overlay import Overlay
from driftline_streams.transport.producer import Producer

log = structlog.get_logger(__name__)

# A batch of our own messages closes at this age. They are few, made of whole batches as they are, and the wait for more
# of them is added to the age of every alert.
INNER_AGE_S = 0.1
CLOCK_EVERY_S = 0.5
PACE_EVERY_S = 20.0
RETRY_EVERY_S = 0.5
MODELS_EVERY_S = 1.0
BACKLOG_EVERY_S = 1.0
METRICS_EVERY_S = 5.0
RECENT_EVENTS = 2_000_000  # of a topic, that the account of a worker covers: a query of a second at most
LEAD_LABELS = 25_000
LEAD_S = 20.0
LOOK_UP_REST = 4.0  # times as long as a look-up of labels took, unless many wait for one
LAG_REST_S = 2.0


class Pipeline:
    """One worker: the stages, what they share, and the Faust app that feeds them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.app: BatchApp = build(settings)
        self.backlog = Backlog(self.app)
        self.catalog = Catalog()
        self.models = model_topic.Follower(settings)
        self.clickhouse = ClickHouse(settings, on_retry=self._count_retry)
        self.producer = Producer(settings)

        prefix = settings.topic_prefix
        self.ingest = Ingest(self.catalog, prefix)
        self.detect = Detect(self.catalog, prefix, lateness_ms=int(settings.lateness_s * 1000))
        self.join = Join(self.catalog, prefix, Lookup(self.clickhouse))
        self.notify = Notify(self.catalog, prefix)
        self.judgement = Judgement(settings, self.catalog, self.clickhouse, self.producer)
        self.sender = Sender([target.get_secret_value() for target in settings.notify], self.metrics.delivered)

        self.detect_state = self.app.table("detect")
        self.notify_state = self.app.table("notify")

        self._gaps = Gaps(settings)
        self._clocks = Clocks(settings, self.producer)
        self._events_a_message = 1.0  # of the last batch of predictions: many in column frames
        self._looked_up_at, self._look_up_s = 0.0, 0.0  # when labels were last looked up, and how long it took
        self._unmirrored: list[model_topic.Entry] = []  # entries that are not in ClickHouse yet
        self._recovered: set[tuple[str, int]] = set()  # partitions of labels whose waiting labels were taken up

        self.app.on_batches(self._name(topics.PREDICTIONS), self.on_predictions)
        self.app.on_batches(self._name(topics.PARTIALS), self.on_partials, age_s=INNER_AGE_S)
        self.app.on_batches(self._name(topics.LABELS), self.on_labels)
        self.app.on_batches(self._name(topics.DETECTIONS), self.on_detections, age_s=INNER_AGE_S)

        self.app.on_loss(self.on_loss)
        self._keep_time()

    def _keep_time(self) -> None:
        """Have what stands beside the walk done on timers."""
        self.app.every(CLOCK_EVERY_S, self.send_clocks)
        self.app.every(PACE_EVERY_S, self.keep_pace)
        self.app.every(RETRY_EVERY_S, self.retry_labels)
        self.app.every(MODELS_EVERY_S, self.follow_models)
        self.app.every(BACKLOG_EVERY_S, self.look_for_backlog)
        beside = Beside(self.app, mine=self._reads_first, lags=self._lags, failed=self.metrics.failed)
        self.judgement.schedule(beside)
        self.app.every(METRICS_EVERY_S, self.measure)
        if self.settings.ledger_every_s:
            self.app.every(self.settings.ledger_every_s, self.take_account)

    # --- the walk

    async def on_predictions(self, batch: Batch) -> None:
        """Ingest: raw rows, sums of windows and features, partials for `detect`, and what was refused."""
        await self._clocks.announce(batch.partition)
        result = self.ingest(batch, now_ms())
        await self._carry_out(batch.name, result.effects)
        for rows in result.effects.rows:
            if rows.table == "predictions":
                self.join.remember(rows)
        self._events_a_message = (result.stored + result.rejected.total()) / len(batch)
        self.metrics.processed(batch.topic, len(batch), result.stored, _by_name(result.rejected))
        self.metrics.unknown_fields.inc(result.unknown_fields)
        self.metrics.overflowed(
            {
                "features": result.dropped_features,
                "segments": result.folded_segments,
                "categories": result.folded_categories,
            }
        )

    async def on_partials(self, batch: Batch) -> None:
        """Detect: closed windows, change points, drift from the reference, broken objectives."""
        state = Overlay(self.detect_state, batch.partition)
        effects = self.detect(
            [value or b"" for value in batch.values()],
            state,
            now_ms(),
            partition=batch.partition,
            offsets=batch.offsets(),
        )
        await self._carry_out(batch.name, effects)
        await self.app.confirm(batch)
        state.apply()
        self.metrics.refused(batch.topic, reasons(effects))

    async def on_labels(self, batch: Batch) -> None:
        """Join: labels as they came, and outcomes for those that find their prediction."""
        await self._let_predictions_lead()
        result = self.join(batch, now_ms())
        # Neither needs the other: an outcome whose label is not stored yet comes again with its batch.
        await asyncio.gather(self._carry_out(batch.name, result.effects), self._keep_outcomes(result))
        if self.join.fresh >= MOST_FRESH:
            await self._look_up_labels()
        self.metrics.processed(batch.topic, result.read, result.stored, _by_name(result.rejected))

    async def on_detections(self, batch: Batch) -> None:
        """Notify: alerts for people and proposals for machines."""
        state = Overlay(self.notify_state, batch.partition)
        result = self.notify(
            [value or b"" for value in batch.values()],
            state,
            now_ms(),
            partition=batch.partition,
            offsets=batch.offsets(),
        )
        await self._carry_out(batch.name, result.effects)
        await self.sender.send(result.to_send)  # before the state is kept: after a crash rather twice than never
        await self.app.confirm(batch)
        state.apply()
        self.metrics.alerted(alert.severity.value for alert in result.to_send)
        self.metrics.refused(batch.topic, reasons(result.effects))

    async def on_loss(self, topic: str, partition: int, first: int, n: int) -> None:
        """Put on record what Kafka's retention deleted before it was read."""
        prefix = self.settings.topic_prefix
        effects = lose(topic=topic, partition=partition, first=first, n=n, now_ms=now_ms(), prefix=prefix)
        await self._carry_out(f"lost:{topic}:{partition}:{first}-{first + n - 1}", effects)
        self.metrics.refused(topic, {Reason.LOST.value: n})

    async def _carry_out(self, name: str, effects: Effects) -> None:
        await self.clickhouse.insert(effects.rows, name)
        await self.producer.send(effects.messages)

    async def _let_predictions_lead(self) -> None:
        """Leave labels in Kafka for a while when many already wait for predictions that have not been read yet.

        In a backlog labels are read long before what they are about; waiting in Kafka costs them no memory.
        """
        deadline = time.monotonic() + LEAD_S
        while len(self.join.waiting) + self.join.fresh > LEAD_LABELS and self._predictions_lag():
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(0.05)

    def _predictions_lag(self) -> bool:
        """Whether this worker is more than a batch behind in predictions."""
        messages = sum(self.app.lag(self._name(topics.PREDICTIONS)).values())
        return messages * self._events_a_message > self.settings.batch_events

    # --- beside the walk

    async def send_clocks(self) -> None:
        """Tell `detect` which partitions are silent, so that their windows close."""
        await self._clocks.pass_time(self.app.idle_partitions(self._name(topics.PREDICTIONS), self.settings.idle_s))

    async def keep_pace(self) -> None:
        """Tell `detect` how far partitions have been read, so that it knows who is silent among those who speak."""
        ages_s = self.app.read_ages(self._name(topics.PREDICTIONS))
        # Model servers hold events back for a moment before they send them.
        await self._clocks.keep_pace({partition: age_s + self.settings.idle_s for partition, age_s in ages_s.items()})

    async def retry_labels(self) -> None:
        """Look up the labels that found nothing in memory; take up those of partitions that are new here.

        ClickHouse is asked seldom enough that it has most of its time for others, and in a backlog more seldom: there
        the predictions are about to come.
        """
        mine = self._partitions_of_labels()
        if new := mine - self._recovered:
            await self._keep_outcomes(await self.join.recover(new, now_ms()))
        self._recovered = mine
        rested_s = time.monotonic() - self._looked_up_at
        rested = rested_s >= max(LOOK_UP_REST * self._look_up_s, LAG_REST_S if self._predictions_lag() else 0)
        if rested or self.join.fresh >= FRESH_LABELS:
            await self._look_up_labels()
        else:
            await self._keep_outcomes(await self.join.retry(mine, now_ms(), cold=False))

    async def _look_up_labels(self) -> None:
        began = time.monotonic()
        await self._keep_outcomes(await self.join.retry(self._partitions_of_labels(), now_ms()))
        self._looked_up_at = time.monotonic()
        self._look_up_s = self._looked_up_at - began

    def _partitions_of_labels(self) -> set[tuple[str, int]]:
        labels = self._name(topics.LABELS)
        return {(labels, partition) for partition in self.app.feeds[labels].partitions}

    async def _keep_outcomes(self, result: JoinResult) -> None:
        portions = iter(result.outcomes)
        while (portion := await asyncio.to_thread(next, portions, None)) is not None:
            await self._carry_out(portion.name, portion.effects)
        self.metrics.joined.inc(result.joined)
        self.metrics.unanswered.inc(result.unanswered)
        self.metrics.orphaned.inc(result.orphaned)
        self.metrics.waiting.set(result.waiting)

    def prepare(self) -> None:
        """Learn before the first batch which topics there are, and how each model wants its windows.

        A ClickHouse that is away is waited for later, by the first batch.

        Raises
        ------
        UsageError
            If topics or tables are missing.
        Unavailable
            If Kafka does not answer.
        """
        if missing := self._clocks.look_at_topics():
            raise UsageError(f"run `driftline topics` first: {missing[0]} does not exist")
        with suppress(Unavailable):
            if pending(self.clickhouse):
                raise UsageError(
                    f"run `driftline migrate` first: {self.settings.clickhouse_database} is not up to date"
                )
        self._unmirrored = self.models.catch_up()
        model_topic.update(self.catalog, self._unmirrored)

    async def follow_models(self) -> None:
        """Take in specs and references as they are published, and mirror them into ClickHouse."""
        fresh = self.models.poll()
        model_topic.update(self.catalog, fresh)
        self._unmirrored += fresh
        if entries := self._unmirrored:
            name = f"models:{entries[0].offset}-{entries[-1].offset}"
            await self.clickhouse.insert(model_topic.rows(entries), name)
            self._unmirrored = []

    def _lags(self) -> bool:
        """Whether there are predictions or labels to read: days look settled then that are not.

        Or to look up, which is known of this worker's own labels only; a few always are.
        """
        return self.backlog.exists or self.join.fresh > self.settings.batch_events

    async def look_for_backlog(self) -> None:
        """Learn whether any worker is behind; only the one that works beside the walk needs to know."""
        if self._reads_first():
            predictions, labels = self._name(topics.PREDICTIONS), self._name(topics.LABELS)
            await self.backlog.look({predictions: self._events_a_message, labels: 1.0})
        else:
            self.backlog.forget()

    def _reads_first(self) -> bool:
        return 0 in self.app.feeds[self._name(topics.PREDICTIONS)].partitions

    async def measure(self) -> None:
        """Bring the gauges up to date."""
        for topic in self.app.feeds:
            self.metrics.lagging(topic, self.app.lag(topic))
            self.metrics.lost.labels(topic).set(self.app.lost(topic))
        self.metrics.counted("detect", self.detect.counts)
        self.metrics.counted("notify", self.notify.counts)
        recent = self.join.recent
        self.metrics.counted("join", {"hits": recent.hits, "misses": recent.misses, "evicted": recent.evicted})
        waiting = self.join.waiting
        self.metrics.counted("join", {"superseded": waiting.superseded, "overflowed": waiting.overflowed})

    async def take_account(self) -> None:
        """Prove that what was read lately is accounted for; one worker does it, the reader of the first partition."""
        predictions, labels = self._name(topics.PREDICTIONS), self._name(topics.LABELS)
        if not self._reads_first():
            self.metrics.accounted({}, {})
            return
        recent = round(RECENT_EVENTS / max(1, self._events_a_message))
        found = await asyncio.to_thread(take_account, self.settings, self.clickhouse, recent=recent, gaps=self._gaps)
        wrong, lost = Counter[tuple[str, str]](), Counter[str]()
        for line in found.lines:
            wrong[line.topic, "offsets"] += line.wrong
            lost[line.topic] += line.lost
        wrong[predictions, "windows"], wrong[labels, "labels"] = found.windows.wrong, found.labels.wrong
        self.metrics.accounted(wrong, lost)
        if not found.holds:
            log.error("the ledger does not hold", discrepancy=found.discrepancy)

    def _count_retry(self, what: str, _: str) -> None:
        self.metrics.retries.labels("clickhouse").inc()

    def _name(self, topic: Topic) -> str:
        return topic.full_name(self.settings.topic_prefix)


def _by_name(rejected: Mapping[Reason, int]) -> dict[str, int]:
    return {reason.value: n for reason, n in rejected.items()}


def run(settings: Settings) -> int:
    """Run a worker until it is told to stop (0) or fails (1).

    Raises
    ------
    UsageError
        If topics or tables are missing.
    Unavailable
        If Kafka does not answer at the start.
    """
    worker.settle_memory()
    logs.configure(settings.log_format, settings.log_level)
    pipeline = Pipeline(settings)
    pipeline.prepare()
    pipeline.metrics.serve(settings.metrics_host, settings.metrics_port)
    try:
        return worker.run(pipeline.app)
    finally:
        pipeline.models.close()
        pipeline.producer.close()
        pipeline.clickhouse.close()
