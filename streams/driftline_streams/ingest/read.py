"""From the payloads of a batch to its columns.

In the walk: what `stage` does first. Events are decoded into structs that were made for their models (see `layout`),
a thousand at a time: those and what is taken from them fit the processor's own cache, and twenty thousand at a time
cost half as much again. What does not fit a struct is read the general way, and widens the layout of its model; what
may be refused is read the general way too, for a refusal needs its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from driftline_schemas.frame import is_frame
from driftline_streams.ingest.block import Block
from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.decode import admit, decode
from driftline_streams.ingest.event import Event
from driftline_streams.ingest.form import Form, form_of
from driftline_streams.ingest.frames import read_frames
from driftline_streams.ingest.layout import Layout
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.decoding import UNREADABLE, worth_reading
from driftline_streams.kernel.histogram import Ints
from driftline_streams.kernel.instants import instants_ms
from driftline_streams.kernel.refused import Reject

AT_A_TIME: Final = 1_000
# From so many models on, events are decoded model by model: hundreds of forms do not fit the processor's own cache, and
# neither do a few events for each of them.
MANY_FORMS: Final = 10
MAX_LAYOUTS: Final = 1_000  # models beyond it are read the general way, at three times the cost
_MODEL, _MODEL_BYTES = b'"model":', 40
# Making a form costs what reading about so many events of its model the general way does, and so many for each text.
MISFITS, MISFITS_OF_TEXT = 50, 3


@dataclass(frozen=True, slots=True)
class Reading:
    """The events of a batch (`None` when there is none), what was refused, and how many fields were unknown."""

    columns: Columns | None
    refused: list[Reject]
    unknown_fields: int


class Reader:
    """Reads batches, and learns from them what events look like; that changes what reading costs, never its result."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._layouts: dict[str, Layout] = {}
        self._forms: dict[str, Form] = {}
        self._news: dict[str, int] = {}  # by model, how many events did not fit its form
        self._decode: Callable[[bytes], Any] = _nothing_fits

    def __call__(self, values: Sequence[bytes | None], now_ms: int) -> Reading:
        """Read the payloads of a batch at `now_ms` (epoch ms); a tombstone is `None`. Raises for no input."""
        blocks: dict[type, Block] = {}
        general = _General(values, now_ms, self._catalog)
        framed: list[int] = []
        order, arranged = np.arange(len(values)), values
        if len(self._forms) >= MANY_FORMS:
            order = _by_model(values)
            arranged = [values[place] for place in order.tolist()]
        for first in range(0, len(values), AT_A_TIME):
            end = first + AT_A_TIME
            events, index, misfits = self._fitting(arranged[first:end], order[first:end])
            self._gather(blocks, events, index)
            for place in misfits:
                (framed if is_frame(values[place]) else general.waiting).append(place)
            if len(general.waiting) >= AT_A_TIME // 2:
                self._learn(general.read())
        parts = []
        timestamps = [block.timestamps for block in blocks.values()]
        # Those of all models together: with few events of each, the steps would cost more than the events.
        time_ms = instants_ms(list(chain.from_iterable(timestamps)))
        ends = accumulate(map(len, timestamps))
        for block, of_block, end in zip(blocks.values(), timestamps, ends, strict=True):
            columns, unsure = block.columns(self._catalog, time_ms[end - len(of_block) : end], now_ms)
            general.waiting += unsure.tolist()
            if columns is not None:
                parts.append(columns)
        self._learn(general.read())
        frames = read_frames([(place, values[place] or b"") for place in sorted(framed)], now_ms, self._catalog)
        parts += general.parts + frames.parts
        refused = sorted(general.refused + frames.refused, key=lambda refusal: (refusal.index, refusal.position))
        unknown_fields = general.unknown_fields + frames.unknown_fields
        return Reading(Columns.join(parts) if parts else None, refused, unknown_fields)

    def _fitting(self, values: Sequence[bytes | None], order: Ints) -> tuple[list[Any], Ints, list[int]]:
        """The payloads that fit their form, decoded, and the places in the batch of these and of the others.

        `order` has the places of all of `values`.

        A bad payload costs itself only. `map` inside `extend` runs without a Python frame an event; when a payload
        raises, the events before it are in the list already, the iterator stands behind it, and the loop goes on.
        """
        events: list[Any] = []
        misfits: list[int] = []
        rest = iter(worth_reading(values))
        while True:
            try:
                events.extend(map(self._decode, rest))
                break
            except UNREADABLE:
                place = len(events) + len(misfits)
                misfits.append(place)
                # Frames seldom come alone, and to look at the next ones costs less than an error for each.
                while is_frame(values[place]) and place + 1 < len(values) and is_frame(values[place + 1]):
                    place += 1
                    misfits.append(place)
                    next(rest)
        return events, np.delete(order, misfits) if misfits else order, order[misfits].tolist()

    def _gather(self, blocks: dict[type, Block], events: list[Any], index: Ints) -> None:
        """Add events to the blocks of their forms."""
        types = {form.type: place for place, form in enumerate(self._forms.values())}
        forms = list(self._forms.values())
        place = np.fromiter(map(types.__getitem__, map(type, events)), np.uint16, len(events))
        order = np.argsort(place, kind="stable")
        sorted_events = list(map(events.__getitem__, order.tolist()))
        index = index[order]
        end = 0
        for form, count in zip(forms, np.bincount(place, minlength=len(forms)).tolist(), strict=True):
            begin, end = end, end + count
            if count:
                block = blocks.get(form.type)
                if block is None:
                    block = blocks[form.type] = Block(form)
                block.add(sorted_events[begin:end], index[begin:end])

    def _learn(self, events: Sequence[Event]) -> None:
        """Widen the layouts by events that did not fit, and make the forms anew of which enough have not."""
        for event in events:
            layout = self._layouts.get(event.model)
            if layout is None:
                if len(self._layouts) >= MAX_LAYOUTS:
                    continue
                layout = self._layouts[event.model] = Layout()
            if layout.widen(event) or event.model in self._news:
                self._news[event.model] = self._news.get(event.model, 0) + 1
        ripe = [model for model, count in self._news.items() if count >= MISFITS and count >= self._cost(model)]
        # The decoder is made anew for all forms; that costs what an event of each does.
        if not ripe or sum(map(self._news.__getitem__, ripe)) < len(self._forms):
            return
        for model in ripe:
            self._forms[model] = form_of(model, self._layouts[model])
            del self._news[model]
        types: list[Any] = [_NoForm, *(form.type for form in self._forms.values())]
        self._decode = msgspec.json.Decoder(_union(types)).decode

    def _cost(self, model: str) -> int:
        """How many events of a model must not have fitted for its texts to be worth a new form."""
        return MISFITS_OF_TEXT * self._layouts[model].text_count


def _by_model(values: Sequence[bytes | None]) -> Ints:
    """The places of the payloads, with those side by side that look as if they were of one model; a guess will do."""
    groups: dict[bytes, list[int]] = {}
    for place, value in enumerate(values):
        at = value.find(_MODEL) if value is not None else 0
        groups.setdefault(value[at : at + _MODEL_BYTES] if value is not None else b"", []).append(place)
    return np.fromiter(chain.from_iterable(groups.values()), np.int64, len(values))


class _NoForm(msgspec.Struct, tag_field="model", tag="", forbid_unknown_fields=True):
    """Fits nothing. Alone, a struct fits events without its tag too; as one of two it does not."""

    never: Annotated[str, msgspec.Meta(min_length=1, max_length=0)]


def _union(types: Sequence[Any]) -> Any:
    """One of these types. By halves, for `|` compares each two; `typing.Union` would keep old forms."""
    half = len(types) // 2
    return _union(types[:half]) | _union(types[half:]) if half else types[0]


def _nothing_fits(_: bytes) -> Any:
    raise msgspec.DecodeError


class _General:
    """The payloads of a batch that are read the general way."""

    def __init__(self, values: Sequence[bytes | None], now_ms: int, catalog: Catalog) -> None:
        self._values = values
        self._now_ms = now_ms
        self._catalog = catalog
        self.waiting: list[int] = []  # where in the batch they are
        self.parts: list[Columns] = []
        self.refused: list[Reject] = []
        self.unknown_fields = 0

    def read(self) -> list[Event]:
        """Read those that wait; the events among them that make sense."""
        if not self.waiting:
            return []
        index = np.array(sorted(self.waiting), np.int64)
        self.waiting = []
        decoded = decode([self._values[place] for place in index.tolist()], index)
        admitted = admit(decoded, self._now_ms)
        self.refused += admitted.refused
        self.unknown_fields += decoded.unknown_fields
        if admitted.events:
            self.parts.append(Columns.of(admitted, self._catalog))
        return admitted.events
