"""The limit: librdkafka reads, msgspec decodes, and that is all. Who looks into events cannot be faster in Python."""

from __future__ import annotations

import gc

import msgspec

from .kafka import assigned
from .marks import Task
from .types import event_type


def main() -> None:
    """Read and decode."""
    task = Task.of_arguments()
    decode = msgspec.json.Decoder(event_type(task.variant)).decode
    consumer = assigned(task)
    gc.disable()
    task.ready()
    read = 0
    while read < task.events:
        events = [decode(message.value() or b"") for message in consumer.consume(10_000, 1.0)]
        read += len(events)
    task.done(read)
    consumer.close()


if __name__ == "__main__":
    main()
