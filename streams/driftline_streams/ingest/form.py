"""A layout as code: the struct that its events are decoded into, and the function that takes their values out.

In the walk: made by `read` when a layout was widened, used for every event from then on. The function is generated, so
that values are taken by name and not in a loop over names, and it packs them: 0.2 µs for an event of twenty values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from struct import Struct as Packer
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Raw, Struct

from driftline_schemas.records import Identifier, NonNegative, PredictionError, Probability, Scalar
from driftline_streams.ingest.event import NO_CONTEXT, OPTIONAL_TEXTS, Milliseconds
from driftline_streams.ingest.layout import ABSENT, NULL_TEXT, Field, Fields, Kind, Layout
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel.histogram import Ints

ANSWER: Final = "event"  # where the event's own fields are


class Place(NamedTuple):
    """Where a value is: the field `name` of the event itself or of one of its objects."""

    where: str
    name: str


# Of some events: their numbers and codes as records, event after event, and a list for each of the other fields.
Taken = tuple[bytes, tuple[list[Any], ...]]


@dataclass(frozen=True, slots=True)
class ObjectColumns:
    """Where the values of one object are among a form's numbers and codes, under which keys, and what codes mean."""

    numbers: list[int]
    number_keys: list[str]
    codes: list[int]
    code_keys: list[str]
    texts: list[str]  # distinct
    meaning: Ints  # of a code of a column the place of its text, shape (columns, 256)

    @classmethod
    def of(cls, name: str, numbers: Sequence[Place], codes: Sequence[tuple[Place, list[str]]]) -> ObjectColumns:
        """Those of the object `name`."""
        of_numbers = [column for column, place in enumerate(numbers) if place.where == name]
        of_codes = [column for column, (place, _) in enumerate(codes) if place.where == name]
        distinct = Texts.of([text for column in of_codes for text in codes[column][1]])
        places = dict(zip(distinct.values, range(len(distinct.values)), strict=True))
        meaning = np.full((len(of_codes), 256), NO_TEXT)
        for row, column in zip(meaning, of_codes, strict=True):
            texts = codes[column][1]
            row[: len(texts)] = [places[text] for text in texts]
        return cls(
            numbers=of_numbers,
            number_keys=[numbers[column].name for column in of_numbers],
            codes=of_codes,
            code_keys=[codes[column][0].name for column in of_codes],
            texts=distinct.values,
            meaning=meaning,
        )


@dataclass(frozen=True, slots=True)
class Form:
    """How the events of one layout are read: `take` gives their values in the order of the three lists of places.

    What can be known of the columns before there are events is found here, once: with few events of each of many models
    it would cost more than they do.
    """

    model: str
    type: type[Struct]
    numbers: list[Place]
    codes: list[tuple[Place, list[str]]]  # with the texts that the codes stand for
    lists: list[Place]
    take: Callable[[Sequence[Any]], Taken]
    record: np.dtype[np.void]  # `numbers` and `codes` of an event, as `take` packs them
    number_at: dict[Place, int]
    code_at: dict[Place, int]
    objects: dict[str, ObjectColumns]


def form_of(model: str, layout: Layout) -> Form:
    """The form of a layout as it is now; widening the layout does not change it."""
    return _Making().form(model, layout)


@dataclass(slots=True)
class _Making:
    """The three lists while they grow, each with the expressions that take the values."""

    numbers: dict[Place, str] = field(default_factory=dict)
    codes: dict[Place, tuple[list[str], str]] = field(default_factory=dict)
    lists: dict[Place, str] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)  # without any field

    def form(self, model: str, layout: Layout) -> Form:
        definition: list[tuple[Any, ...]] = [
            ("prediction_id", Identifier),
            ("timestamp", str | Milliseconds),
            ("latency_ms", NonNegative | None, ABSENT),
            ("score", Probability | None, ABSENT),
            ("confidence", Probability | None, ABSENT),
        ]
        for name in ("prediction_id", "timestamp"):
            self.lists[Place(ANSWER, name)] = f"e.{name}"
        for name in ("latency_ms", "score", "confidence"):
            self._add_number(Place(ANSWER, name), f"e.{name}")
        definition += self._answers(layout.answers)
        for name, of_type in _STORED.items():
            seen = name in layout.stored  # while it is not, null is its only value
            definition.append((name, of_type | None if seen else None, None))
            if seen:
                self.lists[Place(ANSWER, name)] = f"e.{name}"
        if "context" in layout.stored:
            definition.append(("context", Raw, NO_CONTEXT))
            self.lists[Place(ANSWER, "context")] = "e.context"
        definition += [
            self._object("features", layout.features, Scalar),
            self._object("segment", layout.segment, str | None),
            self._object("probabilities", layout.probabilities, Probability),
        ]
        event = msgspec.defstruct(
            "Event", definition, tag_field="model", tag=model, kw_only=True, gc=False, forbid_unknown_fields=True
        )
        numbers, codes = list(self.numbers), [(place, texts) for place, (texts, _) in self.codes.items()]
        packed = Packer(f"{len(numbers)}d{len(codes)}B{-len(codes) % 8}x")  # doubles are where they are fast to read
        fields = {
            "names": ["numbers", "codes"],
            "formats": [(np.float64, (len(numbers),)), (np.uint8, (len(codes),))],
            "offsets": [0, 8 * len(numbers)],
            "itemsize": packed.size,
        }
        return Form(
            model=model,
            type=event,
            numbers=numbers,
            codes=codes,
            lists=list(self.lists),
            take=self._take(packed),
            record=np.dtype(fields),  # type: ignore[call-overload]  # numpy's types do not know shapes of fields
            number_at={place: column for column, place in enumerate(numbers)},
            code_at={place: column for column, (place, _) in enumerate(codes)},
            objects={name: ObjectColumns.of(name, numbers, codes) for name in ("features", "segment", "probabilities")},
        )

    def _answers(self, fields: Fields) -> list[tuple[Any, ...]]:
        """The event's own fields of few values; only the prediction can be null."""
        for name, known in fields.items():
            self._add(Place(ANSWER, name), name, known)
        version, status, role = (fields[name].type for name in ("version", "status", "role"))
        prediction = fields["prediction"]
        return [
            ("version", version),
            ("status", status, status("ok")),
            ("role", role, role("champion")),
            ("prediction", prediction.type | None, prediction.absent),
        ]

    def _object(self, name: str, fields: Fields | None, value: Any) -> tuple[Any, ...]:
        """The definition of an object of the event."""
        if fields is None:
            self.lists[Place(ANSWER, name)] = f"e.{name}"
            of_type = dict[str, value]
            return (name, of_type | None if name == "probabilities" else of_type, msgspec.field(default_factory=dict))
        attributes = {f"f{index}": key for index, key in enumerate(fields)}
        for attribute, key in attributes.items():
            self._add(Place(name, key), f"{name}.{attribute}", fields[key])
        struct = msgspec.defstruct(
            "Object",
            [
                (attribute, known.type if name == "probabilities" else known.type | None, known.absent)
                for attribute, known in zip(attributes, fields.values(), strict=True)
            ],
            rename=attributes,
            frozen=True,
            gc=False,
            forbid_unknown_fields=True,
        )
        self.objects[name] = struct()
        return (name, struct | None if name == "probabilities" else struct, self.objects[name])

    def _add(self, place: Place, path: str, known: Field) -> None:
        """Take the value at `path` in the way of its kind."""
        value = f"e.{path}" if place.where == ANSWER else path
        if known.kind is Kind.NUMBER:
            self._add_number(place, value)
        elif known.kind is Kind.CODE:
            self.codes[place] = (list(known.texts), f"({value} or null).code")
        else:
            self.lists[place] = f"e.{path}"

    def _add_number(self, place: Place, value: str) -> None:
        self.numbers[place] = f"(nan if {value} is None else {value})"

    def _take(self, packed: Packer) -> Callable[[Sequence[Any]], Taken]:
        """Names of fields never get into the source: attributes are `f0`, `f1` and so on."""
        source = _TAKE.format(
            values=",".join([*self.numbers.values(), *(expression for _, expression in self.codes.values())]),
            lists=",".join(f"[{value} for e in events]" for value in self.lists.values()),
        )
        names: dict[str, Any] = {
            "pack": packed.pack,
            "nan": math.nan,
            "null": NULL_TEXT,
            "no_probabilities": self.objects.get("probabilities"),
        }
        exec(source, names)  # noqa: S102  # made of our own names alone
        take: Callable[[Sequence[Any]], Taken] = names["take"]
        return take


_STORED: Final[dict[str, Any]] = dict.fromkeys(OPTIONAL_TEXTS, str) | {"error": PredictionError}

_TAKE: Final = """
def take(events):
    records = []
    add = records.append
    for e in events:
        features, segment, probabilities = e.features, e.segment, e.probabilities or no_probabilities
        add(pack({values}))
    return b"".join(records), ({lists},)
"""
