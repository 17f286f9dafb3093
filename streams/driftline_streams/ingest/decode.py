"""From bytes to events the general way: whatever the model, and with the reason for each that is refused.

In the walk: where `read` takes what fits no struct of a model. `decode` asks whether the bytes are an event, `admit`
whether the event makes sense; both are total, they raise for no input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec import Raw

from driftline_schemas.records import MAX_FEATURES, Reason
from driftline_streams.ingest.event import NO_CONTEXT, Event
from driftline_streams.kernel.clock import all_to_ms
from driftline_streams.kernel.decoding import UNREADABLE, classify, out_of_size, out_of_time, worth_reading
from driftline_streams.kernel.histogram import Ints
from driftline_streams.kernel.limits import EARLIEST_MS, FUTURE_MS
from driftline_streams.kernel.refused import Reject


class _Lenient(Event, kw_only=True, gc=False, forbid_unknown_fields=False):
    """An event that may have more fields than the contract; msgspec skips them."""


_decode = msgspec.json.Decoder(Event).decode
_decode_lenient = msgspec.json.Decoder(_Lenient).decode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode
_KNOWN = frozenset(Event.__struct_fields__)


@dataclass(frozen=True, slots=True)
class Decoded:
    """The events of a batch in order, where in the batch each was (shape `(n,)`), and the rest."""

    events: list[Event]
    index: Ints
    refused: list[Reject]
    unknown_fields: int  # fields outside the contract; they are in the events' `context`


@dataclass(frozen=True, slots=True)
class Admitted:
    """The events that make sense, where each was, and when each happened in epoch ms (shapes `(n,)`)."""

    events: list[Event]
    index: Ints
    time_ms: Ints
    refused: list[Reject]


def decode(values: Sequence[bytes | None], index: Ints | None = None) -> Decoded:
    """Read every payload (a tombstone is `None`); `index` has the place of each in the batch, if not all are given.

    A bad payload costs itself only. `map` inside `extend` runs without a Python frame an event; when a payload raises,
    the events before it are in the list already, the iterator stands behind it, and the loop goes on from there.
    """
    if index is None:
        index = np.arange(len(values))
    events: list[Event] = []
    refused: list[Reject] = []
    unknown_fields = 0
    keep = np.ones(len(values), np.bool_)
    rest = iter(worth_reading(values))
    while True:
        try:
            events.extend(map(_decode, rest))
            break
        except UNREADABLE:
            value = values[len(events) + len(refused)]
            try:
                event, unknown = _read_again(value)
                events.append(event)
                unknown_fields += unknown
            except _Refused as refusal:
                place = len(events) + len(refused)
                keep[place] = False
                refused.append(Reject(int(index[place]), refusal.reason, refusal.detail))
    return Decoded(events, index[keep], refused, unknown_fields)


class _Refused(Exception):  # never leaves this module
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def _read_again(value: bytes | None) -> tuple[Event, int]:
    """The event in a payload that could not be read at once, and its number of unknown fields; raises `_Refused`."""
    body = value or b""
    wrong = out_of_size(len(body))
    if wrong is not None:
        raise _Refused(*wrong)
    try:
        return _with_unknown_fields(body)
    except UNREADABLE as error:
        raise _Refused(*classify(error)) from None


def _with_unknown_fields(value: bytes) -> tuple[Event, int]:
    event = _decode_lenient(value)
    unknown = {name: raw for name, raw in _decode_fields(value).items() if name not in _KNOWN}
    event.context = Raw(_encode(_decode_fields(event.context) | unknown))
    return event, len(unknown)


def admit(decoded: Decoded, now_ms: int) -> Admitted:
    """Set aside the events that no number should be made of; `now_ms` is the wall clock in epoch ms."""
    events, index = decoded.events, decoded.index
    time_ms = all_to_ms([event.timestamp for event in events])
    # Nearly every event passes, so they are looked at closely only when something about them is unusual.
    unusual = {
        place
        for place, event in enumerate(events)
        if event.prediction is None or event.context is not NO_CONTEXT or len(event.features) > MAX_FEATURES
    }
    unusual.update(np.flatnonzero((time_ms < EARLIEST_MS) | (time_ms > now_ms + FUTURE_MS)).tolist())
    refused: list[Reject] = []
    keep = np.ones(len(events), np.bool_)
    for place in sorted(unusual):
        verdict = _judge(events[place], int(time_ms[place]), now_ms)
        if verdict is not None:
            keep[place] = False
            refused.append(Reject(int(index[place]), *verdict))
    if not refused:
        return Admitted(events, index, time_ms, decoded.refused)
    refused = sorted([*decoded.refused, *refused], key=lambda refusal: refusal.index)
    return Admitted([events[place] for place in np.flatnonzero(keep).tolist()], index[keep], time_ms[keep], refused)


def _judge(event: Event, time_ms: int, now_ms: int) -> tuple[Reason, str] | None:
    early_or_late = out_of_time(time_ms, now_ms)
    if early_or_late is not None:
        return Reason.TIMESTAMP_OUT_OF_RANGE, f"timestamp {early_or_late}"
    if len(event.features) > MAX_FEATURES:
        return Reason.TOO_MANY_FEATURES, f"{len(event.features)} features; an event has at most {MAX_FEATURES}"
    if event.prediction is None and event.status == "ok":
        return Reason.NO_PREDICTION, "status is ok, but there is no prediction"
    try:  # msgspec checks the syntax of raw JSON, but neither that it is an object nor that it is UTF-8
        if event.context is not NO_CONTEXT and not str(event.context, "utf-8").startswith("{"):
            return Reason.WRONG_TYPE, "Expected `object` - at `$.context`"
    except UnicodeDecodeError as error:
        return Reason.MALFORMED_JSON, f"{error} - at `$.context`"
    return None
