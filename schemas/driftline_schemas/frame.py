"""Column frames: many predictions as one Kafka message, column by column.

In the walk: what services that publish thousands of events a second write instead of one JSON object an event; `ingest`
takes both, also mixed in one topic. A frame means exactly what its events mean one by one.

A frame is one msgpack map: its first byte is 0x80 or above, so it is never mistaken for JSON. All its events stand at
one offset and are told apart by their position, from 0. An event that breaks a rule is refused by itself, a frame that
cannot be read as a whole.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from driftline_schemas.records import Scalar

CONTENT_TYPE = "application/vnd.driftline.predictions+msgpack"  # in the header "content-type" of the message

MAX_FRAME_EVENTS = 10_000
MAX_FRAME_BYTES = 768 * 1024  # below the broker's usual limit of 1 MiB
MAX_FRAME_TEXT = 16 * 1024 * 1024  # bytes of all texts written out: one text may stand for thousands of events

_MAPS = frozenset(bytes([first]) for first in (*range(0x80, 0x90), 0xDE, 0xDF))


def is_frame(value: bytes | None) -> bool:
    """Whether a message is meant to be a frame: it starts as a map does in msgpack, and as no JSON can."""
    return value is not None and value[:1] in _MAPS


class Column(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """The values of one field, one for each event in order: `f64`, `i64` or `values`."""

    f64: Annotated[bytes, Meta(description="little-endian float64; NaN is null")] | None = None
    i64: Annotated[bytes, Meta(description="little-endian int64: milliseconds since 1970-01-01 UTC")] | None = None
    values: Annotated[list[Scalar], Meta(description="the values; with `codes` the different ones")] | None = None
    codes: (
        Annotated[bytes, Meta(description="indices into `values`: uint8 or little-endian uint16 or uint32, by length")]
        | None
    ) = None  # also where one value holds for all: no message unfolds to more values than it has bytes
    at: (
        Annotated[bytes, Meta(description="little-endian uint32: the positions that have a value, if not all do")]
        | None
    ) = None


class Frame(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Many answers of models, by column. No key: a frame goes to the partition to which its events' keys would go.

    Columns are named as the fields of `Prediction`, and null is absent. In `features` and `segment` a null is a value;
    what an event does not have is left out with `at`. `timestamp` is `i64`; `context` holds JSON objects as texts; an
    error is `error_type` and `error_message`. A column that is no field is kept in the events' `context`.
    """

    frame: Literal[1]  # version of this layout
    n: Annotated[int, Meta(ge=1, le=MAX_FRAME_EVENTS, description="number of events")]
    prediction_id: Column
    model: Column
    version: Column
    timestamp: Column
    latency_ms: Column | None = None
    status: Column | None = None
    error_type: Column | None = None
    error_message: Column | None = None
    prediction: Column | None = None
    score: Column | None = None
    confidence: Column | None = None
    probabilities: dict[str, Column] = field(default_factory=dict)
    features: dict[str, Column] = field(default_factory=dict)
    segment: dict[str, Column] = field(default_factory=dict)
    role: Column | None = None
    request_id: Column | None = None
    user_id: Column | None = None
    trace_id: Column | None = None
    span_id: Column | None = None
    context: Column | None = None
