"""One process's way to Kafka: a bounded queue, the thread that watches over it, and the count of what became of it.

Last step of `log`: `send` hands the encoded event to librdkafka's queue (0.6 µs) and returns; librdkafka's own threads
batch, compress and deliver without the interpreter's lock. A Python thread that encodes in the background was measured
too: `log` itself takes 0.4 µs instead of 5, but the rest comes back under the same lock in some other request, and
until then the caller could change the event, or a crash lose it. Column frames are made in the background all the same,
of events that are checked and copied before: they trade a few µs there for less work in Kafka and in the pipeline.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import threading
import time
import weakref
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from driftline.errors import ConfigurationError, DropReason, EventDropped
from driftline.framing import Framing

_log = logging.getLogger("driftline")

EXIT_S = 5.0  # how long a process may wait for Kafka at its end, for all its loggers together
POLL_S = 0.1  # how long the watching thread sleeps at most; also what `close` may wait for it
REPORT_S = 60.0  # drops are written to the log at most this often
REPLACE_S = 10.0  # a producer that failed for good is replaced at most this often
ASK_S = 1.0  # how long to wait for an answer about partitions, and until the next question without one
ASK_EVERY_S = 60.0  # topics may be given more partitions


@dataclass(frozen=True, slots=True)
class Stats:
    """What became of the events of this process; the first three add up to all that were logged."""

    queued: int = 0  # waiting for Kafka's acknowledgement
    delivered: int = 0  # acknowledged by Kafka
    dropped: dict[str, int] = field(default_factory=dict)  # by `DropReason`
    nulled: int = 0  # NaN and infinite numbers that became null; their events were sent


class Sender:
    """An idempotent producer that never blocks; it connects at its first event, and again in every forked process."""

    def __init__(self, config: dict[str, Any], topic: str, framing: Framing) -> None:
        self._config = {
            **config,
            "on_delivery": self._on_delivery,
            # Without frames librdkafka reports failures only: what is neither waiting nor failed has been delivered,
            # and a successful delivery never needs the interpreter's lock.
            "delivery.report.only.error": not framing.wanted,
        }
        self._topic = topic  # of what is framed
        self._framing = framing
        self._max_events = int(config["queue.buffering.max.messages"])
        self._max_bytes = int(config["queue.buffering.max.kbytes"]) * 1024
        self._closed = False
        self._reset()
        _SENDERS.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()  # reentrant: a signal handler may log while this thread counts
        self._producer: Producer | None = None
        self._thread: threading.Thread | None = None
        self._accepted = self._failed = self._delivered = self._nulled = self._reported = 0
        self._dropped: Counter[str] = Counter()
        self._latest = ""
        self._connected_at = self._report_at = 0.0
        self._fatal = self._ended = False
        self._gathered_bytes = 0  # JSON of the events that are in no message yet
        self._partitions, self._partitions_at = 0, 0.0  # of the framed topic, 0 when unknown, and when to ask again
        self._wake = threading.Event()
        self._flushing: list[threading.Event] = []  # set when everything gathered before has become messages
        self._framing.clear()

    def send(self, topic: str, key: str, payload: bytes, nulled: int = 0) -> bool:
        """Queue one event; `False` when there is no room. What is not sent, the caller counts with `drop`.

        Raises
        ------
        EventDropped
            If the sender is closed or the producer failed for good.
        """
        with self._lock:
            if self._closed:
                raise EventDropped(DropReason.CLOSED, "the logger was closed before")
            try:
                producer = self._producer or self._start()
                producer.produce(topic, payload, key)
            except BufferError:
                return False  # no exception: during an outage this is what every call comes to
            except KafkaException as error:
                self._fatal |= error.args[0].code() == KafkaError._FATAL
                raise EventDropped(DropReason.DELIVERY_FAILED, str(error)) from None
            except RuntimeError as error:  # no further thread can be started
                raise EventDropped(DropReason.DELIVERY_FAILED, str(error)) from None
            self._accepted += 1
            self._nulled += nulled
            return True

    def gather(self, payload: bytes, nulled: int) -> bool:
        """Let an event travel in a frame with others; otherwise as `send`."""
        with self._lock:
            if self._closed:
                raise EventDropped(DropReason.CLOSED, "the logger was closed before")
            waiting = self._accepted - self._failed - self._delivered
            if waiting >= self._max_events or self._gathered_bytes >= self._max_bytes:
                return False
            try:
                self._producer or self._start()
            except (KafkaException, RuntimeError) as error:
                raise EventDropped(DropReason.DELIVERY_FAILED, str(error)) from None
            self._framing.add(payload)
            self._gathered_bytes += len(payload)
            self._accepted += 1
            self._nulled += nulled
        if self._framing.enough and not self._wake.is_set():
            self._wake.set()
        return True

    def drop(self, reason: DropReason, detail: str, n: int = 1) -> None:
        """Count `n` events that are not sent."""
        with self._lock:
            self._dropped[reason.value] += n
            self._latest = detail

    @property
    def stats(self) -> Stats:
        """The counts of this process at this moment."""
        with self._lock:
            if not self._framing.wanted:
                outstanding = len(self._producer) if self._producer else 0
                # librdkafka's count includes its own notices, such as a log line that nobody has read yet: it may be
                # too high for a moment, never too low, and so only the lowest that was seen says what was delivered.
                self._delivered = max(self._delivered, self._accepted - self._failed - outstanding)
            queued = self._accepted - self._failed - self._delivered
            return Stats(queued, self._delivered, dict(self._dropped), self._nulled)

    def flush(self, timeout_s: float) -> int:
        """Wait until every event is acknowledged or given up, at most `timeout_s`; gives how many still wait."""
        producer = self._producer
        if not producer:
            return 0
        if not self._framing.wanted:
            return producer.flush(max(0.0, timeout_s))
        deadline = time.monotonic() + timeout_s
        framed = threading.Event()
        self._flushing.append(framed)
        self._wake.set()
        framed.wait(max(0.0, timeout_s))
        producer.flush(max(0.0, deadline - time.monotonic()))
        return self.stats.queued

    def close(self, timeout_s: float) -> int:
        """Flush, give up what is left after `timeout_s`, stop the thread; gives how many were given up."""
        with self._lock:
            self._closed = True
        left = self.flush(timeout_s)
        self._ended = True
        self._wake.set()
        if self._thread:
            self._thread.join(10 * POLL_S)
        if self._producer:
            self._give_up(self._producer)
            self._producer = None
        if self._framing.wanted and (lost := self._accepted - self._failed - self._delivered):
            self._fail("given up before it was on its way", lost)
        self._report()
        return left

    def _start(self) -> Producer:
        self._producer = self._connect()
        self._thread = threading.Thread(target=self._watch, name="driftline", daemon=True)
        self._thread.start()
        return self._producer

    def _connect(self) -> Producer:
        self._connected_at = time.monotonic()
        # With a logger librdkafka's own lines ("Connection refused", …) go to `logging` instead of stderr.
        return Producer(self._config, logger=_log)

    def _on_delivery(self, error: KafkaError | None, _: Message | None, n: int = 1) -> None:
        if error is not None:
            self._fail(str(error), n)
        elif self._framing.wanted:
            with self._lock:
                self._delivered += n

    def _fail(self, detail: str, n: int = 1) -> None:
        with self._lock:
            self._failed += n
            self.drop(DropReason.DELIVERY_FAILED, detail, n)

    def _watch(self) -> None:
        while (producer := self._producer) and not self._ended:
            if self._framing.wanted:
                self._wake.wait(min(POLL_S, max(0.01, self._framing.wait_s / 4)))
                self._wake.clear()
                self._send_frames(producer)
                producer.poll(0)
            else:
                producer.poll(POLL_S)
            if self._fatal and time.monotonic() - self._connected_at > REPLACE_S:
                self._replace(producer)
            if time.monotonic() >= self._report_at:
                self._report()

    def _send_frames(self, producer: Producer) -> None:
        """Make messages of the events that are due; of all of them when somebody waits for that."""
        flushing = self._flushing[:]
        if (now := time.monotonic()) >= self._partitions_at:
            self._ask_partitions(producer, now)
        for partition, group in self._framing.cut(self._partitions, now, everything=bool(flushing)):
            for n, message in group.messages(partition):
                self._produce(producer, n, message)
            with self._lock:
                self._gathered_bytes -= group.size
        for each in flushing:
            self._flushing.remove(each)
            each.set()

    def _produce(self, producer: Producer, n: int, message: dict[str, Any]) -> None:
        """Queue one message with `n` events, waiting while there is no room for it."""
        while not self._ended:
            try:
                producer.produce(self._topic, on_delivery=lambda error, _: self._on_delivery(error, None, n), **message)
            except BufferError:
                producer.poll(POLL_S)
            except KafkaException as error:
                self._fatal |= error.args[0].code() == KafkaError._FATAL
                self._fail(str(error), n)
                return
            else:
                return

    def _ask_partitions(self, producer: Producer, now: float) -> None:
        """How many partitions there are, for frames must know; until then events travel one by one."""
        try:
            topic = producer.list_topics(self._topic, timeout=ASK_S).topics[self._topic]
        except KafkaException:
            self._partitions_at = now + ASK_S
        else:
            self._partitions = len(topic.partitions)
            self._partitions_at = now + (ASK_EVERY_S if self._partitions else ASK_S)

    def _replace(self, broken: Producer) -> None:
        """A new producer for one that lost its place in a partition for good and has refused everything since."""
        self._give_up(broken)  # before the exchange: what it still holds must be counted as failed, not as delivered
        with self._lock:
            self._producer, self._fatal = self._connect(), False

    def _give_up(self, producer: Producer) -> None:
        producer.purge()
        if left := producer.flush(POLL_S):  # serves the reports of what was purged
            self._fail("given up while it was on its way", left)

    def _report(self) -> None:
        dropped = dict(self._dropped)
        if (total := sum(dropped.values())) > self._reported:
            _log.warning("%d events were dropped so far, %s; the latest: %s", total, dropped, self._latest)
            self._reported, self._report_at = total, time.monotonic() + REPORT_S


def check(config: dict[str, Any]) -> None:
    """Raise `ConfigurationError` if librdkafka does not take these options; opens no connection that stays."""
    try:
        Producer({**config, "bootstrap.servers": "", "log_level": 0})  # 0: it complains that it has no address
    except (KafkaException, TypeError, ValueError) as error:
        raise ConfigurationError(f"Kafka's client does not take this configuration: {error}") from None


_SENDERS: weakref.WeakSet[Sender] = weakref.WeakSet()  # one that has started is kept alive by its thread


@atexit.register
def _close_all() -> None:
    deadline = time.monotonic() + EXIT_S
    for sender in list(_SENDERS):
        sender.close(deadline - time.monotonic())


def _begin_anew_after_fork() -> None:
    for sender in list(_SENDERS):
        if sender._producer:
            # What the parent had queued is the parent's to deliver, and its producer must not even be freed here:
            # librdkafka would wait a second for threads that a fork does not copy. So it is kept, by one reference.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(sender._producer))
        sender._reset()


os.register_at_fork(after_in_child=_begin_anew_after_fork)
