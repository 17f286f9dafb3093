"""Sends records to Kafka as fast as one core can, or at a stated pace, and knows what became of each.

Last step of a replay. A model service must never wait, so the SDK drops what Kafka does not take; a replay must never
drop, so this waits instead.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from driftline.connection import producer_config, topic_prefix
from driftline.framing import Framing
from driftline_schemas.records import Label, Prediction
from driftline_schemas.topics import LABELS, PREDICTIONS

_log = logging.getLogger("driftline")

Progress = Callable[[int, int], None]  # events handed over so far, event time of the latest in ms

MAX_QUEUED = 100_000  # events that wait for Kafka, about 50 MB
STEP = 1_000  # events between two looks at failures and calls of `progress`
LEAVE_S = 5.0  # how long leaving after Ctrl-C may take
SLEEP_S = 0.2  # the longest wait between two looks at the clock
FRAME_WAIT_S = 0.2  # how long an event waits for its frame, when events come at a pace
ASK_S = 10.0  # how long to wait for the number of partitions


@dataclass(frozen=True, slots=True)
class Published:
    """What became of the records: `delivered` + `failed` + `unknown` = `predictions` + `labels`."""

    predictions: int
    labels: int
    delivered: int  # acknowledged by Kafka
    failed: int  # given up by the producer
    unknown: int  # neither, when the publisher was left early
    first_failure: str  # empty without one
    seconds: float
    cpu_s: float  # of the whole process in that time

    @property
    def events_per_s(self) -> float:
        """Records a second; 0 when nothing was sent."""
        return (self.predictions + self.labels) / self.seconds if self.seconds else 0.0


class Publisher:
    """An idempotent producer with the SDK's settings; as a context manager it leaves nothing half sent.

    Parameters
    ----------
    bootstrap, prefix, config
        As in `PredictionLogger`: Kafka's address, prefix of the topics, further options of librdkafka.
    speed
        Seconds of event time a second; 0 is as fast as possible.
    frame_events
        With more than 1, predictions travel in column frames of up to so many.
    """

    def __init__(
        self,
        bootstrap: str | None = None,
        prefix: str | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        speed: float = 0.0,
        frame_events: int = 1,
    ) -> None:
        names = topic_prefix(prefix)
        self._topics: dict[type, str] = {Prediction: PREDICTIONS.full_name(names), Label: LABELS.full_name(names)}
        self._sent: dict[type, int] = {Prediction: 0, Label: 0}
        self._failed = self._acknowledged = 0
        self._first_failure = ""
        self._framing = Framing(frame_events, FRAME_WAIT_S)
        self._partitions = 0  # of the predictions
        self._speed = speed
        self._started_at, self._began_cpu_s = time.monotonic(), time.process_time()
        self._first_ms: int | None = None
        self._first_at = 0.0
        options = {
            "on_delivery": self._on_delivery,
            "delivery.report.only.error": not self._framing.wanted,  # else what is neither waiting nor failed is there
            **(config or {}),
        }
        # With a logger librdkafka's own lines ("Connection refused", …) go to `logging` instead of stderr.
        self._producer = Producer(producer_config(bootstrap, options, MAX_QUEUED), logger=_log)

    def publish(self, records: Iterable[Prediction | Label], progress: Progress | None = None) -> None:
        """Hand over records in the given order, which should be that of their times; waits while Kafka is behind.

        Times are milliseconds since 1970. May be called again with more.
        """
        encode, produce, topics, sent = _ENCODER.encode, self._producer.produce, self._topics, self._sent
        framing = self._framing
        done, latest_ms = sum(sent.values()), 0
        for record in records:
            kind = type(record)
            if self._speed:
                self._pace(_ms(record))
            payload = encode(record)
            if framing.wanted and isinstance(record, Prediction):
                framing.add(payload)
                if framing.enough or self._speed:
                    self._send_frames(everything=False)
            else:
                try:
                    produce(topics[kind], payload, record.prediction_id)
                except BufferError:
                    self._wait_for_room(topics[kind], {"value": payload, "key": record.prediction_id})
            sent[kind] += 1
            done += 1
            if not done % STEP:
                self._producer.poll(0)
                if progress is not None:
                    progress(done, latest_ms := _ms(record))
        self._send_frames(everything=True)
        if progress is not None and done % STEP:
            progress(done, latest_ms)

    def finish(self, timeout_s: float = -1) -> Published:
        """Wait until Kafka has acknowledged or refused every record (at most `timeout_s`) and say what became of it."""
        left = self._producer.flush(timeout_s)
        total = sum(self._sent.values())
        if self._framing.wanted:
            left = total - self._failed - self._acknowledged  # events, not messages
        return Published(
            predictions=self._sent[Prediction],
            labels=self._sent[Label],
            delivered=total - self._failed - left,
            failed=self._failed,
            unknown=left,
            first_failure=self._first_failure,
            seconds=time.monotonic() - self._started_at,
            cpu_s=time.process_time() - self._began_cpu_s,
        )

    def __enter__(self) -> Self:
        self._started_at, self._began_cpu_s = time.monotonic(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._producer.flush(-1 if kind is None else LEAVE_S):
            self._producer.purge()
            self._producer.flush(SLEEP_S)  # serves the reports of what was purged

    def _on_delivery(self, error: KafkaError | None, _: Message | None, n: int = 1) -> None:
        if error is not None:
            self._failed += n
            self._first_failure = self._first_failure or error.str()
        else:
            self._acknowledged += n

    def _send_frames(self, *, everything: bool) -> None:
        """Send the frames that are due; all events with `everything`."""
        if not self._framing.wanted:
            return
        topic = self._topics[Prediction]
        if not self._partitions:
            with suppress(KafkaException):  # then they travel one by one, and fail as those do
                self._partitions = len(self._producer.list_topics(topic, timeout=ASK_S).topics[topic].partitions)
        for partition, group in self._framing.cut(self._partitions, time.monotonic(), everything=everything):
            for n, message in group.messages(partition):
                self._wait_for_room(topic, {**message, "on_delivery": partial(self._on_delivery, n=n)})

    def _wait_for_room(self, topic: str, message: dict[str, Any]) -> None:
        while True:
            try:
                return self._producer.produce(topic, **message)
            except BufferError:
                self._producer.poll(SLEEP_S)

    def _pace(self, at_ms: int) -> None:
        """Wait until it is this event's turn; events that are out of order do not wait."""
        now = time.monotonic()
        if self._first_ms is None:
            self._first_ms, self._first_at = at_ms, now
        due = self._first_at + (at_ms - self._first_ms) / 1000 / self._speed
        while (left := due - time.monotonic()) > 0:
            self._producer.poll(min(left, SLEEP_S))


def _ms(record: Prediction | Label) -> int:
    at = record.timestamp
    return at if isinstance(at, int) else int(at.timestamp() * 1000)


_ENCODER = msgspec.json.Encoder()
