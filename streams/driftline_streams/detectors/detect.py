"""From partials to findings: the fold over one partition of the `partials` topic.

In the walk: between `ingest` and `notify`. `app.py` hands over a batch of messages and the state of the partition, and
carries out the effects, **then** stores the state (see `memory`). Nothing here depends on a clock but the columns
`detected_at` and `computed_at`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, MutableMapping, Sequence

import msgspec

from driftline_schemas.records import Clock, Detection, Errors, Partial
from driftline_schemas.topics import PARTIALS
from driftline_streams.detectors.memory import Memory, ModelMemory, View
from driftline_streams.kernel import findings
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.decoding import classify
from driftline_streams.kernel.effects import Effects, Rows
from driftline_streams.kernel.refused import Reject, refuse
from driftline_streams.windows.cells import BaseCell, WideCell

MAX_MODELS = 10_000  # of one partition; partials of further models are counted, not watched
MAX_VERSIONS = 100  # of one model; beyond, the one that spoke first is forgotten

_DECODER = msgspec.json.Decoder(Partial | Clock | Errors)


class _Found:
    """What one batch has found so far."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.detections: list[Detection] = []
        self.rows: list[Rows] = []
        self.rejected: list[Reject] = []

    def add(self, detections: Iterable[Detection], rows: Iterable[Rows] = ()) -> None:
        self.detections += detections
        self.rows += rows


class Detect:
    """Finds changes, drift and broken objectives in the partials of a batch.

    Parameters
    ----------
    catalog
        Specs and references; what holds when a window closes decides about it.
    prefix
        Of the topics that messages go to.
    lateness_ms
        How long after its end a window stays open, in event time.

    Attributes
    ----------
    counts
        Since the start of the process: "partials", "clocks", "errors", "repeated" messages, "windows" fed,
        "late_windows" that were not, because a later one was fed before, "early_windows" closed for want of room,
        "unwatched_models", "unwatched_signals" and "unwatched_errors" (partials, windows and outcomes beyond the
        bounds), "forgotten_versions", "late_segments" and "folded_segments" (cells left out because their test window
        was closed, or added to the rest of their key for want of room).
    """

    def __init__(self, catalog: Catalog, prefix: str, lateness_ms: int) -> None:
        self._lateness_ms = lateness_ms
        self._prefix = prefix
        self._catalog = catalog
        self._memory = Memory(catalog)
        self.counts: Counter[str] = Counter()

    def __call__(
        self,
        messages: Sequence[bytes],
        state: MutableMapping[str, bytes],
        now_ms: int,
        *,
        partition: int = 0,
        offsets: Sequence[int] = (),
    ) -> Effects:
        """What follows from a batch of `partials`.

        `state` is changed in place, and must be stored after the effects have been carried out. `partition` and
        `offsets` say where the messages stand; they are only used for those that cannot be read.
        """
        found = _Found(now_ms)
        view = self._memory.view(state, partition)
        for place, message in enumerate(messages):
            try:
                record = _DECODER.decode(message)
            except msgspec.MsgspecError as error:
                found.rejected.append(Reject(place, *classify(error)))
                continue
            if isinstance(record, Clock):
                self._tick(record, view, found)
            elif isinstance(record, Errors):
                self._judge(record, view, found)
            else:
                self._add(record, view, found)
        for model in view.too_large():
            for version, cell in model.windows.overflow(model.windows.most_open() // 2):
                self.counts["early_windows"] += 1
                self._feed(model, version, cell, found)
            model.windows.settle()
        view.store()
        detected = findings.effects(found.detections, self._prefix, now_ms)
        rejects = refuse(
            found.rejected,
            topic=PARTIALS.full_name(self._prefix),
            partition=partition,
            offsets=offsets or [0] * len(messages),
            values=messages,
            now_ms=now_ms,
            prefix=self._prefix,
        )
        return Effects([*found.rows, *detected.rows, *rejects.rows], [*detected.messages, *rejects.messages])

    def _add(self, partial: Partial, view: View, found: _Found) -> None:
        models = view.index.models
        if partial.model not in models and len(models) >= MAX_MODELS:
            self.counts["unwatched_models"] += 1
            return
        models[partial.model] = None
        model = view.model(partial.model)
        if not model.windows.update(partial, view.index.clocks):
            self.counts["repeated"] += 1
            return
        self.counts["partials"] += 1
        model.changed = True
        if partial.slices is not None:
            late, folded = model.slice(partial)
            self.counts["late_segments"] += late
            self.counts["folded_segments"] += folded
        model.silence.note(partial)
        if len(model.windows.versions) > MAX_VERSIONS:
            self.counts["forgotten_versions"] += 1
            model.forget(model.windows.forget_oldest())
        for version, cell in model.windows.overflow():
            self.counts["early_windows"] += 1
            self._feed(model, version, cell, found)
        self._close(model, view, found)

    def _judge(self, errors: Errors, view: View, found: _Found) -> None:
        """Feed the outcomes of a version whose predictions have come by here."""
        known = errors.model in view.index.models
        if not known or errors.version not in view.model(errors.model).windows.versions:
            self.counts["unwatched_errors"] += 1
            return
        model = view.model(errors.model)
        detections = model.detectors(errors.version).errors.update(errors)
        if detections is None:
            self.counts["repeated"] += 1
            return
        self.counts["errors"] += 1
        model.changed = True
        found.add(detections)

    def _tick(self, clock: Clock, view: View, found: _Found) -> None:
        clocks = view.index.clocks
        before_ms = clocks.read_ms()
        if not clocks.update(clock):
            self.counts["repeated"] += 1
            return
        self.counts["clocks"] += 1
        if clock.busy and clocks.read_ms() == before_ms:
            return
        for name in view.index.models:
            self._close(view.model(name), view, found)

    def _close(self, model: ModelMemory, view: View, found: _Found) -> None:
        """Feed what the watermark lets close, and find who is silent."""
        windows, clocks = model.windows, view.index.clocks
        watermark_ms = windows.sources.watermark_ms(clocks)
        self._close_until(model, watermark_ms - self._lateness_ms, found)
        until_ms = max(watermark_ms, clocks.read_ms()) - self._lateness_ms
        silent, changed = model.silence.pass_time(self._catalog.spec(model.name), until_ms)
        found.add(silent)
        model.changed |= changed

    def _close_until(self, model: ModelMemory, until_ms: int, found: _Found) -> None:
        windows = model.windows
        if until_ms < windows.first_end_ms:
            return
        model.changed = True
        for version, cell in windows.close(until_ms):
            self._feed(model, version, cell, found)
        for version in windows.tests_due(until_ms):
            tests = model.detectors(version).tests
            found.add(*tests.close_due(until_ms, model.segments(version), found.now_ms))
            windows.versions[version].test_end_ms = tests.end_ms
        windows.settle()

    def _feed(self, model: ModelMemory, version: str, cell: BaseCell | WideCell, found: _Found) -> None:
        detectors = model.detectors(version)
        if isinstance(cell, BaseCell):
            detections = detectors.levels.update(cell)
            if detections is not None:
                found.add(detections)
            in_time = detections is not None
            spec = self._catalog.spec(model.name)
            found.add(model.silence.hear(spec, version, cell.start_ms, cell.start_ms + cell.width_ms))
        else:
            features, tests = detectors.features, detectors.tests
            detections = features.update(cell)
            if detections is not None:
                found.add(detections)
            in_time = detections is not None
            found.add(*tests.update(cell, model.segments(version), found.now_ms))
            model.windows.versions[version].test_end_ms = tests.end_ms
            self.counts["unwatched_signals"] += features.take_unwatched()
        self.counts["windows" if in_time else "late_windows"] += 1
