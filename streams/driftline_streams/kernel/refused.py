"""What becomes of messages that cannot be used: a row and a message each, with place, reason and evidence.

In the walk: beside the effects of every stage; together they account for every offset of a batch. A message that cannot
be read is a value, not an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from driftline_schemas import topics
from driftline_schemas.records import Reason, Rejected
from driftline_streams.kernel.effects import Coded, Effects, Message, Rows
from driftline_streams.kernel.limits import EVIDENCE_BYTES


@dataclass(frozen=True, slots=True)
class Reject:
    """One event of a batch that could not be used; `index` counts from the start of the batch."""

    index: int
    reason: Reason
    detail: str


def refuse(
    rejects: Sequence[Reject],
    *,
    topic: str,
    partition: int,
    offsets: Sequence[int],
    values: Sequence[bytes | None],
    now_ms: int,
    prefix: str,
) -> Effects:
    """The rows and messages that keep what was refused of a batch; nothing without `rejects`.

    `topic` is a full name; `offsets` and `values` are the whole batch's, `rejects` point into them.
    """
    if not rejects:
        return Effects()
    target = topics.REJECTED.full_name(prefix)
    encode = msgspec.json.Encoder().encode
    messages = []
    payloads = []
    places = [offsets[reject.index] for reject in rejects]
    for reject, offset in zip(rejects, places, strict=True):
        payload = (values[reject.index] or b"")[:EVIDENCE_BYTES].decode(errors="replace")
        payloads.append(payload)
        record = Rejected(
            topic=topic,
            partition=partition,
            offset=offset,
            reason=reject.reason,
            detail=reject.detail,
            payload=payload,
            rejected_ms=now_ms,
        )
        messages.append(Message(target, encode(record), f"{topic}:{partition}:{offset}".encode()))
    n = len(rejects)
    rows = Rows(
        "rejected",
        n,
        {
            "topic": Coded.constant(topic, n),
            "partition": np.full(n, partition, np.uint32),
            "offset": np.array(places, np.uint64),
            "reason": [reject.reason.value for reject in rejects],
            "detail": [reject.detail for reject in rejects],
            "payload": payloads,
            "rejected_at": np.full(n, now_ms, np.int64),
        },
    )
    return Effects((rows,), tuple(messages))
