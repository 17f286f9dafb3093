"""Internal messages that cannot be read, as effects: counted, kept and out of the way.

In the walk: `detect` and `notify`, which read what Driftline itself wrote. Nobody should ever see one of these, but a
partition must not stand still for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from driftline_schemas.records import Reason, Rejected
from driftline_schemas.topics import REJECTED
from driftline_streams.kernel.effects import Effects, Message, Rows
from driftline_streams.kernel.limits import EVIDENCE_BYTES

_encode = msgspec.json.Encoder().encode


def refused(at: tuple[str, int, int], message: bytes, error: msgspec.MsgspecError, now_ms: int) -> Rejected:
    """The record for a message that stands at `at` (topic, partition, offset) and could not be decoded."""
    topic, partition, offset = at
    return Rejected(
        topic=topic,
        partition=partition,
        offset=offset,
        reason=Reason.WRONG_TYPE if isinstance(error, msgspec.ValidationError) else Reason.MALFORMED_JSON,
        detail=str(error),
        payload=message[:EVIDENCE_BYTES].decode(errors="replace"),
        rejected_ms=now_ms,
    )


def effects(records: Sequence[Rejected], prefix: str) -> Effects:
    """Rows of the table and messages of the topic `rejected`; nothing for no records."""
    if not records:
        return Effects()
    rows = Rows(
        "rejected",
        len(records),
        {
            "topic": [r.topic for r in records],
            "partition": np.array([r.partition for r in records], np.uint32),
            "offset": np.array([r.offset for r in records], np.uint64),
            "reason": [r.reason.value for r in records],
            "detail": [r.detail for r in records],
            "payload": [r.payload for r in records],
            "rejected_at": np.array([r.rejected_ms for r in records], np.int64),
        },
    )
    topic = REJECTED.full_name(prefix)
    keys = [f"{r.topic}:{r.partition}:{r.offset}".encode() for r in records]
    return Effects([rows], [Message(topic, _encode(r), key) for r, key in zip(records, keys, strict=True)])
