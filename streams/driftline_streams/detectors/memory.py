"""The state of `detect`: what is kept of each model between batches, as small values of a changelogged table.

In the walk: beside `detect`. A partition's keys are

- `<model>`: the open windows of the model, which batches are in them, and when its versions have spoken;
- `<model> <version> levels`, `<model> <version> features` and `<model> <version> errors` (joined by \\x1f): the
  detectors, and up to where they have been fed;
- the empty key: the clocks of the source partitions, and the names of the models.

The values of one batch need not be stored atomically, only in the order in which they are set (detectors, then windows,
then clocks) and after the batch's effects. Each value says what is already in it, so whatever a crash leaves unstored
is applied again and the rest skipped. Values are msgpack of plain records in Snappy frames, whose checksums keep
damaged bytes from the detectors.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from typing import NamedTuple, TypeVar

import cramjam
import msgspec

from driftline_streams.detectors.errors import ErrorsState, ErrorStream
from driftline_streams.detectors.features import Features, FeaturesState
from driftline_streams.detectors.levels import Levels, LevelsState
from driftline_streams.detectors.silence import Silence
from driftline_streams.errors import BrokenInvariant
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.windows.open import OpenWindows
from driftline_streams.windows.sources import Clocks

MAX_CACHED = 2_048  # decoded models of all partitions; others are decoded when they are needed
MAX_VALUE_BYTES = 768 * 1024  # of a model's open windows: below Kafka's default limit of 1 MiB a message

INDEX_KEY = ""
_JOIN = "\x1f"
_FORMAT = b"\x05"
_T = TypeVar("_T", bound=msgspec.Struct)


class Index(msgspec.Struct, array_like=True):
    """What a partition must know of all its models at once."""

    clocks: Clocks = msgspec.field(default_factory=Clocks)
    models: dict[str, None] = msgspec.field(default_factory=dict)


class ModelState(msgspec.Struct, array_like=True):
    """What is known of all versions of a model at once."""

    windows: OpenWindows = msgspec.field(default_factory=OpenWindows)
    silence: Silence = msgspec.field(default_factory=Silence)


class Detectors(NamedTuple):
    """The detectors of one model version."""

    levels: Levels
    features: Features
    errors: ErrorStream


class ModelMemory:
    """One model's decoded state; `detectors` makes those of a version when they are first needed."""

    def __init__(self, name: str, state: MutableMapping[str, bytes], catalog: Catalog) -> None:
        self.name = name
        self.stored = state.get(name)
        known = ModelState() if self.stored is None else unpack(self.stored, ModelState)
        self.windows, self.silence = known.windows, known.silence
        self.changed = False
        self._state, self._catalog, self._generation = state, catalog, catalog.generation
        self._made: dict[str, Detectors] = {}
        self._touched: set[str] = set()

    def attach(self, state: MutableMapping[str, bytes]) -> None:
        """Go on with the state of a later batch."""
        self._state = state
        if self._generation != self._catalog.generation:  # new rules or references: the detectors are made anew
            self._made, self._generation = {}, self._catalog.generation

    def detectors(self, version: str) -> Detectors:
        """Those of a version, about to be changed."""
        made = self._made.get(version)
        if made is None:
            spec, reference = self._catalog.spec(self.name), self._catalog.reference(self.name, version)
            levels, features, errors = (self._state.get(key) for key in self._keys(version))
            made = self._made[version] = Detectors(
                Levels(spec, version, reference, LevelsState() if levels is None else unpack(levels, LevelsState)),
                Features(
                    spec, version, reference, FeaturesState() if features is None else unpack(features, FeaturesState)
                ),
                ErrorStream(spec, version, ErrorsState() if errors is None else unpack(errors, ErrorsState)),
            )
        self._touched.add(version)
        return made

    def forget(self, version: str) -> None:
        """Drop the detectors of a version, and when it has spoken."""
        self.silence.forget(version)
        self._made.pop(version, None)
        self._touched.discard(version)
        for key in self._keys(version):
            self._state.pop(key, None)

    def store(self) -> None:
        """Write what has changed, the detectors first."""
        for version in sorted(self._touched):
            made: tuple[Levels | Features | ErrorStream, ...] = self._made[version]
            for key, detector in zip(self._keys(version), made, strict=True):
                if detector.changed:
                    self._state[key] = pack(detector.snapshot())
                    detector.changed = False
        self._touched.clear()
        self.stored = self._state[self.name] = pack(ModelState(self.windows, self.silence))
        self.changed = False

    def _keys(self, version: str) -> tuple[str, ...]:
        return tuple(_JOIN.join((self.name, version, part)) for part in Detectors._fields)


class View:
    """The state of one partition while a batch is applied."""

    def __init__(
        self, state: MutableMapping[str, bytes], catalog: Catalog, cached: OrderedDict[str, ModelMemory], index: Index
    ) -> None:
        self.index = index
        self._state, self._catalog, self._cached = state, catalog, cached
        self._before = self._mark()
        self._seen: dict[str, ModelMemory] = {}

    def model(self, name: str) -> ModelMemory:
        """What is known of a model; empty when it is new."""
        model = self._seen.get(name)
        if model is not None:
            return model
        model = self._cached.get(name)
        # A model that is still marked as changed belongs to a batch that failed halfway.
        if model is None or model.changed or model.stored != self._state.get(name):
            model = self._cached[name] = ModelMemory(name, self._state, self._catalog)
        model.attach(self._state)
        self._cached.move_to_end(name)
        self._seen[name] = model
        return model

    def too_large(self) -> Iterator[ModelMemory]:
        """Changed models whose open windows do not fit one value, again until they do."""
        for model in self._seen.values():
            # Encoding twice is paid only by those that may be too large: a cell takes 100 bytes or more.
            while model.changed and model.windows.most_open() > 500 and len(pack(model.windows)) > MAX_VALUE_BYTES:
                yield model

    def store(self) -> None:
        """Write what has changed: detectors and windows of each model, then the index."""
        for model in self._seen.values():
            if model.changed:
                model.store()
        if self._before != self._mark():
            self._state[INDEX_KEY] = pack(self.index)

    def _mark(self) -> tuple[int, int]:
        return self.index.clocks.ticks, len(self.index.models)


class Memory:
    """Decoded state of all partitions, kept for as long as the stored bytes are those that were written."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._cached: dict[int, OrderedDict[str, ModelMemory]] = {}

    def view(self, state: MutableMapping[str, bytes], partition: int) -> View:
        """The state of a partition, for one batch."""
        cached = self._cached.setdefault(partition, OrderedDict())
        while len(cached) > MAX_CACHED:
            cached.popitem(last=False)
        stored = state.get(INDEX_KEY)
        return View(state, self._catalog, cached, Index() if stored is None else unpack(stored, Index))


def pack(value: msgspec.Struct) -> bytes:
    """A record as bytes of the current format."""
    # A third larger than with zlib, at a seventh of its time, which was a third of what a partial cost.
    return _FORMAT + bytes(cramjam.snappy.compress(msgspec.msgpack.encode(value)))


def unpack(stored: bytes, kind: type[_T]) -> _T:
    """The record that `pack` made.

    Raises
    ------
    BrokenInvariant
        If the bytes are damaged or of another format: the changelog topic has to be read again, or reset.
    """
    try:
        if stored[:1] != _FORMAT:
            raise ValueError(f"format {stored[:1]!r} is not {_FORMAT!r}")
        return msgspec.msgpack.decode(bytes(cramjam.snappy.decompress(stored[1:])), type=kind)
    except (ValueError, cramjam.DecompressionError, msgspec.MsgspecError) as error:
        raise BrokenInvariant(
            f"the stored {kind.__name__} of detect cannot be read ({error}); restore the changelog topic or reset it"
        ) from error
