"""The embedded Kafka is a Kafka: it keeps what it acknowledged, and it is never mistaken for another one."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined] # re-exported without saying so
from confluent_kafka.cimpl import NewTopic

from driftline_streams.embedded import kafka as embedded_kafka
from driftline_streams.embedded.jars import kafka_jars
from driftline_streams.embedded.kafka import cluster_id, start_kafka
from driftline_streams.embedded.ports import free_ports
from driftline_streams.embedded.services import Services
from driftline_streams.errors import Unavailable

YEAR_2013_MS, YEAR_2200_MS = 1_356_998_400_000, 7_258_118_400_000


def written(bootstrap: str, topic: str, values: list[bytes], **given: Any) -> None:
    # librdkafka would wait 30 s for the news of an unknown topic.
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "topic.metadata.propagation.max.ms": 100})
    failures: list[str] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failures.append(str(error))

    for value in values:
        producer.produce(topic, value, on_delivery=delivered, **given)
    assert producer.flush(30) == 0
    assert not failures


def read(bootstrap: str, topic: str, count: int) -> list[Any]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        return consumer.consume(count, timeout=30)
    finally:
        consumer.close()


def test_events_of_any_year_are_accepted_and_keep_their_time(kafka: Any) -> None:
    topic = kafka.topic()
    for time_ms in (YEAR_2200_MS, YEAR_2013_MS):
        written(kafka.bootstrap, topic, [b"{}"], timestamp=time_ms)
    assert [message.timestamp()[1] for message in read(kafka.bootstrap, topic, 2)] == [YEAR_2200_MS, YEAR_2013_MS]


def test_nothing_is_deleted_because_it_is_old(kafka: Any) -> None:
    topic = ConfigResource(ConfigResource.Type.TOPIC, kafka.topic())
    config = kafka.admin.describe_configs([topic])[topic].result(timeout=10)
    assert config["retention.ms"].value == "-1"
    assert config["retention.bytes"].value == "-1"


def test_a_mistyped_topic_is_an_error_and_not_a_new_topic(kafka: Any) -> None:
    with pytest.raises(AssertionError, match="Unknown topic"):
        written(kafka.bootstrap, "predictoins", [b"{}"])
    assert "predictoins" not in kafka.admin.list_topics(timeout=10).topics


def test_kcat_sees_the_topics(kafka: Any) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed")
    topic = kafka.topic(3)
    seen = subprocess.run(["kcat", "-b", kafka.bootstrap, "-L", "-J"], capture_output=True, check=True, timeout=30)
    partitions = {each["topic"]: len(each["partitions"]) for each in json.loads(seen.stdout)["topics"]}
    assert partitions[topic] == 3


def test_acknowledged_messages_survive_kill_9_on_the_same_port(own: Services) -> None:
    admin = AdminClient({"bootstrap.servers": own.kafka_bootstrap})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(timeout=30)
    written(own.kafka_bootstrap, "kept", [b"%d" % n for n in range(1000)])
    before = own.kafka_bootstrap

    own.kafka.kill()
    assert not own.kafka.running.process.alive()
    own.kafka.restart()

    assert own.kafka_bootstrap == before
    assert [message.value() for message in read(before, "kept", 1000)] == [b"%d" % n for n in range(1000)]


def test_another_broker_on_the_chosen_port_is_not_taken_for_ours(
    kafka: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = int(kafka.bootstrap.rpartition(":")[2])
    choices = iter([[taken, *free_ports(1)], free_ports(2)])
    monkeypatch.setattr(embedded_kafka, "free_ports", lambda _: next(choices))

    ours = start_kafka(tmp_path)
    try:
        assert ours.port != taken
        assert cluster_id(ours.port) != cluster_id(taken)
    finally:
        ours.process.stop()
    assert not ours.process.alive()


def test_two_brokers_on_one_directory_are_refused_with_the_reason(own: Services) -> None:
    with pytest.raises(Unavailable, match="another process works on"):
        start_kafka(own.data_dir / "kafka")
    assert cluster_id(own.kafka.running.port) is not None, "the first one goes on"


def test_a_broker_that_cannot_start_shows_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_kafka, "PROPERTIES", embedded_kafka.PROPERTIES + "\nlog.segment.bytes=nonsense\n")
    with pytest.raises(Unavailable, match="nonsense"):
        start_kafka(tmp_path)


def test_without_a_network_the_first_start_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home" / ".config").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_ports(1)[0]}")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(Unavailable, match="Connect to the internet once"):
        kafka_jars()


def test_a_client_finds_the_broker_again_after_a_crash(own: Services, eventually: Callable[..., Any]) -> None:
    admin = AdminClient({"bootstrap.servers": own.kafka_bootstrap, "reconnect.backoff.max.ms": 200, "log_level": 0})
    admin.list_topics(timeout=10)
    own.kafka.restart()

    def answers() -> bool:
        try:
            return bool(admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    assert eventually(answers)
