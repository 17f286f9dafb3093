"""The events of a frame one by one, as they would be by themselves: slow, and for the few that need it.

In the walk: beside `frames`. What is refused of a frame is kept as the JSON of its event, and columns that are no field
become fields of the context.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from msgspec import Raw

from driftline_schemas.frame import MAX_FRAME_TEXT, Column, Frame
from driftline_schemas.records import Reason, Scalar
from driftline_streams.ingest.gathered import Unreadable

OBJECTS = ("probabilities", "features", "segment")
FIELDS = tuple(name for name in Frame.__struct_fields__ if name not in ("frame", "n", *OBJECTS))

_encode = msgspec.json.Encoder().encode
_check = msgspec.json.Decoder(Raw).decode


def unfold(frame: Frame) -> list[dict[str, Any]]:
    """Its events as single ones have their fields; `context` stays a text. Raises `Unreadable` as `values` does."""
    columns = {name: column for name in FIELDS if (column := getattr(frame, name)) is not None}
    events: list[dict[str, Any]] = [
        {name: value for name, value in event.items() if value is not None} for event in objects(columns, frame.n)
    ]
    for name in OBJECTS:
        if parts := getattr(frame, name):
            for event, part in zip(events, objects(parts, frame.n), strict=True):
                if part:
                    event[name] = part
    for event in events:
        error = {"type": event.pop("error_type", None), "message": event.pop("error_message", None)}
        if given := {name: value for name, value in error.items() if value is not None}:
            event["error"] = given
    return events


def objects(columns: Mapping[str, Column], n: int) -> list[dict[str, Scalar]]:
    """What each of `n` events has in these columns."""
    found: list[dict[str, Scalar]] = [{} for _ in range(n)]
    for name, column in columns.items():
        for position, value in values(column, n):
            found[position][name] = value
    return found


def values(column: Column, n: int) -> Iterator[tuple[int, Scalar]]:
    """The positions that have a value, and their values; a null is `None`.

    Raises
    ------
    Unreadable
        If there are not as many as there should be.
    """
    try:
        at = range(n) if column.at is None else np.frombuffer(column.at, "<u4").tolist()
        given: list[Scalar] = column.values or []
        if column.f64 is not None:
            given = [None if value != value else value for value in np.frombuffer(column.f64, "<f8").tolist()]  # noqa: PLR0124  # NaN
        elif column.i64 is not None:
            given = np.frombuffer(column.i64, "<i8").tolist()
        elif column.codes is not None and len(at):
            codes = np.frombuffer(column.codes, f"<u{len(column.codes) // len(at)}")
            given = [given[code] for code in codes.tolist()]
        if len(at) and max(at) >= n:
            raise Unreadable(f"position {max(at)} of {n} events")
        yield from zip(at, given, strict=True)
    except (ValueError, TypeError, IndexError) as error:
        raise Unreadable(f"a column does not fit {n} events: {error}") from None


def bound(columns: Mapping[str, Column], n: int) -> None:
    """Raise `Unreadable` when the texts and names of these columns, written out, are more than is taken."""
    written = 0
    for name, column in columns.items():
        written += sum(len(name) + (len(value) if type(value) is str else 0) for _, value in values(column, n))
        if written > MAX_FRAME_TEXT:
            raise Unreadable(f"more than {MAX_FRAME_TEXT} characters, written out", Reason.TOO_LARGE)


def as_json(event: Mapping[str, Any]) -> bytes:
    """The JSON of an event of `unfold`; a context that is no JSON is a text in it."""
    if "context" not in event:
        return _encode(event)
    try:
        _check(event["context"])
    except (msgspec.DecodeError, RecursionError):
        return _encode(event)
    return _encode({**event, "context": Raw(event["context"].encode())})


def longest(frame: Frame) -> int:
    """More bytes than any event of the frame has by itself, if its texts are plain."""
    columns = [column for name in FIELDS if (column := getattr(frame, name)) is not None]
    names = [*FIELDS]
    for name in OBJECTS:
        columns += getattr(frame, name).values()
        names += getattr(frame, name)
    texts = [max([len(value) for value in column.values or () if type(value) is str], default=0) for column in columns]
    return sum(map(len, names)) + 30 * len(names) + sum(texts)
