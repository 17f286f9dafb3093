"""Where partitions begin and end on the broker, now.

Asked over a connection of its own: a broker answers one request of a connection at a time, and on a consumer's the
answer would wait behind a fetch that waits for messages (measured: 3 s more before the first batch).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from driftline_streams.errors import Unavailable
from driftline_streams.settings import Settings
from driftline_streams.transport.connection import librdkafka

TIMEOUT_S = 5.0

EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]

Partition = tuple[str, int]  # topic and number


class Watermarks:
    """Asks the broker."""

    def __init__(self, settings: Settings) -> None:
        self._admin = AdminClient(librdkafka(settings))

    async def begins(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offset of the first message that is still there (where one would be, if there is none).

        Raises
        ------
        Unavailable
            If the broker does not answer in 5 s.
        """
        return await self._ask(partitions, EARLIEST)

    async def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offset after the last message; raises like `begins`."""
        return await self._ask(partitions, LATEST)

    async def _ask(self, partitions: Iterable[Partition], spec: OffsetSpec) -> dict[Partition, int]:
        asked = {TopicPartition(*partition): spec for partition in partitions}
        if not asked:
            return {}
        answers = self._admin.list_offsets(asked, request_timeout=TIMEOUT_S)
        try:
            found = await asyncio.gather(*[asyncio.wrap_future(answer) for answer in answers.values()])
        except KafkaException as failure:
            raise Unavailable(f"cannot ask where partitions begin and end: {failure.args[0].str()}") from None
        return {(tp.topic, tp.partition): answer.offset for tp, answer in zip(answers, found, strict=True)}
