"""All that is asked of a closed test window: is its data sound, are there as many events as usual, has it drifted?

In the walk: those who gather test windows ask once for each, with its parts by segment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.detectors.budget import Thresholds
from driftline_streams.detectors.quality import checks, volume
from driftline_streams.detectors.window_tests import drift, explain
from driftline_streams.kernel.drift import rows
from driftline_streams.kernel.effects import Rows
from driftline_streams.windows.cells import WideCell


class Verdict(NamedTuple):
    """Findings (those of all events before those of segments), rows of `drift`, whether anything could be compared."""

    found: list[Detection]
    rows: list[Rows]
    compared: bool


class Judge(NamedTuple):
    """Judges the test windows of one model version."""

    spec: ModelSpec
    version: str
    reference: Reference | None
    ignored: frozenset[str]  # signals that the spec leaves out

    def judge(
        self,
        window: WideCell,
        segments: Sequence[WideCell],
        thresholds: Thresholds,
        *,
        tested: int,
        by_time: bool,
        now_ms: int,
    ) -> Verdict:
        """The verdict on a window and its `segments`.

        `tested` windows were compared with this reference before; `by_time` is false of windows of a number of events,
        whose volume is no news.
        """
        found = [*self._sound(window), *(volume.check(*self._whose, window) if by_time else ())]
        parts = [each for segment in segments for each in self._sound(segment)]
        if self.reference is None:
            return Verdict(found + parts, [], False)
        results = drift.compare(self.reference, window, self.spec.drift, thresholds, self.ignored, segments)
        if not results:
            return Verdict(found + parts, [], False)
        span = drift.span(self.reference, self.version, window)
        drifted = [drift.finding(span, result) for result in results if result.state == "drift"]
        cells = {(segment.dim, segment.value): segment for segment in segments}
        whole = [_explained(each, self.reference, window, cells) for each in drifted if not each.dim]
        found += whole + checks.skew(self.spec, self.version, self.reference, window, whole, tested=tested)
        found += parts + [each for each in drifted if each.dim]
        compared = any(result.state != "insufficient data" and not result.dim for result in results)
        return Verdict(found, [rows(span, results, now_ms)], compared)

    @property
    def _whose(self) -> tuple[ModelSpec, str, Reference | None]:
        return self.spec, self.version, self.reference

    def _sound(self, cell: WideCell) -> list[Detection]:
        return checks.check(*self._whose, cell)


def _explained(
    found: Detection, reference: Reference, window: WideCell, cells: Mapping[tuple[str, str], WideCell]
) -> Detection:
    what: explain.What = "nulls" if found.method == "nulls" else "values"
    shares = explain.shares(reference, found.signal, window, cells, what)
    return msgspec.structs.replace(found, segments=shares)
