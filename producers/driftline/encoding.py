"""From what a caller passes to the bytes of an event that the pipeline accepts.

Second step of `log`: an event is encoded and then decoded once more with the decoder that `ingest` uses, 0.7 µs for ten
features. So there is one definition of a valid event, and what leaves a service is never refused later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from driftline.errors import DropReason, EventDropped
from driftline_schemas.records import MAX_EVENT_BYTES, MAX_FEATURES, Label, Prediction

Record = TypeVar("Record", Prediction, Label)


class Given(msgspec.Struct, omit_defaults=True, gc=False):
    """A prediction as a caller describes it, nothing checked yet: the fields of `Prediction`.

    Made from positional arguments in 0.1 µs; the keywords of `Prediction` cost 0.7.
    """

    prediction_id: Any
    model: Any
    version: Any
    timestamp: Any
    latency_ms: Any = None
    status: Any = "ok"
    error: Any = None
    prediction: Any = None
    score: Any = None
    confidence: Any = None
    probabilities: Any = None
    features: Any = None
    segment: Any = None
    role: Any = "champion"
    request_id: Any = None
    user_id: Any = None
    trace_id: Any = None
    span_id: Any = None
    context: Any = None


EARLIEST_MS = 946_684_800_000  # 2000-01-01: such times are seconds taken for milliseconds
FUTURE_MS = 86_400_000

_TEXTS = ("prediction_id", "request_id", "user_id", "trace_id", "span_id", "source")
_OBJECTS = ("features", "segment", "probabilities", "context")


def encode_prediction(given: Given | Prediction, now_ms: int) -> tuple[bytes, int]:
    """The JSON of a prediction, and how many of its numbers became null because they were NaN or infinite.

    Accepted beside the types of the contract: numpy scalars and arrays of one element, `Decimal`, enums, `UUID`, dates
    (as text), pandas' `NA` and `NaT` (as null), any `Mapping`; ids and segment values of other types become text.

    Raises
    ------
    EventDropped
        If the pipeline would refuse the event; a value without a form in JSON raises what its encoding raises.
    """
    payload, checked = _encode(given, _PREDICTIONS, now_ms)
    if checked.prediction is None and checked.status == "ok":
        raise EventDropped(DropReason.NO_PREDICTION, "pass prediction=, finite and not None, or error=")
    if len(checked.features) > MAX_FEATURES:
        raise EventDropped(DropReason.TOO_MANY_FEATURES, f"{len(checked.features)} features, at most {MAX_FEATURES}")
    # Looking for nulls in the bytes is cheaper than looking at every value; only then they are counted.
    return payload, _nulled(given, checked) if b":null" in payload else 0


def encode_label(record: Label, now_ms: int) -> bytes:
    """The JSON of a label; raises as `encode_prediction` does."""
    payload, _ = _encode(record, _LABELS, now_ms)
    return payload


def _encode(
    given: Given | Prediction | Label, decoder: msgspec.json.Decoder[Record], now_ms: int
) -> tuple[bytes, Record]:
    payload = _ENCODER.encode(given)
    try:
        checked = decoder.decode(payload)
    except msgspec.DecodeError as error:
        try:
            payload = _ENCODER.encode(_meant(given))
            checked = decoder.decode(payload)
        except (msgspec.DecodeError, TypeError, ValueError, AttributeError):
            raise EventDropped(DropReason.INVALID, str(error)) from None
    if len(payload) > MAX_EVENT_BYTES:
        raise EventDropped(DropReason.TOO_LARGE, f"{len(payload)} bytes of JSON, at most {MAX_EVENT_BYTES}")
    # One look at the bytes for what is nearly never there, and only then at the names.
    if b"\\u0000" in payload and ("\0" in checked.prediction_id or "\0" in checked.model):
        raise EventDropped(DropReason.INVALID, "prediction_id and model must not contain NUL characters")
    at = checked.timestamp
    at_ms = at if isinstance(at, int) else at.timestamp() * 1000
    if not EARLIEST_MS <= at_ms <= now_ms + FUTURE_MS:
        raise EventDropped(DropReason.INVALID, f"timestamp is {at}: before 2000, or more than a day ahead")
    return payload, checked


def _plain(value: Any) -> Any:  # noqa: PLR0911
    """What msgspec cannot encode, as something that it can; raises `TypeError` if there is no such thing."""
    if isinstance(value, float):  # numpy.float64, by far the most frequent, is one
        return float(value)
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in ("M", "m"):  # numpy's times would turn into bare integers
        return str(value)
    if kind and hasattr(value, "item") and not hasattr(value, "to_dict"):  # numpy scalars, arrays of one element
        plain = value.item()
        return float(plain) if type(plain) is type(value) else plain  # a longdouble's item is a longdouble
    if isinstance(value, Mapping) or hasattr(value, "to_dict"):  # the latter: a row of a data frame
        return dict(value)
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas' missing values, without importing pandas
        return None
    if hasattr(value, "isoformat"):  # pandas' Timestamp
        return value.isoformat()
    if hasattr(value, "item"):  # tensors of one element
        return value.item()
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} has no form in JSON")


def _meant(given: Given | Prediction | Label) -> dict[str, Any]:
    """The fields with what was surely meant: ids and segment values as text, non-finite decimals as null."""
    changes: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(given).items():
        if value is None and name in _OBJECTS:
            continue
        if name in _TEXTS:
            changes[name] = _text(value)
        elif name == "segment":
            changes[name] = {key: _text(part) for key, part in dict(value).items()}
        elif name == "features":
            changes[name] = {key: _number(part) for key, part in dict(value).items()}
        else:
            changes[name] = _number(value)
    return changes


def _text(value: Any) -> str | None:
    plain = msgspec.to_builtins(value, enc_hook=_plain)
    if plain is None or (isinstance(plain, float) and not math.isfinite(plain)):
        return None
    return str(plain).lower() if isinstance(plain, bool) else str(plain)


def _number(value: Any) -> Any:
    # msgspec writes a decimal digit by digit, and a NaN among them as the letters NaN, which are not JSON.
    return float(value) if isinstance(value, Decimal) else value


def _nulled(given: Given | Prediction, sent: Prediction) -> int:
    features = {} if given.features is None else dict(given.features)
    pairs = zip(features.values(), sent.features.values(), strict=False)  # 1 and "1" are one name in JSON
    nulled = sum(after is None and before is not None for before, after in pairs)
    return nulled + sum(
        getattr(sent, name) is None and getattr(given, name) is not None
        for name in ("score", "confidence", "latency_ms")
    )


_ENCODER = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number")
_PREDICTIONS = msgspec.json.Decoder(Prediction)
_LABELS = msgspec.json.Decoder(Label)
