"""Messages out: sent together, acknowledged by all in-sync replicas, or an error that says why.

In the walk: `app.py` carries the messages of a batch's effects out with it. After a crash a batch's messages are sent
again; they carry its name or ids derived from it, so who reads them skips the second.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import confluent_kafka
import structlog
from confluent_kafka import KafkaError, KafkaException

from driftline_streams.errors import DriftlineError, Unavailable
from driftline_streams.kernel.effects import Message
from driftline_streams.settings import Settings
from driftline_streams.transport.connection import librdkafka

log = structlog.get_logger(__name__)

# Messages wait in librdkafka for the broker: at most so many kB, then `send` waits before it takes more.
QUEUED_KB = 65_536
POLL_S = 0.1

_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)


class MessageTooLarge(DriftlineError):
    """A message is larger than the topic takes, and always will be."""


class Producer:
    """Sends messages in order, each exactly once for as long as this object lives (idempotent producer)."""

    def __init__(self, settings: Settings) -> None:
        self._bootstrap = settings.kafka_bootstrap
        self._producer = confluent_kafka.Producer(
            {
                **librdkafka(settings),
                "enable.idempotence": True,  # implies acks=all
                "compression.type": "lz4",
                "linger.ms": 5,
                "partitioner": "murmur2_random",  # a key goes where Java's clients and the SDK send it
                "message.timeout.ms": 0,  # an outage blocks the batch for as long as it takes; it does not lose it
                "message.max.bytes": 8 << 20,  # the topic's own limit decides
                "queue.buffering.max.kbytes": QUEUED_KB,
                "error_cb": lambda error: log.debug("sending to Kafka is disturbed", error=error.str()),
            }
        )

    async def send(self, messages: Sequence[Message]) -> None:
        """Send and return when every message is acknowledged; waits for as long as the broker is away.

        Raises
        ------
        MessageTooLarge
            If the topic does not take a message of this size; names the topic and the size.
        Unavailable
            If the broker refused a message for another reason: an unknown topic, missing rights.
        """
        if not messages:
            return
        abandoned = threading.Event()
        try:
            await asyncio.to_thread(self._send, messages, abandoned)
        except asyncio.CancelledError:
            abandoned.set()  # the thread would wait for the end of the outage, and the process for the thread
            raise

    def close(self) -> None:
        """Drop what is not acknowledged: nobody waits for it any more."""
        self._producer.purge()
        self._producer.poll(0)

    def _send(self, messages: Sequence[Message], abandoned: threading.Event) -> None:
        outstanding = len(messages)
        refused: list[tuple[KafkaError, confluent_kafka.Message]] = []

        def delivered(error: KafkaError | None, message: confluent_kafka.Message) -> None:
            nonlocal outstanding
            outstanding -= 1
            if error is not None:
                refused.append((error, message))

        for message in messages:
            self._produce(message, delivered, abandoned)
        while outstanding and not abandoned.is_set():
            self._producer.poll(POLL_S)
        if refused:
            error, failed = refused[0]
            raise self._failure(failed.topic() or "", len(failed), error)

    def _produce(
        self,
        message: Message,
        report: Callable[[KafkaError | None, confluent_kafka.Message], None],
        abandoned: threading.Event,
    ) -> None:
        while not abandoned.is_set():
            try:
                self._producer.produce(
                    message.topic,
                    message.value,
                    message.key,
                    -1 if message.partition is None else message.partition,
                    on_delivery=report,
                    headers=list(message.headers),
                )
            except BufferError:  # the queue is full: wait until some of it is acknowledged
                self._producer.poll(POLL_S)
            except KafkaException as failure:
                raise self._failure(message.topic, len(message.value or b""), failure.args[0]) from None
            else:
                return

    def _failure(self, topic: str, size: int, error: KafkaError) -> DriftlineError:
        if error.code() in _TOO_LARGE:
            return MessageTooLarge(f"{topic} does not take {size:,} bytes: raise its max.message.bytes")
        return Unavailable(f"Kafka at {self._bootstrap} refused a message for {topic}: {error.str()}")
