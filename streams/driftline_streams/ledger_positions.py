"""The Kafka side of the ledger: where each partition begins, how far it has been read, where it ends.

In the walk: beside it. `sinks.ledger` compares these offsets with the rows in ClickHouse.

Offsets are read with aiokafka: confluent-kafka 2.16.1 reads beyond the end of commit metadata, in which the transport
keeps the names of batches, and then fails on what it finds there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from driftline_schemas.topics import LABELS, PREDICTIONS
from driftline_streams.errors import Unavailable
from driftline_streams.ledger_gaps import Gaps, Key
from driftline_streams.settings import Settings
from driftline_streams.sinks.account import JOIN_WITHIN_S, check, missing
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.ledger import Ledger, Position
from driftline_streams.transport.credentials import credentials

TIMEOUT_S = 15.0
LOOKS = 3
MOST_RUNS = 1_000_000  # of offsets without a row that one look at a partition asks Kafka about


def positions(settings: Settings) -> dict[Key, Position]:
    """The positions of all partitions of predictions and labels, by full topic name and number, without gaps.

    A partition of which nothing was committed has been read up to its beginning. Topics that do not exist are left out.

    Raises
    ------
    Unavailable
        If the broker does not answer.
    """
    return asyncio.run(_positions(settings))


def take_account(
    settings: Settings,
    clickhouse: ClickHouse,
    *,
    join_within_s: float = JOIN_WITHIN_S,
    recent: int | None = None,
    gaps: Gaps | None = None,
) -> Ledger:
    """The ledger of the pipeline of these settings, running or at rest.

    A discrepancy is believed when it is still there at the third look, with offsets read anew. Offsets without a row
    are looked up in Kafka: where it has no message, nothing is missing.

    Parameters
    ----------
    recent
        Of each topic, read only so many offsets back from the committed ones; all without it.
    gaps
        What earlier accounts have learned.

    Raises
    ------
    Unavailable
        If Kafka or ClickHouse does not answer.
    UsageError
        If the tables are missing.
    """
    gaps = Gaps(settings) if gaps is None else gaps
    for _ in range(LOOKS):
        places = positions(settings)
        if recent is not None:
            places = _newest(places, recent)
        places = {key: replace(place, gaps=gaps.within(key, place)) for key, place in places.items()}
        found = check(clickhouse, places, join_within_s=join_within_s, recent=recent is not None)
        if found.holds:
            break
        for line in found.lines:
            key = (line.topic, line.partition)
            if line.missing > line.deleted and key in places:
                gaps.learn(key, missing(clickhouse, line, places[key], MOST_RUNS))
    return found


def _newest(places: Mapping[Key, Position], n: int) -> dict[Key, Position]:
    """The places with no more than the last `n` committed offsets of each topic, shared by its partitions."""
    width = Counter(topic for topic, _ in places)
    return {
        key: replace(place, begin=max(place.begin, place.committed - n // width[key[0]]))
        for key, place in places.items()
    }


async def _positions(settings: Settings) -> dict[Key, Position]:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _read(settings)
    except (KafkaError, TimeoutError) as error:
        raise Unavailable(
            f"Kafka at {settings.kafka_bootstrap} does not say its offsets within {TIMEOUT_S:.0f} s: is it up "
            f"(`driftline up`)? {error}"
        ) from None


async def _read(settings: Settings) -> dict[Key, Position]:
    partitions = await _partitions(settings)
    if not partitions:
        return {}
    # It names the group to ask for its offsets, and does not become a member as long as it does not subscribe.
    consumer = AIOKafkaConsumer(group_id=settings.group, enable_auto_commit=False, **_connection(settings))
    await consumer.start()
    try:
        begins = await consumer.beginning_offsets(partitions)
        # Committed before ends: what is committed in between must not lie beyond the end.
        committed = {partition: await consumer.committed(partition) for partition in partitions}
        ends = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    return {
        (partition.topic, partition.partition): Position(
            begin=begins[partition],
            # Retention may have deleted beyond what a group that rests has committed.
            committed=max(begins[partition], committed[partition] or 0),
            end=ends[partition],
        )
        for partition in partitions
    }


async def _partitions(settings: Settings) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(**_connection(settings))
    try:
        await admin.start()
        names = {topic.full_name(settings.topic_prefix) for topic in (PREDICTIONS, LABELS)}
        # Of all topics: to ask for one by its name may create it.
        described = [topic for topic in await admin.describe_topics() if topic["topic"] in names]
    finally:
        await admin.close()
    return sorted(
        TopicPartition(topic["topic"], each["partition"]) for topic in described for each in topic["partitions"]
    )


def _connection(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap.split(","),
        "client_id": f"{settings.worker_id}-ledger",
    }
    given: Any = credentials(settings)
    if given is not None:
        options |= {"security_protocol": given.protocol.value, "ssl_context": given.context}
    if settings.kafka_username:
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    return options
