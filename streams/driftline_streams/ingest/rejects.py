"""What becomes of the messages that are no events: a row and a message each, with place, reason and evidence.

In the walk: beside the raw rows; together they account for every offset of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from driftline_schemas import topics
from driftline_schemas.records import Rejected
from driftline_streams.ingest.decode import Refusal
from driftline_streams.ingest.event import EventBatch
from driftline_streams.kernel.effects import Coded, Effects, Message, Rows
from driftline_streams.kernel.limits import EVIDENCE_BYTES

_encode = msgspec.json.Encoder().encode


def reject(batch: EventBatch, refused: Sequence[Refusal], prefix: str, now_ms: int) -> Effects:
    """Rows for `rejected` and messages for the topic of the same name; nothing when nothing was `refused`."""
    if not refused:
        return Effects()
    offsets, values = batch.offsets(), batch.values()
    records = [
        Rejected(
            topic=batch.topic,
            partition=batch.partition,
            offset=offsets[refusal.index],
            reason=refusal.reason,
            detail=refusal.detail,
            payload=(values[refusal.index] or b"")[:EVIDENCE_BYTES].decode("utf-8", "replace"),
            rejected_ms=now_ms,
        )
        for refusal in refused
    ]
    n = len(records)
    rows = Rows(
        "rejected",
        n,
        {
            "topic": Coded.constant(batch.topic, n),
            "partition": np.full(n, batch.partition, np.uint32),
            "offset": np.array([record.offset for record in records], np.uint64),
            "reason": [record.reason.value for record in records],
            "detail": [record.detail for record in records],
            "payload": [record.payload for record in records],
            "rejected_at": np.full(n, now_ms, np.int64),
        },
    )
    topic = topics.REJECTED.full_name(prefix)
    messages = [
        Message(topic, _encode(record), key=f"{record.topic}:{record.partition}:{record.offset}".encode())
        for record in records
    ]
    return Effects((rows,), messages)
