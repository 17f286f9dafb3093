"""What Kafka does to offsets: markers and aborted messages are no events, and new partitions are read like the old."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from driftline_schemas.topics import PARTIALS, PREDICTIONS
from driftline_streams.ledger_positions import take_account


def test_transactions_and_a_topic_that_grows_keep_the_ledger(pipeline: Any, eventually: Callable[..., Any]) -> None:
    topic, bootstrap = PREDICTIONS.full_name(pipeline.settings.topic_prefix), pipeline.settings.kafka_bootstrap
    now_ms = time.time_ns() // 1_000_000

    def event(name: str) -> bytes:
        fields = {"prediction_id": name, "model": "m", "version": "1", "timestamp": now_ms, "prediction": 1}
        return json.dumps(fields).encode()

    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic})
    producer.init_transactions()
    for number in range(6):
        producer.begin_transaction()
        for i in range(20):
            producer.produce(topic, event(f"{number}-{i}"), partition=i % 2)
        producer.flush()
        producer.abort_transaction() if number % 3 == 1 else producer.commit_transaction()
    eventually(lambda: pipeline.one("SELECT count() FROM predictions") == 80)

    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_partitions([NewPartitions(topic, 3)])[topic].result(10)
    eventually(lambda: len(admin.list_topics(topic).topics[topic].partitions) == 3)
    pipeline.publish(PREDICTIONS, *[event(f"new-{i}") for i in range(30)], partition=2)
    eventually(lambda: pipeline.one("SELECT count() FROM predictions WHERE partition = 2") == 30)

    clocks = [json.loads(message) for message in pipeline.read(PARTIALS)]
    assert {clock["partition"] for clock in clocks if clock.get("time_ms") == 0} == {0, 1, 2}, "detect knows of all"

    def holds() -> bool:
        found = take_account(pipeline.settings, pipeline.clickhouse)
        assert found.holds, found.discrepancy
        # Twenty aborted and five markers; the sixth stands behind the last message.
        return [(line.gaps, line.unread) for line in found.lines if line.topic == topic] == [(25, 1), (25, 1), (0, 0)]

    eventually(holds)
