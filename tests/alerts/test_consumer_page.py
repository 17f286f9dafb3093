"""The consumer that docs/alert-consumers.md shows works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Producer

from driftline_streams.alerts.notify import Notify
from driftline_streams.kernel.catalog import Catalog

from .findings import finding

PAGE = Path(__file__).parents[2] / "docs" / "alert-consumers.md"


def test_the_example_prints_a_critical_alert_once(kafka: Any, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    topic = kafka.topic()
    code = example.replace("localhost:9092", kafka.bootstrap).replace("driftline.alerts", topic)
    assert code.count(kafka.bootstrap) == code.count(topic) == 1
    half = finding(id="d2", signal="error_rate", statistic=0.5, threshold=0.1, detail="Half of them failed.")
    found = [finding(), half, finding(id="d3", statistic=900.0, detail="Everything is slow.")]
    result = Notify(Catalog(), "driftline")([msgspec.json.encode(d) for d in found], {}, 0)
    warning, critical, other = result.effects.messages
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for message in (warning, critical, critical, other):
        producer.produce(topic, message.value, message.key)
    assert producer.flush(30) == 0
    with subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True) as consumer:
        try:
            assert consumer.stdout is not None
            _, title, cause, _, next_title, next_cause = (consumer.stdout.readline().strip() for _ in range(6))
        finally:
            consumer.kill()
    assert title == "Error rate of flights 1 broke its objective"
    assert cause.startswith("Half of them failed.")
    assert next_title == "Latency of flights 1 broke its objective"
    assert next_cause.startswith("Everything is slow.")
