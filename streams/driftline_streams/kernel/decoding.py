"""From bytes to records: what can be read is read at full speed, what cannot has a reason.

In the walk: `join` reads its batches with `decode_all`; `ingest`, which reads unknown fields as well, and the stages
that read our own records share the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar, cast

import msgspec

from driftline_schemas.records import MAX_EVENT_BYTES, Reason
from driftline_streams.kernel.limits import EARLIEST_MS, FUTURE_MS
from driftline_streams.kernel.refused import Reject

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what decoders raise for what a body holds


class Decoder(Protocol[_T_co]):
    """What `msgspec.json.Decoder` is to us."""

    def decode(self, buf: bytes, /) -> _T_co:
        """One record of one body; raises what `classify` knows."""


def decode_all(decoder: Decoder[_T], values: Sequence[bytes | None]) -> tuple[list[_T], list[int], list[Reject]]:
    """Decode the bodies of a batch: the records, the index in the batch of each, and what could not be read.

    An empty batch gives three empty lists. Never raises for what a body holds.

    >>> decode_all(msgspec.json.Decoder(int), [b"1", b"x", None, b"2"])[:2]
    ([1, 2], [0, 3])
    """
    rejects: list[Reject] = []
    records: list[_T] = []
    rest = iter(worth_reading(values))
    decode = decoder.decode
    while True:
        # `extend(map(...))` keeps what it decoded before the error, and the iterator stands behind the bad body.
        try:
            records.extend(map(decode, rest))
            break
        except UNREADABLE as error:
            index = len(records) + len(rejects)
            rejects.append(Reject(index, *(out_of_size(len(values[index] or b"")) or classify(error))))
    bad = {reject.index for reject in rejects}
    return records, [index for index in range(len(values)) if index not in bad], rejects


def worth_reading(values: Sequence[bytes | None]) -> Sequence[bytes]:
    """The bodies, with b"" (which never decodes) in place of those that are not there or too large."""
    if all(values):  # nearly always, and then nothing is copied
        bodies = cast("Sequence[bytes]", values)
        if max(map(len, bodies), default=0) <= MAX_EVENT_BYTES:
            return bodies
    return [value if value is not None and len(value) <= MAX_EVENT_BYTES else b"" for value in values]


def out_of_size(size: int) -> tuple[Reason, str] | None:
    """What is wrong with a body of `size` bytes, `None` when it is worth reading."""
    if size == 0:
        return Reason.EMPTY, "the message has no value"
    if size > MAX_EVENT_BYTES:
        return Reason.TOO_LARGE, f"{size} bytes; at most {MAX_EVENT_BYTES} are taken"
    return None


def classify(error: Exception) -> tuple[Reason, str]:
    """The reason and the sentence for an error of a msgspec decoder; the texts are msgspec's, and each has its test.

    >>> classify(msgspec.ValidationError("Object missing required field `model`"))
    (<Reason.MISSING_FIELD: 'missing_field'>, 'Object missing required field `model`')
    """
    text = str(error)
    if isinstance(error, RecursionError):
        return Reason.MALFORMED_JSON, "nested too deeply"
    if not isinstance(error, msgspec.ValidationError):
        return Reason.MALFORMED_JSON, text  # also invalid UTF-8
    if text.startswith("Object missing required field"):
        return Reason.MISSING_FIELD, text
    if any(sign in text for sign in ("out of range", ">=", "<=", "Invalid enum value")):
        return Reason.TIMESTAMP_OUT_OF_RANGE if text.endswith("at `$.timestamp`") else Reason.OUT_OF_RANGE, text
    return Reason.WRONG_TYPE, text


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
