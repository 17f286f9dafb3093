"""Column frames: from messages that hold many predictions to the `Columns` that single events become.

In the walk: `read` brings here what is no JSON. Some thousand events are read at a time, whatever frames they are in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Raw

from driftline_schemas.frame import MAX_FRAME_BYTES, Column, Frame
from driftline_schemas.records import Reason, Scalar
from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.frame_events import Framed, FrameEvents
from driftline_streams.ingest.gathered import Unreadable
from driftline_streams.ingest.unfold import bound, objects, unfold
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.decoding import UNREADABLE, classify
from driftline_streams.kernel.refused import Reject

# What is made of so many events nearly fits the processor's own cache, and numpy's calls hardly count any more.
EVENTS_AT_A_TIME: Final = 8_000


@dataclass(slots=True)
class FrameReading:
    """The events of frames, what was refused, and how many fields were unknown."""

    parts: list[Columns] = field(default_factory=list)
    refused: list[Reject] = field(default_factory=list)
    unknown_fields: int = 0


def read_frames(messages: Sequence[tuple[int, bytes]], now_ms: int, catalog: Catalog) -> FrameReading:
    """Read frames, each with the index of its message in the batch, at `now_ms` (epoch ms). Raises for no input."""
    reading = FrameReading()
    for group in _groups(messages, reading):
        try:
            _read(group, now_ms, catalog, reading)
        except Unreadable:
            for framed in group:  # whichever it is
                try:
                    _read([framed], now_ms, catalog, reading)
                except Unreadable as error:
                    reading.refused.append(Reject(framed.index, *_why(error)))
    return reading


def _read(group: Sequence[Framed], now_ms: int, catalog: Catalog, reading: FrameReading) -> None:
    """Add the events of a group; raises `Unreadable`, with nothing added, when one of its frames is."""
    events = FrameEvents(group, now_ms)
    columns, rejects = events.columns(catalog), events.rejects()
    if columns is not None:
        reading.parts.append(columns)
    reading.refused += rejects


def _groups(messages: Sequence[tuple[int, bytes]], reading: FrameReading) -> Iterator[list[Framed]]:
    """The frames that can be decoded, some thousand events at a time."""
    group: list[Framed] = []
    n = 0
    for index, value in messages:
        try:
            frame, unknown = _frame(value)
        except (*UNREADABLE, Unreadable) as error:
            reading.refused.append(Reject(index, *_why(error)))
            continue
        reading.unknown_fields += unknown
        group.append(Framed(index, frame, len(value)))
        n += frame.n
        if n >= EVENTS_AT_A_TIME:
            yield group
            group, n = [], 0
    if group:
        yield group


def _frame(value: bytes) -> tuple[Frame, int]:
    """The frame in a message, and how many values there are in columns that are no field: they are in the context."""
    if len(value) > MAX_FRAME_BYTES:
        raise Unreadable(f"{len(value)} bytes; a frame has at most {MAX_FRAME_BYTES}", Reason.TOO_LARGE)
    try:
        return _decode(value), 0
    except UNREADABLE:
        frame = _decode_lenient(value)
    raw = {name: column for name, column in _decode_columns(value).items() if name not in _KNOWN}
    odd = {name: _decode_column(column) for name, column in raw.items()}
    bound(odd if frame.context is None else {**odd, "context": frame.context}, frame.n)  # each event has its own
    unknown = objects(odd, frame.n)
    contexts = [
        _merged(event.get("context"), more) if more else event.get("context")
        for event, more in zip(unfold(frame), unknown, strict=True)
    ]
    return msgspec.structs.replace(frame, context=Column(values=contexts)), sum(map(len, unknown))


def _merged(context: str | None, more: dict[str, Scalar]) -> str:
    """A context with more fields; one that is no object stays what it is, and is refused for that."""
    try:
        return _encode(_decode_fields(context or "{}") | more).decode()
    except UNREADABLE:
        return context or ""


def _why(error: Exception) -> tuple[Reason, str]:
    if isinstance(error, Unreadable):
        return error.reason, str(error)
    if isinstance(error, msgspec.ValidationError):
        return classify(error)
    return Reason.MALFORMED_FRAME, str(error)


class _Strict(Frame, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A frame without columns that are no field."""


_KNOWN = frozenset(Frame.__struct_fields__)
_decode = msgspec.msgpack.Decoder(_Strict).decode
_decode_lenient = msgspec.msgpack.Decoder(Frame).decode
_decode_columns = msgspec.msgpack.Decoder(dict[str, Raw]).decode
_decode_column = msgspec.msgpack.Decoder(Column).decode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode
