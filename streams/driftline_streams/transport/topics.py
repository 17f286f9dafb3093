"""The topics on the broker: created explicitly, checked, described; never on demand.

In the walk: before it. `driftline topics` and a worker that starts create what is missing; what exists stays as it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from driftline_schemas.topics import ALL
from driftline_streams.errors import Unavailable, UsageError
from driftline_streams.settings import Settings
from driftline_streams.transport.connection import librdkafka

TIMEOUT_S = 15.0
# A value of a table outlives the writes of a worker that froze, forgot time and overwrote it; see `state.py`.
COMPACTION_LAG_MS = str(10 * 60 * 1000)
# The state of a model with very many categories is larger than the megabyte that a broker takes by default.
MAX_STATE_BYTES = 8_000_000
COMPACTED = {
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": COMPACTION_LAG_MS,
    "max.message.bytes": str(MAX_STATE_BYTES),
}

# The tables whose state outlives a worker: each has a compacted changelog topic beside the topics of the contract.
TABLES = ("detect", "notify")


@dataclass(frozen=True, slots=True)
class Described:
    """A topic as it should be and as it is; `partitions` and `replicas` are 0 when the broker does not have it."""

    name: str
    compacted: bool
    expected_partitions: int
    partitions: int
    replicas: int

    @property
    def as_expected(self) -> bool:
        """Whether it exists with the expected number of partitions."""
        return self.partitions == self.expected_partitions


def changelog(settings: Settings, table: str) -> str:
    """The changelog topic of a table, as Faust names it.

    >>> changelog(Settings(group="driftline"), "detect")
    'driftline-detect-changelog'
    """
    return f"{settings.group}-{table}-changelog"


def create_all(settings: Settings, tables: Sequence[str] = TABLES) -> list[str]:
    """Create the topics of the contract and the changelogs of `tables` that are missing; return the created names.

    Raises
    ------
    Unavailable
        If the broker does not answer or refuses.
    UsageError
        If an existing topic has another number of partitions than a changelog beside it needs.
    """
    wanted = _contract(settings, tables)
    created = create(settings, wanted)
    wrong = [found for found in describe(settings, tables) if not found.as_expected]
    changelogs = {changelog(settings, table) for table in tables}
    # A table's partition is the partition of the batch that wrote it, so a changelog must match; a topic that a
    # deployment made wider or narrower on purpose is its own business, unless a table hangs on it.
    if any(found.name in changelogs for found in wrong):
        listed = ", ".join(f"{f.name} has {f.partitions} instead of {f.expected_partitions}" for f in wrong)
        raise UsageError(f"set DRIFTLINE_PARTITIONS to what the topics have, or recreate them: {listed}")
    return created


def create(settings: Settings, topics: Iterable[NewTopic]) -> list[str]:
    """Create the topics that do not exist, wait until every one has leaders, and return the names that were new.

    Raises
    ------
    Unavailable
        If the broker does not answer or refuses; names the topic and the reason.
    """
    admin = AdminClient(librdkafka(settings))
    topics = list(topics)
    created: list[str] = []
    futures: dict[str, Future[None]] = admin.create_topics(topics, request_timeout=TIMEOUT_S)
    for name, future in futures.items():
        try:
            future.result(TIMEOUT_S * 2)
            created.append(name)
        except KafkaException as failure:
            error = failure.args[0]
            if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise Unavailable(f"cannot create {name} on {settings.kafka_bootstrap}: {error.str()}") from None
    _wait_for_leaders(settings, admin, {topic.topic for topic in topics})
    return created


def describe(settings: Settings, tables: Sequence[str] = TABLES) -> list[Described]:
    """The topics of the contract and the changelogs of `tables`, with what the broker has, in the contract's order.

    Raises
    ------
    Unavailable
        If the broker does not answer.
    """
    found = _partitions(settings, AdminClient(librdkafka(settings)))
    return [
        Described(
            name=topic.topic,
            compacted="cleanup.policy" in (topic.config or {}),
            expected_partitions=topic.num_partitions,
            partitions=len(found.get(topic.topic, ())),
            replicas=max((len(replicas) for _, replicas in found.get(topic.topic, ())), default=0),
        )
        for topic in _contract(settings, tables)
    ]


def new_topic(settings: Settings, name: str, *, compacted: bool = False, partitions: int | None = None) -> NewTopic:
    """A topic to `create` with the deployment's partitions and replicas; `compacted` keeps the last value of a key."""
    return NewTopic(
        name,
        num_partitions=partitions or settings.partitions,
        replication_factor=settings.replication,
        config=COMPACTED if compacted else {},
    )


def _contract(settings: Settings, tables: Sequence[str]) -> list[NewTopic]:
    contract = [
        new_topic(settings, t.full_name(settings.topic_prefix), compacted=t.compacted, partitions=t.partitions)
        for t in ALL
    ]
    return contract + [new_topic(settings, changelog(settings, table), compacted=True) for table in tables]


def _wait_for_leaders(settings: Settings, admin: AdminClient, names: set[str]) -> None:
    # A topic is created before its partitions have leaders; a consumer that subscribes in between waits for minutes
    # until its metadata is refreshed.
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        found = _partitions(settings, admin)
        missing = {n for n in names if not found.get(n) or any(leader < 0 for leader, _ in found[n])}
        if not missing:
            return
        if time.monotonic() > deadline:
            raise Unavailable(f"no leader within {TIMEOUT_S:.0f} s for {', '.join(sorted(missing))}")
        time.sleep(0.05)


def _partitions(settings: Settings, admin: AdminClient) -> dict[str, list[tuple[int, list[int]]]]:
    try:
        metadata = admin.list_topics(timeout=TIMEOUT_S)
    except KafkaException as failure:
        raise Unavailable(
            f"Kafka at {settings.kafka_bootstrap} does not answer: {failure.args[0].str()}; is it up (`driftline up`)?"
        ) from None
    return {
        name: [(p.leader, list(p.replicas)) for p in topic.partitions.values()]
        for name, topic in metadata.topics.items()
    }
