"""From bytes to records: the good path at full speed, every bad event put aside with its reason.

In the walk: `join` reads its batches with it, and every stage but `ingest` keeps with it what it had to refuse. An
event that cannot be read is a value, not an error: it goes to the `rejected` topic and table with its place in Kafka
and the first bytes of its body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec
import numpy as np

from driftline_schemas import topics
from driftline_schemas.records import MAX_EVENT_BYTES, Reason, Rejected
from driftline_streams.kernel.effects import Coded, Effects, Message, Rows
from driftline_streams.kernel.limits import EARLIEST_MS, EVIDENCE_BYTES, FUTURE_MS

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class Decoder(Protocol[_T_co]):
    """What `msgspec.json.Decoder` is to us."""

    def decode(self, buf: bytes, /) -> _T_co:
        """One record of one body; raises what `classify` knows."""


@dataclass(frozen=True, slots=True)
class Reject:
    """One event of a batch that could not be used; `index` counts from the start of the batch."""

    index: int
    reason: Reason
    detail: str


def decode_all(decoder: Decoder[_T], values: Sequence[bytes | None]) -> tuple[list[_T], list[int], list[Reject]]:
    """Decode the bodies of a batch: the records, the index in the batch of each, and what could not be read.

    An empty batch gives three empty lists. Never raises for what a body holds.

    >>> decode_all(msgspec.json.Decoder(int), [b"1", b"x", None, b"2"])[:2]
    ([1, 2], [0, 3])
    """
    rejects: list[Reject] = []
    bodies = _screen(values, rejects)
    screened = {reject.index for reject in rejects}
    records: list[_T] = []
    missed: list[int] = []
    rest = iter(bodies)
    decode = decoder.decode
    while True:
        # `extend(map(...))` keeps what it decoded before the error, and the iterator stands behind the bad body.
        try:
            records.extend(map(decode, rest))
            break
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            index = len(records) + len(missed)
            missed.append(index)
            if index not in screened:
                rejects.append(Reject(index, *classify(error)))
    rejects.sort(key=lambda reject: reject.index)
    bad = set(missed)
    indices = [i for i in range(len(values)) if i not in bad] if bad else list(range(len(values)))
    return records, indices, rejects


def _screen(values: Sequence[bytes | None], rejects: list[Reject]) -> list[bytes]:
    """The bodies, with b"" (which never decodes) in place of those that are not worth decoding."""
    bodies = [value or b"" for value in values]
    sizes = list(map(len, bodies))
    if sizes and not (min(sizes) > 0 and max(sizes) <= MAX_EVENT_BYTES):
        for index, size in enumerate(sizes):
            if size == 0:
                rejects.append(Reject(index, Reason.EMPTY, "the message has no body"))
            elif size > MAX_EVENT_BYTES:
                detail = f"{size} bytes; at most {MAX_EVENT_BYTES} are taken"
                rejects.append(Reject(index, Reason.TOO_LARGE, detail))
                bodies[index] = b""
    return bodies


def classify(error: Exception) -> tuple[Reason, str]:
    """The reason and the sentence for an error of a msgspec decoder.

    >>> classify(msgspec.ValidationError("Object missing required field `model`"))
    (<Reason.MISSING_FIELD: 'missing_field'>, 'Object missing required field `model`')
    """
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        if isinstance(error, RecursionError):
            text = "nested too deeply"
        return Reason.MALFORMED_JSON, text
    if "missing required field" in text:
        return Reason.MISSING_FIELD, text
    if "got `" in text or "with a timezone component" in text or "Invalid RFC3339" in text:
        return Reason.WRONG_TYPE, text
    return Reason.OUT_OF_RANGE, text


def out_of_time(time_ms: int, now_ms: int) -> str | None:
    """What is wrong with an event time, `None` when it lies in [2000-01-01, `now_ms` + 24 h].

    >>> out_of_time(1_700_000_000, now_ms=1_700_000_000_000)
    '1700000000 ms is before 2000-01-01; times are in milliseconds'
    """
    if time_ms < EARLIEST_MS:
        return f"{time_ms} ms is before 2000-01-01; times are in milliseconds"
    if time_ms > now_ms + FUTURE_MS:
        return f"{time_ms} ms is more than 24 h in the future"
    return None


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
