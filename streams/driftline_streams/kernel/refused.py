"""What becomes of messages that cannot be used: a row and a message each, with place, reason and evidence.

In the walk: beside the effects of every stage; together they account for every offset of a batch. A message that cannot
be read is a value, not an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import msgspec
import numpy as np

from driftline_schemas import topics
from driftline_schemas.records import Reason, Rejected
from driftline_streams.kernel.effects import Coded, Effects, Message, Rows
from driftline_streams.kernel.limits import EVIDENCE_BYTES


@dataclass(frozen=True, slots=True)
class Reject:
    """One event of a batch that could not be used; `index` counts the messages from the start of the batch."""

    index: int
    reason: Reason
    detail: str
    position: int = 0  # in its frame
    frame_size: int = 1
    payload: bytes | None = None  # the evidence, when it is not the beginning of the message


def lose(*, topic: str, partition: int, first: int, n: int, now_ms: int, prefix: str) -> Effects:
    """The row and the message that keep on record that `n` messages from offset `first` on were never read."""
    detail = f"{n} messages, up to offset {first + n - 1}, were deleted before they were read"
    record = Rejected(
        topic=topic,
        partition=partition,
        offset=first,
        position=0,
        reason=Reason.LOST,
        detail=detail,
        payload="",
        rejected_ms=now_ms,
    )
    rows = Rows(
        "rejected",
        1,
        {
            "topic": [topic],
            "partition": np.array([partition], np.uint32),
            "offset": np.array([first], np.uint64),
            "n": np.array([n], np.uint64),
            "reason": [Reason.LOST.value],
            "detail": [detail],
            "rejected_at": np.array([now_ms], np.int64),
        },
    )
    target = topics.REJECTED.full_name(prefix)
    key = f"{topic}:{partition}:{first}:0".encode()
    return Effects((rows,), (Message(target, msgspec.json.encode(record), key),))


def reasons(effects: Effects) -> Counter[str]:
    """How many messages the effects of a batch refuse, by reason."""
    found: Counter[str] = Counter()
    for rows in effects.rows:
        if rows.table == "rejected":
            found.update(cast("Sequence[str]", rows.columns["reason"]))
    return found


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
        evidence = values[reject.index] or b"" if reject.payload is None else reject.payload
        payload = evidence[:EVIDENCE_BYTES].decode(errors="replace")
        payloads.append(payload)
        record = Rejected(
            topic=topic,
            partition=partition,
            offset=offset,
            position=reject.position,
            reason=reject.reason,
            detail=reject.detail,
            payload=payload,
            rejected_ms=now_ms,
        )
        messages.append(Message(target, encode(record), f"{topic}:{partition}:{offset}:{reject.position}".encode()))
    n = len(rejects)
    rows = Rows(
        "rejected",
        n,
        {
            "topic": Coded.constant(topic, n),
            "partition": np.full(n, partition, np.uint32),
            "offset": np.array(places, np.uint64),
            "position": np.array([reject.position for reject in rejects], np.uint32),
            "frame_size": np.array([reject.frame_size for reject in rejects], np.uint32),
            "reason": [reject.reason.value for reject in rejects],
            "detail": [reject.detail for reject in rejects],
            "payload": payloads,
            "rejected_at": np.full(n, now_ms, np.int64),
        },
    )
    return Effects((rows,), tuple(messages))
