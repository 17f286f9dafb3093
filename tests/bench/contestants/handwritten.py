"""The loop that a strong engineer writes in an afternoon: confluent-kafka, msgspec, numpy, no framework.

Chunks are added to windows with numpy; a window closes when the slowest partition has passed its end by the grace, and
is published; then offsets are committed. What is open at a crash is lost.
"""

from __future__ import annotations

import gc
import json
from typing import Any

import msgspec
from confluent_kafka import Producer

from .chunks import Windows
from .kafka import assigned
from .marks import Task
from .running import time_ms
from .types import event_type

GRACE_MS = 5_000  # what is later is lost
END_MS = 2**62


def main() -> None:
    """Read, decode, add up, publish."""
    task = Task.of_arguments()
    decode = msgspec.json.Decoder(event_type(task.variant)).decode
    windows = Windows(generic=task.variant == "generic")
    producer = Producer({"bootstrap.servers": task.bootstrap})
    consumer = assigned(task)
    gc.freeze()
    gc.set_threshold(100_000)
    task.ready()
    read = 0
    results: list[dict[str, Any]] = []
    latest_ms = dict.fromkeys(range(task.partitions), 0)

    def publish(before_ms: int) -> None:
        closed = windows.close(before_ms)
        for result in closed:
            producer.produce(task.results_topic, json.dumps(result).encode())
        if closed:
            producer.flush()
            consumer.commit(asynchronous=True)
        results.extend(closed)

    while read < task.events:
        messages = consumer.consume(10_000, 1.0)
        events = [decode(message.value() or b"") for message in messages]
        if events:
            windows.add(events)
        for partition, event in {m.partition(): event for m, event in zip(messages, events, strict=True)}.items():
            latest_ms[partition or 0] = max(latest_ms[partition or 0], time_ms(event.timestamp))
        read += len(messages)
        publish(min(latest_ms.values()) - GRACE_MS)
    publish(END_MS)
    task.done(read, results)
    consumer.close()


if __name__ == "__main__":
    main()
