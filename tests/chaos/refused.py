"""Messages that are no events, each with the reason for which it must be refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import numpy as np

from driftline_schemas.records import Reason

from .message import PARTITIONS, Message


def bad_predictions(rng: np.random.Generator, n: int, begin_ms: int) -> Iterator[Message]:
    """`n` messages of every kind that is no prediction, and one that is too large."""
    good = {"prediction_id": "bad", "model": "fraud", "version": "1", "timestamp": begin_ms, "prediction": True}
    kinds: list[tuple[bytes | None, Reason]] = [
        (b'{"prediction_id": "ba', Reason.MALFORMED_JSON),
        (b"\xff\xfe", Reason.MALFORMED_JSON),
        (b"", Reason.EMPTY),
        (None, Reason.EMPTY),
        (b"[]", Reason.WRONG_TYPE),
        (_without(good, "model"), Reason.MISSING_FIELD),
        (_encoded(good, prediction_id=7), Reason.WRONG_TYPE),
        (_encoded(good, score=1.5), Reason.OUT_OF_RANGE),
        (_encoded(good, latency_ms=-1.0), Reason.OUT_OF_RANGE),
        (_encoded(good, timestamp=1_700_000_000), Reason.TIMESTAMP_OUT_OF_RANGE),
        (_without(good, "prediction"), Reason.NO_PREDICTION),
        (_encoded(good, context=[1]), Reason.WRONG_TYPE),
        (_encoded(good, features={f"f{i}": 1.0 for i in range(2001)}), Reason.TOO_MANY_FEATURES),
    ]
    for _ in range(n):
        value, reason = kinds[rng.integers(len(kinds))]
        yield _bad("predictions", rng, value, reason)
    yield _bad("predictions", rng, b" " * 300_000, Reason.TOO_LARGE)


def bad_labels(rng: np.random.Generator, n: int) -> Iterator[Message]:
    """`n` messages of every kind that is no label."""
    good = {"prediction_id": "bad", "model": "eta", "label": 3.0, "timestamp": 1_790_000_000_000}
    kinds: list[tuple[bytes | None, Reason]] = [
        (b"{", Reason.MALFORMED_JSON),
        (None, Reason.EMPTY),
        (_without(good, "label"), Reason.MISSING_FIELD),
        (_encoded(good, label="late"), Reason.WRONG_KIND),
        (_encoded(good, position=1), Reason.WRONG_KIND),
        (_encoded(good, weight=-1.0), Reason.OUT_OF_RANGE),
        (_encoded(good, prediction_id=""), Reason.OUT_OF_RANGE),
        (_encoded(good, weight=2.0).replace(b"2.0", b"NaN"), Reason.MALFORMED_JSON),
        (_encoded(good, label=[3.0]), Reason.WRONG_TYPE),
        (_encoded(good, timestamp=17), Reason.TIMESTAMP_OUT_OF_RANGE),
    ]
    for _ in range(n):
        value, reason = kinds[rng.integers(len(kinds))]
        yield _bad("labels", rng, value, reason)


def _bad(
    topic: Literal["predictions", "labels"], rng: np.random.Generator, value: bytes | None, reason: Reason
) -> Message:
    partition = int(rng.integers(PARTITIONS))
    return Message(topic, partition, float(rng.uniform(0, 0.99)), b"bad", value, reason=reason)


def _encoded(record: dict[str, Any], **replaced: Any) -> bytes:
    return msgspec.json.encode(record | replaced)


def _without(record: dict[str, Any], name: str) -> bytes:
    return msgspec.json.encode({key: value for key, value in record.items() if key != name})
