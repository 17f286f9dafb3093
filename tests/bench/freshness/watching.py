"""Who waits for results: a client that asks ClickHouse what it can see, and one that reads the alerts as they come."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import numpy as np
import numpy.typing as npt
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from driftline_schemas.records import Alert
from driftline_schemas.topics import ALERTS
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse

POLL_S = 0.05

_SEEN = (
    "SELECT partition, max(offset) AS last FROM predictions WHERE offset >= {least:UInt64} GROUP BY partition "
    "SETTINGS use_query_condition_cache = 0"
)


class _Thread(threading.Thread):
    """Works until it is left; what it raises is raised there."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.join(30)
        if self.error is not None:
            raise self.error

    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self.error = error

    def work(self) -> None:
        raise NotImplementedError


class Rows(_Thread):
    """Asks every 50 ms for the last offset of each partition; an offset is seen when the answer is here."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._clickhouse = ClickHouse(settings)
        self.last: dict[int, int] = {}
        self.polls_s: list[float] = []  # how long each took
        self._seen: dict[int, list[tuple[int, float]]] = {}

    def work(self) -> None:
        while not self.done.is_set():
            asked = time.monotonic()
            least = min(self.last.values(), default=0)
            answer = self._clickhouse.query_rows(_SEEN, {"least": least})
            now_ms = time.time() * 1000
            self.polls_s.append(time.monotonic() - asked)
            for row in answer:
                partition, last = row["partition"], row["last"]
                if last > self.last.get(partition, -1):
                    self.last[partition] = last
                    self._seen.setdefault(partition, []).append((last, now_ms))
            self.done.wait(max(0.0, POLL_S - (time.monotonic() - asked)))
        self._clickhouse.close()

    def seen_ms(self, partition: npt.NDArray[Any], offset: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """When each event (arrays of shape `(n,)`) was first seen, in epoch ms; NaN for one that never was."""
        out = np.full(len(offset), np.nan)
        for number, found in self._seen.items():
            mine = partition == number
            lasts, times = np.array([last for last, _ in found]), np.array([at for _, at in found] + [np.nan])
            out[mine] = times[np.searchsorted(lasts, offset[mine])]
        return out


@dataclass(frozen=True, slots=True)
class Arrival:
    """An alert, and when it was readable, in epoch ms."""

    alert: Alert
    at_ms: float


class Alerts(_Thread):
    """Reads the topic of alerts as any consumer would."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        topic = ALERTS.full_name(settings.topic_prefix)
        self.found: list[Arrival] = []
        self._consumer = Consumer(
            {"bootstrap.servers": settings.kafka_bootstrap, "group.id": "freshness", "enable.auto.commit": False}
        )
        self._consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(settings.partitions)])

    def work(self) -> None:
        decode = msgspec.json.Decoder(Alert).decode
        while not self.done.is_set():
            for message in self._consumer.consume(1, 0.1):
                now_ms = time.time() * 1000
                value = message.value()
                if message.error() is None and value is not None:
                    self.found.append(Arrival(decode(value), now_ms))
        self._consumer.close()
