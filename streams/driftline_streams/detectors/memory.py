"""The state of `detect`: what is kept of each model between batches, as small values of a changelogged table.

In the walk: beside `detect`. A partition's keys are

- `<model>`: the open windows of the model, which batches are in them, and when its versions have spoken;
- `<model> <version> levels`, `<model> <version> features` and `<model> <version> errors` (joined by \\x1f): the
  detectors, and up to where they have been fed;
- `<model> <version> tests`: which test windows the version has, and `<model> <version> tests <ms>`: each of them;
- `<model> <version> segments`: those of its longest test window, and which batches are in them;
- the empty key: the clocks of the source partitions, and the names of the models.

The values of one batch need not be stored atomically, only in the order in which they are set (detectors, segments,
windows, clocks) and after the batch's effects. Each value says what is already in it, so whatever a crash leaves
unstored is applied again and the rest skipped. Values are msgpack of plain records in Snappy frames, whose checksums
keep damaged bytes from the detectors.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from typing import NamedTuple, TypeVar

import cramjam
import msgspec

from driftline_schemas.records import Partial
from driftline_streams.detectors.changes.errors import ErrorsState, ErrorStream
from driftline_streams.detectors.changes.features import Features, FeaturesState
from driftline_streams.detectors.changes.levels import Levels, LevelsState
from driftline_streams.detectors.quality.silence import Silence
from driftline_streams.detectors.window_tests.open_test_windows import (
    OpenTestWindows,
    Segments,
    Widths,
    WidthState,
    widths_of,
)
from driftline_streams.errors import BrokenInvariant
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.windows.cells import WideCell
from driftline_streams.windows.open import OpenWindows
from driftline_streams.windows.slices import Slices, SlicesState
from driftline_streams.windows.sources import Clocks

MAX_CACHED = 2_048  # decoded models of all partitions; others are decoded when they are needed
MAX_VALUE_BYTES = 768 * 1024  # of a model's open windows: below Kafka's default limit of 1 MiB a message

INDEX_KEY = ""
_JOIN = "\x1f"
_FORMAT = b"\x06"
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
    tests: OpenTestWindows


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
        self._slices: dict[str, Slices] = {}
        self._sliced: set[str] = set()  # versions whose segments have changed

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
            levels = self._load(version, "levels", LevelsState)
            features = self._load(version, "features", FeaturesState)
            errors = self._load(version, "errors", ErrorsState)
            widths_ms = self._load(version, "tests", Widths).widths_ms
            tests = {width: self._load(version, f"tests{_JOIN}{width}", WidthState) for width in widths_ms}
            made = self._made[version] = Detectors(
                Levels(spec, version, reference, levels),
                Features(spec, version, reference, features),
                ErrorStream(spec, version, errors),
                OpenTestWindows(spec, version, reference, tests),
            )
        self._touched.add(version)
        return made

    def slice(self, partial: Partial) -> tuple[int, int]:
        """Add the segments of a partial; how many of them came too late, and how many were folded."""
        slices = self._slices_of(partial.version)
        spec = self._catalog.spec(self.name)
        slices.update(partial, widths_of(spec, partial.feature_window_ms)[-1])
        self._sliced.add(partial.version)
        found, slices.late, slices.folded = (slices.late, slices.folded), 0, 0
        return found

    def segments(self, version: str) -> Segments:
        """What closes the segments of a version."""

        def take(start_ms: int, width_ms: int) -> list[WideCell]:
            if version not in self._slices and self._key(version, "segments") not in self._state:
                return []
            self._sliced.add(version)
            return self._slices_of(version).take(start_ms, width_ms)

        return take

    def forget(self, version: str) -> None:
        """Drop the detectors of a version, its segments, and when it has spoken."""
        widths_ms = self._load(version, "tests", Widths).widths_ms
        self.silence.forget(version)
        for made in (self._made, self._slices):
            made.pop(version, None)
        for touched in (self._touched, self._sliced):
            touched.discard(version)
        for what in (
            "levels",
            "features",
            "errors",
            "segments",
            "tests",
            *(f"tests{_JOIN}{width}" for width in widths_ms),
        ):
            self._state.pop(self._key(version, what), None)

    def store(self) -> None:
        """Write what has changed, the detectors first."""
        for version in sorted(self._touched):
            made = self._made[version]
            detectors: dict[str, Levels | Features | ErrorStream] = {
                "levels": made.levels,
                "features": made.features,
                "errors": made.errors,
            }
            for what, detector in detectors.items():
                if detector.changed:
                    self._state[self._key(version, what)] = pack(detector.snapshot())
                    detector.changed = False
            if made.tests.changed:
                self._store_tests(version, made.tests)
        self._touched.clear()
        for version in sorted(self._sliced):
            self._state[self._key(version, "segments")] = pack(self._slices[version].snapshot())
        self._sliced.clear()
        self.stored = self._state[self.name] = pack(ModelState(self.windows, self.silence))
        self.changed = False

    def _store_tests(self, version: str, tests: OpenTestWindows) -> None:
        before, now = self._load(version, "tests", Widths).widths_ms, sorted(tests.states)
        for width_ms, state in tests.states.items():
            self._state[self._key(version, f"tests{_JOIN}{width_ms}")] = pack(state)
        for width_ms in set(before).difference(now):
            self._state.pop(self._key(version, f"tests{_JOIN}{width_ms}"), None)
        if before != now:
            self._state[self._key(version, "tests")] = pack(Widths(now))
        tests.changed = False

    def _slices_of(self, version: str) -> Slices:
        made = self._slices.get(version)
        if made is None:
            made = self._slices[version] = Slices(self._load(version, "segments", SlicesState))
        return made

    def _load(self, version: str, what: str, kind: type[_T]) -> _T:
        stored = self._state.get(self._key(version, what))
        return kind() if stored is None else unpack(stored, kind)

    def _key(self, version: str, what: str) -> str:
        return _JOIN.join((self.name, version, what))


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
