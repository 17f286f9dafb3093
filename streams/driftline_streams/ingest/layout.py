"""What the events of one model look like, learned from them: the fields they have, and of what type each is.

In the walk: `read` decodes a batch into structs made from layouts. An event that does not fit its model's layout is
read the general way, and widens it. A struct with a field for each feature is half the work of a dictionary: numbers
are read as numbers, and a text that was seen before costs no string, it is a member of an `Enum` that knows its code.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, Final

import numpy as np

from driftline_schemas.records import Name, Probability, Scalar
from driftline_streams.ingest.event import NO_CONTEXT, OPTIONAL_TEXTS, Event

MAX_FIELDS: Final = 400  # of an object; one with more keys (a sparse vector) is read as a dictionary
MAX_CODES: Final = 200  # different texts of a field; one with more is read as text, for a code is a byte
ABSENT_CODE: Final = 253  # of a field that the event does not have
NULL_CODE: Final = 254
# The number of a field that the event does not have is told from a null's NaN by its bits; JSON has neither.
ABSENT_BITS: Final = 0x7FF8_0000_0000_0BAD
ABSENT: Final = float(np.array(ABSENT_BITS, np.uint64).view(np.float64))


class Kind(enum.Enum):
    """How the values of a field are read."""

    NUMBER = enum.auto()  # numbers and nulls, or only nulls so far
    CODE = enum.auto()  # few different texts, and nulls
    SCALAR = enum.auto()  # anything


class NoText:
    """What stands where a member of a field's `Enum` would; `code` is the place of a member's text in `Field.texts`."""

    def __init__(self, code: int) -> None:
        self.code = code


NULL_TEXT: Final = NoText(NULL_CODE)
ABSENT_TEXT: Final = NoText(ABSENT_CODE)


@dataclass(slots=True)
class Field:
    """What was seen of one field; `number` and `scalar` are its types for the decoder."""

    number: Any = float
    scalar: Any = Scalar
    kind: Kind = Kind.NUMBER
    numeric: bool = False  # whether a number was seen
    texts: dict[str, None] = field(default_factory=dict)

    def widen(self, value: Scalar) -> bool:
        """Take in a value, so that it fits from now on; whether that was news."""
        before = (self.kind, self.numeric, len(self.texts))
        if value is None or self.kind is Kind.SCALAR:
            return False
        if isinstance(value, float) and not self.texts:
            self.numeric = True
        elif isinstance(value, str) and not self.numeric and (value in self.texts or len(self.texts) < MAX_CODES):
            self.kind = Kind.CODE
            self.texts[value] = None
        else:
            self.kind, self.texts = Kind.SCALAR, {}
        return before != (self.kind, self.numeric, len(self.texts))

    @property
    def type(self) -> Any:
        """What the decoder is to make of a value that is not null."""
        if self.kind is Kind.SCALAR:
            return self.scalar
        if self.kind is Kind.NUMBER:
            return self.number if self.numeric else NoneType
        make: Any = enum.Enum  # mypy wants to know the members
        coded = make("Coded", {f"t{code}": text for code, text in enumerate(self.texts)})
        for code, member in enumerate(coded):
            member.code = code
        return coded

    @property
    def absent(self) -> Any:
        """Its value in an event that does not have it."""
        return ABSENT_TEXT if self.kind is Kind.CODE else ABSENT


Fields = dict[str, Field]


def _answers() -> Fields:
    """The fields of the event itself that are read as codes."""
    return {
        "version": Field(scalar=Name),
        "status": Field(kind=Kind.CODE, texts=dict.fromkeys(("ok", "error"))),
        "role": Field(kind=Kind.CODE, texts=dict.fromkeys(("champion", "challenger", "shadow"))),
        "prediction": Field(),
    }


@dataclass(slots=True)
class Layout:
    """The fields of one model's events so far. An object is `None` when it has more keys than `MAX_FIELDS`."""

    answers: Fields = field(default_factory=_answers)
    features: Fields | None = field(default_factory=dict)
    segment: Fields | None = field(default_factory=dict)
    probabilities: Fields | None = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)  # optional fields of events that nothing is computed from

    def widen(self, event: Event) -> bool:
        """Take in an event, so that its like fits from now on; whether that was news."""
        news = [known.widen(getattr(event, name)) for name, known in self.answers.items()]
        self.features, changed = _widened(self.features, event.features, Field)
        news.append(changed)
        self.segment, changed = _widened(self.segment, event.segment, _segment_field)
        news.append(changed)
        self.probabilities, changed = _widened(self.probabilities, event.probabilities or {}, _probability_field)
        news.append(changed)
        stored = {name for name in (*OPTIONAL_TEXTS, "error") if getattr(event, name) is not None}
        stored |= {"context"} if event.context is not NO_CONTEXT else set()
        news.append(not stored <= self.stored)
        self.stored |= stored
        return any(news)

    @property
    def text_count(self) -> int:
        """How many different texts its fields have."""
        objects = (self.answers, self.features or {}, self.segment or {})
        return sum(len(known.texts) for fields in objects for known in fields.values())


def _segment_field() -> Field:
    return Field(number=None, scalar=str | None)


def _probability_field() -> Field:
    return Field(number=Probability, numeric=True)


def _widened(fields: Fields | None, seen: dict[str, Any], make: Any) -> tuple[Fields | None, bool]:
    if fields is None:
        return None, False
    news = False
    for name, value in seen.items():
        known = fields.get(name)
        if known is None:
            if len(fields) >= MAX_FIELDS or not _can_be_a_field(name):
                return None, True
            known = fields[name] = make()
            news = True
        news |= known.widen(value)
    return fields, news


def _can_be_a_field(name: str) -> bool:
    """Whether msgspec takes it as the name of a struct's field."""
    return '"' not in name and "\\" not in name and name.isprintable()
