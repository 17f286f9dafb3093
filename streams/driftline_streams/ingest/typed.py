"""Decoders that know the features of each model, learned from the events themselves.

In the walk: an accelerator for `decode`, and nothing else: an event that it can read is read as it would be without it,
and one that it cannot is read the general way. A dictionary of ten features costs as much as the rest of its event, to
make and again to take apart; a struct of ten fields costs a third of that.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from typing import Any, get_type_hints

import msgspec
from msgspec import NODEFAULT, Struct

from driftline_schemas.records import Scalar
from driftline_streams.ingest.event import Event

Decode = Callable[[bytes], Event]

MAX_MODELS = 64  # events of further models are read the general way
MAX_FIELDS = 500  # wider models are rare, and a struct of their width takes long to define
_MIN_EVENTS = 50  # of one model in one call of `learn`, before its shape is believed
_MIN_SHARE = 0.9  # of them have the same names
_MAX_TRIES = 3  # a model that goes on changing its shape is not learned again
_MAX_FAILURES = 0.2  # share of events that the typed decoder fails to read, at which it does more harm than good
_REST = 50  # calls of `learn` for which it is then left out


class Learner:
    """Keeps one decoder for all models whose events nearly always have the same features and segments."""

    def __init__(self) -> None:
        self._twins: dict[str, type[Struct]] = {}
        self._tries: Counter[str] = Counter()
        self._decode: Decode | None = None
        self._rest = 0

    @property
    def decode(self) -> Decode | None:
        """Reads events of known shapes and raises msgspec's errors for others; `None` while it is not worth it.

        `features` and `segment` of its events are structs with one field a name instead of dictionaries.
        """
        return None if self._rest else self._decode

    def learn(self, events: Sequence[Event]) -> None:
        """Take in some hundred events as they were read, whether by `decode` or the general way."""
        general = [event for event in events if type(event.features) is dict]
        if self._rest:
            self._rest -= 1
        elif self._decode is not None and len(general) > _MAX_FAILURES * len(events):
            self._rest = _REST
        by_model: dict[str, list[Event]] = {}
        for event in general:
            if self._tries[event.model] < _MAX_TRIES:
                by_model.setdefault(event.model, []).append(event)
        learned = [model for model, mine in by_model.items() if self._learn_model(model, mine, len(events))]
        if learned:
            union: Any = reduce(operator.or_, self._twins.values())
            self._decode = msgspec.json.Decoder(union).decode
            self._rest = 0

    def _learn_model(self, model: str, general: Sequence[Event], n: int) -> bool:
        known = model in self._twins
        if len(general) < (max(_MIN_EVENTS, _MAX_FAILURES * n) if known else _MIN_EVENTS):
            return False
        if not known and len(self._twins) >= MAX_MODELS:
            return False
        shapes = Counter((frozenset(event.features), frozenset(event.segment)) for event in general)
        (features, segment), count = shapes.most_common(1)[0]
        self._tries[model] += 1
        if count < _MIN_SHARE * len(general) or len(features) + len(segment) > MAX_FIELDS:
            return False
        alike = [event for event in general if event.features.keys() == features and event.segment.keys() == segment]
        self._twins[model] = _twin(
            model, _fields(features, [e.features for e in alike]), _fields(segment, [e.segment for e in alike])
        )
        return True


def _fields(names: Collection[str], objects: Sequence[Mapping[str, Scalar]]) -> type[Struct]:
    """A struct that reads objects with exactly these names, each of the type of its first value, or null."""
    fields: list[Any] = []
    for place, name in enumerate(sorted(names)):
        kind = next((type(o[name]) for o in objects if o[name] is not None), float)
        fields.append((f"f{place}", kind | None, msgspec.field(name=name)))
    return msgspec.defstruct("Fields", fields, gc=False, forbid_unknown_fields=True)


def _twin(model: str, features: type[Struct], segment: type[Struct]) -> type[Struct]:
    """`Event` for one model, with its features and segments as structs; the decoder of a union picks it by `model`."""
    narrow = {"features": features, "segment": segment}
    hints = get_type_hints(Event, include_extras=True) | narrow
    fields: list[Any] = []
    for known in msgspec.structs.fields(Event):
        if known.name == "model":
            continue
        default: dict[str, Any] = {}
        if known.name in narrow:
            default = {} if narrow[known.name].__struct_fields__ else {"default_factory": narrow[known.name]}
        elif known.default is not NODEFAULT:
            default = {"default": known.default}
        fields.append((known.name, hints[known.name], msgspec.field(**default)))
    return msgspec.defstruct(
        "Twin",
        fields,
        namespace={"model": model},
        tag_field="model",
        tag=model,
        kw_only=True,
        gc=False,
        forbid_unknown_fields=True,
    )
