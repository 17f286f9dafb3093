"""What follows from what stands in ClickHouse: days are summed up, judged, estimated and compared.

In the walk: behind its end and beside it, by one worker for all. What is found goes the way of every other detection.

    outcomes ─▶ sums of days ─▶ what they will be ─▶ limits ─────────────┐
                        └─────▶ versions, segments and groups compared ──┼─▶ detections
    labels, windows, rows ────▶ flow, drift, features together, estimates ┘
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import partial

import structlog

from driftline_streams import model_topic
from driftline_streams.beside import Beside, Once
from driftline_streams.comparison import pairs
from driftline_streams.comparison.watch import Watch as ComparisonWatch
from driftline_streams.estimation.watch import Watch as EstimationWatch
from driftline_streams.joint.watch import Watch as JointWatch
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.clock import now_ms
from driftline_streams.kernel.effects import Named
from driftline_streams.performance.cohorts import Cohorts
from driftline_streams.performance.expected import Expectations
from driftline_streams.performance.label_flow import LabelFlow
from driftline_streams.performance.labels import LabelWatch
from driftline_streams.performance.watch import Watch
from driftline_streams.reference.learner import Learner
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.transport.producer import Producer

log = structlog.get_logger(__name__)

COHORTS_EVERY_S = 1.0
PERFORMANCE_EVERY_S = 1.0
PERFORMANCE_REST_S = 30.0  # between two judgements while nothing came
LEARN_EVERY_S = 30.0
REPORT_EVERY_S = 10.0
EXPECTED_EVERY_S = 10.0
COMPARE_EVERY_S = 5.0
LABEL_FLOW_EVERY_S = 300.0
LABELS_EVERY_S = 120.0
JOINT_EVERY_S = 10.0
ESTIMATES_EVERY_S = 30.0


class Judgement:
    """The jobs of one worker that read tables, the most important first."""

    def __init__(self, settings: Settings, catalog: Catalog, clickhouse: ClickHouse, producer: Producer) -> None:
        self._settings = settings
        self._clickhouse = clickhouse
        self._producer = producer
        prefix, query = settings.topic_prefix, clickhouse.query
        self._cohorts = Cohorts(catalog, query, clickhouse.execute, [pairs.COMPUTE])
        self._performance = Watch(catalog, prefix, query)
        self._learner = Learner(catalog, query)
        self._expectations = Expectations(catalog, query)
        self._comparisons = ComparisonWatch(catalog, prefix, query)
        self._label_flow = LabelFlow(catalog, prefix, query)
        self._labels = LabelWatch(catalog, prefix, query)
        self._joint = JointWatch(catalog, prefix, query)
        self._estimation = EstimationWatch(catalog, prefix, query)
        self._computed_at = 0.0  # when days were last summed up or expected, in seconds of the monotonic clock
        self._judged_at = 0.0  # when they were last compared with their limits

    def schedule(self, beside: Beside) -> None:
        """Have all of it done beside the walk."""
        beside.every(COHORTS_EVERY_S, "sum up days", partial(Once, self._sum_up), in_backlog=True)
        beside.every(PERFORMANCE_EVERY_S, "watch performance", self._judge)
        beside.every(LEARN_EVERY_S, "learn references", partial(Once, self._learn), in_backlog=True)
        beside.every(REPORT_EVERY_S, "keep final days", partial(Once, self._cohorts.report))
        for seconds, name, watch in (
            (EXPECTED_EVERY_S, "expect performance", self._expect),
            (COMPARE_EVERY_S, "compare versions, segments and groups", self._comparisons),
            (LABEL_FLOW_EVERY_S, "watch the flow of labels", self._label_flow),
            (LABELS_EVERY_S, "watch labels", self._labels),
            (JOINT_EVERY_S, "watch features together", self._joint),
            (ESTIMATES_EVERY_S, "estimate", self._estimation),
        ):
            beside.every(seconds, name, partial(self._publish_all, watch))

    async def _sum_up(self) -> None:
        """The days that labels have come for."""
        done = await self._cohorts()
        if done.computed:
            self._computed_at = time.monotonic()

    async def _judge(self) -> AsyncIterator[None]:
        """Compare days with the limits of the specs, when they were computed, or now and then."""
        now = time.monotonic()
        if self._computed_at > self._judged_at or now - self._judged_at >= PERFORMANCE_REST_S:
            self._judged_at = now
            async for _ in self._publish_all(self._performance):
                yield

    async def _learn(self) -> None:
        """Publish what the first events of versions without a reference look like.

        It is published again when the worker dies before it has read it back, with the same id.
        """
        learned = await self._learner()
        if learned is not None:
            await asyncio.to_thread(model_topic.publish, self._settings, [learned])
            log.info("reference learned", model=learned.model, version=learned.version, n=learned.n)

    async def _expect(self, now_ms: int) -> AsyncIterator[Named]:
        """What the numbers of open days will be; then days are judged by it."""
        async for expected in self._expectations(now_ms):
            self._computed_at = time.monotonic()
            yield expected

    async def _publish_all(self, watch: Callable[[int], AsyncIterator[Named]]) -> AsyncIterator[None]:
        """Carry out the other way round than elsewhere: what stands in ClickHouse is not found again."""
        async for found in watch(now_ms()):
            if found.name:
                await self._producer.send(found.effects.messages)
                await self._clickhouse.insert(found.effects.rows, found.name)
                yield
