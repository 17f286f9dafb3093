"""The page for model services is true: its events are accepted, its code runs, its tables are complete."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition

from driftline import DropReason
from driftline_schemas.records import MAX_EVENT_BYTES, MAX_FEATURES, Label, Prediction, Reason
from driftline_streams.ingest.decode import admit, decode

PAGE = (Path(__file__).parents[2] / "docs" / "model-services.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def test_every_event_on_the_page_is_accepted_by_the_pipeline() -> None:
    *predictions, label = blocks("json")
    assert len(predictions) == 2
    decoded = decode([text.encode() for text in predictions])
    admitted = admit(decoded, now_ms=1_800_000_000_000)
    assert (len(admitted.events), admitted.refused, decoded.unknown_fields) == (2, [], 0)
    assert msgspec.json.decode(label, type=Label).prediction_id == admitted.events[0].prediction_id


@pytest.mark.parametrize("record", [Prediction, Label])
def test_the_tables_name_every_field(record: type[msgspec.Struct]) -> None:
    heading = f"| field of a {record.__name__.lower()} "
    table = PAGE[PAGE.index(heading) :].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.splitlines()[2:])))
    assert named == set(record.__struct_fields__)
    required = {
        name
        for row in table.splitlines()[2:]
        if "**required**" in row and "unless" not in row
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert required == {field.name for field in msgspec.structs.fields(record) if field.required}


def test_every_reason_and_limit_is_explained() -> None:
    for reason in (*Reason, *DropReason):
        assert f"`{reason.value}`" in PAGE
    assert f"{MAX_EVENT_BYTES // 1024} KiB" in PAGE
    assert f"{MAX_FEATURES:,} features" in PAGE


@pytest.fixture
def prefix(kafka: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"docs-{uuid4().hex[:8]}"
    for topic in ("predictions", "labels"):
        kafka.topic(4, name=f"{name}.{topic}")
    monkeypatch.setenv("DRIFTLINE_KAFKA_BOOTSTRAP", kafka.bootstrap)
    monkeypatch.setenv("DRIFTLINE_TOPIC_PREFIX", name)
    return name


def payloads(bootstrap: str, topic: str, n: int) -> list[tuple[int, bytes]]:
    """Partition and value of the `n` messages on a topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": uuid4().hex})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(4)])
    found: list[tuple[int, bytes]] = []
    deadline = time.monotonic() + 90
    while len(found) < n and time.monotonic() < deadline:
        found += [(message.partition() or 0, message.value() or b"") for message in consumer.consume(n, 0.2)]
    consumer.close()
    return found


def test_the_ten_lines_deliver_a_prediction_and_its_label(kafka: Any, prefix: str) -> None:
    code = blocks("python")[0].replace("localhost:9092", kafka.bootstrap)
    exec(compile(code, "model-services.md", "exec"), {})  # noqa: S102 - our own page
    ((partition, prediction),) = payloads(kafka.bootstrap, f"{prefix}.predictions", 1)
    ((beside, label),) = payloads(kafka.bootstrap, f"{prefix}.labels", 1)
    read = msgspec.json.decode(prediction, type=Prediction)
    assert msgspec.json.decode(label, type=Label).prediction_id == read.prediction_id
    assert (read.prediction, partition) == ("late", beside)


def test_the_service_answers_and_logs_success_and_failure(kafka: Any, prefix: str) -> None:
    def model(flight: dict[str, Any]) -> float:
        return float(0.8 / flight["seats"])

    names: dict[str, Any] = {"model": model}
    exec(compile(blocks("python")[1], "model-services.md", "exec"), names)  # noqa: S102 - our own page
    app, logger = names["app"], names["logger"]

    async def use() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://service") as client,
        ):
            return [await client.post("/predict", json={"origin": "EWR", "seats": seats}) for seats in (1, 0)]

    good, bad = asyncio.run(use())
    assert (good.status_code, bad.status_code) == (200, 500)
    assert (logger.stats.delivered, logger.stats.dropped) == (2, {})
    events = [
        msgspec.json.decode(value, type=Prediction)
        for _, value in payloads(kafka.bootstrap, f"{prefix}.predictions", 2)
    ]
    (answer,) = [event for event in events if event.status == "ok"]
    (failure,) = [event for event in events if event.status == "error"]
    assert (answer.prediction_id, answer.score, answer.prediction) == (good.json()["prediction_id"], 0.8, "late")
    assert answer.latency_ms is not None
    assert answer.latency_ms > 0
    assert failure.error is not None
    assert failure.error.type == "ZeroDivisionError"
    assert failure.features == {"origin": "EWR", "seats": 0.0}


@pytest.mark.skipif(shutil.which("kcat") is None, reason="needs kcat")
def test_the_line_for_the_shell_writes_an_event_that_is_accepted(kafka: Any, prefix: str) -> None:
    line = blocks("sh")[0].replace("localhost:9092", kafka.bootstrap).replace("driftline.", f"{prefix}.")
    subprocess.run(["sh", "-c", line], check=True, timeout=30)
    ((partition, value),) = payloads(kafka.bootstrap, f"{prefix}.predictions", 1)
    assert shlex.split(line)[-1] == "topic.partitioner=murmur2_random"
    admitted = admit(decode([value]), now_ms=1_800_000_000_000)
    assert len(admitted.events) == 1
    assert partition == 3  # where a Java client puts the key "a-2" among four partitions; CRC32 would give 2
