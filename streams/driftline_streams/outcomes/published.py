"""What is stored and told of outcomes: rows, a record each, and which of them were wrong.

In the walk: the messages of `join` feed `detect` and whoever reads the topic, its rows the cohorts of `performance`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import msgspec
import numpy as np

from driftline_schemas import topics
from driftline_schemas.records import (
    AnyOutcome,
    BinaryOutcome,
    ClassOutcome,
    Errors,
    NumberOutcome,
    RankingOutcome,
)
from driftline_streams.kernel.effects import Coded, Effects, MapColumn, Message, Named, Rows, WideInts
from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.outcomes.outcome import BINARY, KINDS, MULTICLASS, Outcomes, by_key
from driftline_streams.outcomes.truth import Objects

CERTAIN = 0.95


PORTION = 20_000  # outcomes whose rows and messages are made at once: here memory peaks


@dataclass(frozen=True, slots=True)
class Told:
    """The effects of outcomes on the topics of `prefix`, made a portion at a time when it is asked for."""

    outcomes: Outcomes
    prefix: str

    def __iter__(self) -> Iterator[Named]:
        """Each with a name derived from its content, so that repeating it is harmless."""
        for first in range(0, self.outcomes.n, PORTION):
            rows = np.arange(first, min(first + PORTION, self.outcomes.n))
            yield _named(self.outcomes.take(rows), self.prefix)


def _named(outcomes: Outcomes, prefix: str) -> Named:
    topic, encoder = topics.OUTCOMES.full_name(prefix), msgspec.json.Encoder()
    lines = encoder.encode_lines(records(outcomes))
    name = f"outcomes:{hashlib.blake2b(lines, digest_size=16).hexdigest()}"
    models: list[str] = outcomes.truths.model.tolist()
    keys = {model: model.encode() for model in set(models)}
    messages = list(map(Message, repeat(topic), lines.splitlines(), map(keys.__getitem__, models)))
    partials = topics.PARTIALS.full_name(prefix)
    messages += [Message(partials, encoder.encode(each), keys[each.model]) for each in errors(outcomes, name)]
    return Named(name, Effects((rows(outcomes),), messages))


def records(outcomes: Outcomes) -> list[AnyOutcome]:
    """A record of each, in their order."""
    kinds = np.unique(outcomes.kind).tolist()
    if len(kinds) == 1:
        return _of_kind(kinds[0], outcomes)
    made = np.empty(outcomes.n, object)
    for kind in kinds:
        here = np.flatnonzero(outcomes.kind == kind)
        made[here] = _of_kind(kind, outcomes.take(here))
    return made.tolist()


def errors(outcomes: Outcomes, name: str) -> list[Errors]:
    """Which of these outcomes are wrong, by model and version; nothing of models that predict no classes.

    Champions, challengers and shadows are versions of their own. A label that corrects one joined earlier counts once
    more: whether it does is not known here.
    """
    classes = np.flatnonzero((outcomes.kind == BINARY) | (outcomes.kind == MULTICLASS))
    told = outcomes.take(classes[np.lexsort([column[classes] for column in _order(outcomes)])])
    wrong = told.wrong
    score = told.served.score  # NaN is not certain
    negative = (told.kind == BINARY) & (told.predicted_positive == 0)
    certain = np.where(negative, 1 - score, score) >= CERTAIN
    versions = zip(told.truths.model.tolist(), told.served.version.tolist(), strict=True)
    return [
        Errors(
            model=model,
            version=version,
            name=name,
            start_ms=int(told.truths.timestamp_ms[mine[0]]),
            end_ms=int(told.truths.timestamp_ms[mine[-1]]),
            wrong=(wrong[mine] + np.uint8(ord("0"))).astype(np.uint8).tobytes().decode(),
            confident=int(np.count_nonzero(wrong[mine] & certain[mine])),
        )
        for (model, version), mine in by_key(versions).items()
    ]


def rows(outcomes: Outcomes) -> Rows:
    """The rows of the table `outcomes`."""
    truths, served = outcomes.truths, outcomes.served
    high, low = truths.precedence()
    return Rows(
        "outcomes",
        outcomes.n,
        {
            "prediction_id": truths.prediction_id,
            "model": truths.model,
            "version": served.version,
            "role": served.role,
            "kind": Coded(KINDS, outcomes.kind),
            "timestamp": served.timestamp_ms,
            "label_timestamp": truths.timestamp_ms,
            "prediction": served.prediction,
            "label": truths.label,
            # NaN is NULL.
            "prediction_value": outcomes.prediction_value,
            "label_value": outcomes.label_value,
            "predicted_positive": outcomes.predicted_positive,
            "positive": outcomes.positive,
            "score": served.score,
            "confidence": served.confidence,
            "label_probability": outcomes.label_probability,
            "position": outcomes.position,
            "weight": truths.weight,
            "source": truths.source,
            "request_id": served.request_id,
            "segment": _maps(served.segment),
            "precedence": WideInts(high, low),
        },
    )


def _of_kind(kind: int, outcomes: Outcomes) -> list[AnyOutcome]:
    """The records of outcomes that are all of one kind."""
    truths, served = outcomes.truths, outcomes.served
    digits = np.column_stack(truths.precedence()).astype(">u8").tobytes().hex()
    columns: dict[str, list[Any]] = {
        **{name: getattr(truths, name).tolist() for name in ("prediction_id", "model", "label", "weight", "source")},
        **{name: getattr(served, name).tolist() for name in ("version", "role", "timestamp_ms", "prediction")},
        **{name: getattr(served, name).tolist() for name in ("request_id", "segment")},
        **{name: _optional(getattr(served, name)) for name in ("score", "confidence")},
        "label_ms": truths.timestamp_ms.tolist(),
        "precedence": [digits[i : i + 32] for i in range(0, len(digits), 32)],
    }
    record: type[AnyOutcome]
    match KINDS[kind]:
        case "binary":
            record = BinaryOutcome
            columns["predicted_positive"] = outcomes.predicted_positive.astype(np.bool_).tolist()
            columns["positive"] = outcomes.positive.astype(np.bool_).tolist()
        case "multiclass":
            record = ClassOutcome
            columns["label_probability"] = _optional(outcomes.label_probability)
        case "regression":
            record = NumberOutcome
            columns["prediction_value"] = _optional(outcomes.prediction_value)
            columns["label_value"] = _optional(outcomes.label_value)
        case _:
            record = RankingOutcome
            columns["relevance"] = _optional(outcomes.label_value)
            columns["position"] = [None if math.isnan(place) else int(place) for place in outcomes.position.tolist()]
    # By position, a third of what keywords cost.
    return list(map(record, *(columns[name] for name in record.__struct_fields__)))


def _order(outcomes: Outcomes) -> tuple[Ints, ...]:
    """Sort keys, the last one first: by the time of the label, then by its place."""
    truths = outcomes.truths
    return truths.offset, truths.partition, truths.timestamp_ms


def _optional(numbers: Floats) -> list[float | None]:
    """`None` for NaN."""
    return [None if number != number else number for number in numbers.tolist()]  # noqa: PLR0124


def _maps(maps: Objects) -> MapColumn:
    """A column of maps of texts; rows that share one cost it once."""
    _, first, codes = np.unique(np.fromiter(map(id, maps), np.int64, len(maps)), return_index=True, return_inverse=True)
    distinct: list[dict[str, str]] = maps[first].tolist()
    lengths = np.array([len(each) for each in distinct])
    begins = (np.cumsum(lengths) - lengths)[codes]
    ends = np.cumsum(lengths[codes])
    entries = np.arange(ends[-1]) - np.repeat(ends - lengths[codes] - begins, lengths[codes])
    return MapColumn(
        ends.astype(np.uint64),
        _coded([key for each in distinct for key in each], entries),
        _coded([value for each in distinct for value in each.values()], entries),
    )


def _coded(texts: Sequence[str], rows: Ints) -> Coded:
    """`texts[rows]`, each different text once."""
    index: dict[str, int] = {}
    codes = np.array([index.setdefault(text, len(index)) for text in texts], np.int64)
    return Coded(tuple(index), codes[rows])
