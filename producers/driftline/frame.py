"""From events to a column frame: what is said once for many events costs a fraction of their JSON.

Last step but one of `log` when frames are asked for: `framing` gathers events, this turns them into one message.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any

import msgspec

from driftline_schemas.frame import CONTENT_TYPE, MAX_FRAME_BYTES, Column, Frame
from driftline_schemas.records import Prediction, Scalar

HEADERS = [("content-type", CONTENT_TYPE.encode())]

_encode = msgspec.msgpack.Encoder().encode
_json = msgspec.json.Encoder().encode


def encode_frame(events: Sequence[Prediction]) -> bytes | None:
    """The frame of valid `events` (1 to `MAX_FRAME_EVENTS`, in order), `None` when it would be larger than is taken."""
    prediction_id = Column(values=[event.prediction_id for event in events])
    errors = [event.error for event in events]
    failed = any(errors)
    frame = Frame(
        frame=1,
        n=len(events),
        prediction_id=prediction_id,
        model=column([event.model for event in events]),
        version=column([event.version for event in events]),
        timestamp=Column(i64=_packed("q", [_ms(event) for event in events])),
        latency_ms=_present([event.latency_ms for event in events]),
        status=_unless("ok", [event.status for event in events]),
        error_type=column([error.type if error else None for error in errors]) if failed else None,
        error_message=column([error.message if error else None for error in errors]) if failed else None,
        prediction=_present([event.prediction for event in events]),
        score=_present([event.score for event in events]),
        confidence=_present([event.confidence for event in events]),
        probabilities=columns([event.probabilities or {} for event in events]),
        features=columns([event.features for event in events]),
        segment=columns([event.segment for event in events]),
        role=_unless("champion", [event.role for event in events]),
        request_id=_present([event.request_id for event in events]),
        user_id=_present([event.user_id for event in events]),
        trace_id=_present([event.trace_id for event in events]),
        span_id=_present([event.span_id for event in events]),
        context=_present([_json(event.context).decode() if event.context else None for event in events]),
    )
    encoded = _encode(frame)
    return encoded if len(encoded) <= MAX_FRAME_BYTES else None


def column(values: Sequence[Scalar]) -> Column:
    """The shortest form of these values; non-finite numbers are null, as in JSON.

    >>> column(["a", None, "a", None])
    Column(f64=None, i64=None, values=['a', None], codes=b'\\x00\\x01\\x00\\x01', at=None)
    """
    kinds = set(map(type, values))
    if kinds <= _TEXTS:  # True and 1.0 are the same key, so only without numbers
        different = dict.fromkeys(values)
        if 2 * len(different) > len(values):
            return Column(values=list(values))
        places = dict(zip(different, range(len(different)), strict=True))
        width = "B" if len(places) <= 1 << 8 else "H"
        return Column(values=list(different), codes=_packed(width, [places[value] for value in values]))
    if kinds <= _NUMBERS:
        numbers: Sequence[Any] = values
        if kinds != _FLOAT or not math.isfinite(sum(numbers)):  # the sum is four times as fast as looking at each
            numbers = [math.nan if value is None or not math.isfinite(value) else value for value in numbers]
        return Column(f64=_packed("d", numbers))
    return Column(values=list(values))


def columns(objects: Sequence[Mapping[str, Scalar]]) -> dict[str, Column]:
    """One column for each name in `objects`, with `at` where some lack it."""
    shapes = set(map(tuple, objects))
    if len(shapes) == 1:  # nearly always
        names = next(iter(shapes))
        return dict(zip(names, map(column, zip(*map(_values, objects), strict=True)), strict=True))
    found: dict[str, tuple[list[int], list[Scalar]]] = {}
    for position, entries in enumerate(objects):
        for name, value in entries.items():
            at, values = found.setdefault(name, ([], []))
            at.append(position)
            values.append(value)
    return {
        name: column(values)
        if len(at) == len(objects)
        else msgspec.structs.replace(column(values), at=_packed("I", at))
        for name, (at, values) in found.items()
    }


def _present(values: Sequence[Scalar]) -> Column | None:
    return None if values.count(None) == len(values) else column(values)


def _unless(usual: str, values: Sequence[str]) -> Column | None:
    return None if values.count(usual) == len(values) else column(values)


def _packed(kind: str, values: Sequence[Any]) -> bytes:
    packed = array(kind, values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _ms(event: Prediction) -> int:
    at = event.timestamp
    return at if isinstance(at, int) else round(at.timestamp() * 1_000_000) // 1000  # as `ingest` rounds


_values: Callable[[Any], Any] = dict.values
_TEXTS = {str, bool, NoneType}
_FLOAT = {float}
_NUMBERS = {float, int, NoneType}
