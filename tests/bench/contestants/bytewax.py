"""Bytewax: windows as its guide has them (`fold_window` on an `EventClock`), or numpy on the chunks that it reads.

The second takes the guide's advice on performance: large batches of the source, and an operator that gets them whole.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
import msgspec
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main

from .chunks import Window, Windows
from .marks import Task
from .running import Running
from .types import event_type
from .work import WINDOW_MS

GRACE = timedelta(seconds=10)
ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
ORIGIN_MS = int(ORIGIN.timestamp() * 1000)
TUMBLING = win.TumblingWindower(length=timedelta(milliseconds=WINDOW_MS), align_to=ORIGIN)

Messages = list[KafkaSourceMessage[bytes, bytes]]


class Flow:
    """The dataflow of one variant; it counts what it read and keeps what it found."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.read = 0
        self.found: list[dict[str, Any]] = []
        self.flow = Dataflow("windows")
        self._decode = msgspec.json.Decoder(event_type("typed")).decode
        closed = self._chunked() if task.variant == "chunks" else self._one_by_one()
        op.output("out", op.map("result", closed, self._result), KafkaSink([task.bootstrap], task.results_topic))

    def _one_by_one(self) -> Any:
        read = kop.input("read", self.flow, brokers=[self.task.bootstrap], topics=[self.task.topic], tail=False)
        events = op.map("decode", read.oks, self._event)
        keyed = op.key_on("key", events, lambda event: f"{event['model']}|{event['version']}")
        clock = win.EventClock(lambda event: datetime.fromisoformat(event["timestamp"]), GRACE)
        return win.fold_window("window", keyed, clock, TUMBLING, list, _add, _merged).down

    def _chunked(self) -> Any:
        source = KafkaSource([self.task.bootstrap], [self.task.topic], tail=False, batch_size=5_000)
        parts = op.flat_map_batch("sum", op.input("read", self.flow, source), self._parts)
        clock = win.EventClock(lambda part: ORIGIN + timedelta(milliseconds=part[0] - ORIGIN_MS), GRACE)
        return win.fold_window("window", parts, clock, TUMBLING, list, _add_part, _merged).down

    def _event(self, message: KafkaSourceMessage[bytes, bytes]) -> Any:
        self._count(1)
        return orjson.loads(message.value)

    def _parts(self, messages: Messages) -> list[tuple[str, tuple[int, Window]]]:
        self._count(len(messages))
        windows = Windows()
        windows.add([self._decode(message.value) for message in messages])
        return [(f"{model}|{version}", (start, part)) for (model, version, start), part in windows.open.items()]

    def _result(self, item: tuple[str, tuple[int, list[Any]]]) -> KafkaSinkMessage[bytes, bytes]:
        key, (number, [window]) = item
        model, version = key.split("|")
        self.found.append(window.result((model, version, ORIGIN_MS + number * WINDOW_MS)))
        return KafkaSinkMessage(key.encode(), json.dumps(self.found[-1]).encode())

    def _count(self, n: int) -> None:
        if not self.read:
            self.task.ready()
        self.read += n


# The state of a window is a list that is empty or holds its sums: a builder does not know the model.


def _add(state: list[Running], event: dict[str, Any]) -> list[Running]:
    if not state:
        state.append(Running(event["model"]))
    state[0].add(event)
    return state


def _add_part(state: list[Window], part: tuple[int, Window]) -> list[Window]:
    if not state:
        state.append(part[1])
    else:
        state[0].merge(part[1])
    return state


def _merged(state: list[Any], _: list[Any]) -> list[Any]:
    raise AssertionError("tumbling windows never merge")


def main() -> None:
    """Run the dataflow until the topic's end."""
    task = Task.of_arguments()
    flow = Flow(task)
    cli_main(flow.flow)
    task.done(flow.read, flow.found)


if __name__ == "__main__":
    main()
