"""When a run is over: everything that was published has been read and has had its consequences."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition

from driftline_schemas import topics
from driftline_streams.errors import DriftlineError
from driftline_streams.ledger_positions import take_account
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse

from .oracle import Expected

STALLED_S = 120.0  # sums, what is expected of them and what is judged follow each other at intervals of up to 30 s
LONGEST_S = 300.0

READ = (topics.PREDICTIONS, topics.PARTIALS, topics.LABELS, topics.DETECTIONS)


def wait(settings: Settings, clickhouse: ClickHouse, expected: Expected, look: Callable[[], None]) -> str:
    """Wait until nothing is left to do; empty then, else what was still missing when nothing moved any more.

    `look` is called at each look.
    """
    began = moved_at = time.monotonic()
    before = ""
    while True:
        look()
        missing = left(settings, clickhouse, expected)
        now = time.monotonic()
        if missing != before:
            before, moved_at = missing, now
        if not missing or now - moved_at > STALLED_S or now - began > LONGEST_S:
            return missing
        time.sleep(0.3)


def left(settings: Settings, clickhouse: ClickHouse, expected: Expected) -> str:
    """What is still to be done, empty when nothing is."""
    try:
        if waiting := unread(settings):
            return f"unread: {waiting}"
        fates = take_account(settings, clickhouse, join_within_s=0).labels
        joined = expected.labels["joined"] + expected.labels["unanswered"]
        if fates.joined + fates.unanswered < joined or fates.orphaned < expected.labels["orphaned"]:
            return f"labels are not joined, or orphans are still waited for: {fates}"
        [row] = clickhouse.query_rows(
            "SELECT (SELECT count() FROM outcomes FINAL) AS joined, "
            "(SELECT sum(n) FROM performance FINAL WHERE dim = '' AND stage = 'latest') AS summed"
        )
        if row["summed"] != row["joined"]:
            return f"{row['summed']} of {row['joined']} outcomes are in their cells"
        [row] = clickhouse.query_rows("SELECT count() AS n FROM alerts FINAL WHERE kind = 'performance'")
        if row["n"] < len(expected.below_limit):
            return f"{row['n']} of {len(expected.below_limit)} alerts of performance have been raised"
    except DriftlineError as error:
        return str(error)
    return ""


def unread(settings: Settings) -> str:
    """What the workers have not read, by partition; empty when they have read everything."""
    return asyncio.run(_unread(settings))


async def _unread(settings: Settings) -> str:
    consumer = AIOKafkaConsumer(
        group_id=settings.group, enable_auto_commit=False, bootstrap_servers=settings.kafka_bootstrap
    )
    await consumer.start()
    try:
        names = [topic.full_name(settings.topic_prefix) for topic in READ]
        partitions = [TopicPartition(name, number) for name in names for number in range(settings.partitions)]
        ends = await consumer.end_offsets(partitions)
        committed = {partition: await consumer.committed(partition) or 0 for partition in partitions}
    finally:
        await consumer.stop()
    lags = {f"{p.topic}:{p.partition}": ends[p] - committed[p] for p in partitions if ends[p] > committed[p]}
    return ", ".join(f"{lag} of {name}" for name, lag in lags.items())
