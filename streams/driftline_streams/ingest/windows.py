"""Sums over windows: load, errors, latency and scores by model version, window and segment.

In the walk: the second effect of a batch, for the table `windows`, and half of the message to `detect`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftline_schemas.records import Buckets, WindowCell
from driftline_streams.ingest.bounds import fold
from driftline_streams.ingest.cells import Cells, Segments, Slices, Strata
from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.entries import ends_of
from driftline_streams.ingest.moments import Sums
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel.effects import Coded, MapColumn, Rows
from driftline_streams.kernel.histogram import Floats, Ints, tally
from driftline_streams.kernel.limits import MAX_CATEGORIES, OTHER_CATEGORY
from driftline_streams.kernel.sketch import GroupedBuckets, bucket_index, group_buckets


@dataclass(frozen=True, slots=True)
class WindowSums:
    """What a batch adds to its windows, by group of `slices`; arrays have shape `(groups,)`."""

    columns: Columns
    cells: Cells
    slices: Slices
    n: Ints
    errors: Ints
    latency: Sums
    buckets: GroupedBuckets
    score: Sums
    confidence: Sums
    classes: MapColumn  # predicted classes; a regression predicts numbers, and those are no classes
    folded_classes: int  # answers of classes beyond `MAX_CATEGORIES`, counted as `OTHER_CATEGORY`

    @classmethod
    def of(cls, columns: Columns, segments: Segments) -> WindowSums:
        """Sum the events (at least one) over the windows of their models, and over slices as wide as features'."""
        width_ms = np.array([version.spec.window_s * 1000 for version in columns.versions], np.int64)
        feature_ms = np.array([version.spec.feature_window_s * 1000 for version in columns.versions], np.int64)
        cells = Cells.of(columns, width_ms)
        slices = Slices.of(cells, Cells.of(columns, np.maximum(width_ms, feature_ms)), segments)
        row, group, size = slices.row, slices.group, len(slices)
        joint = Strata.each(slices).joined()
        strata, of_strata = joint.spread(np.arange(len(joint)), joint.layers)

        def sums(numbers: Floats) -> Sums:
            return Sums.of(joint.of_event, numbers, len(joint)).merged(strata, of_strata, size)

        measured = ~np.isnan(columns.latency_ms)
        bucket = bucket_index(np.where(measured, columns.latency_ms, 0.0))
        timed = measured[row]
        classes, folded_classes = _classes(columns, slices, size)
        return cls(
            columns=columns,
            cells=cells,
            slices=slices,
            n=np.bincount(group, minlength=size),
            errors=np.bincount(group[columns.failed[row]], minlength=size),
            latency=sums(columns.latency_ms),
            buckets=group_buckets(group[timed], bucket[row[timed]], size),
            score=sums(columns.score),
            confidence=sums(columns.confidence),
            classes=classes,
            folded_classes=folded_classes,
        )

    def rows(self) -> Rows:
        """One row a group for the table `windows`."""
        slices, versions = self.slices, self.columns.versions
        version = slices.version
        return Rows(
            "windows",
            len(self.n),
            {
                "model": Texts.of([version.model for version in versions]).column(version),
                "version": Texts.of([version.name for version in versions]).column(version),
                "window": (slices.start_ms // 1000).astype(np.uint32),
                "width_s": (slices.width_ms // 1000).astype(np.uint32),
                "dim": slices.dim.column(),
                "value": slices.value.column(),
                "n": self.n.astype(np.uint64),
                "errors": self.errors.astype(np.uint64),
                "latency": MapColumn(
                    ends_of(self.buckets.group, len(self.n)),
                    self.buckets.bucket.astype(np.int32),
                    self.buckets.count.astype(np.uint64),
                ),
                "latency_n": self.latency.n.astype(np.uint64),
                "latency_sum": self.latency.sum,
                "latency_max": self.latency.max,
                "score_n": self.score.n.astype(np.uint64),
                "score_sum": self.score.sum,
                "confidence_n": self.confidence.n.astype(np.uint64),
                "confidence_sum": self.confidence.sum,
                "classes": self.classes,
            },
        )

    def sizes(self) -> Ints:
        """About how many bytes the JSON of the `records` of each version takes; shape `(versions,)`."""
        cells, buckets = len(self.cells), self.buckets.group
        of_cell = 300 + 9 * np.bincount(buckets[buckets < cells], minlength=cells)
        return np.bincount(self.cells.version, of_cell, len(self.columns.versions)).astype(np.int64)

    def records(self, chosen: npt.NDArray[np.bool_]) -> list[list[WindowCell]]:
        """The whole cells (no segments) of the `chosen` versions, in order; shape `(versions,)`, as the result."""
        cells = np.flatnonzero(chosen[self.cells.version])  # the whole cells are the first groups
        ends = np.searchsorted(self.buckets.group, cells, side="right").tolist()
        begins = np.searchsorted(self.buckets.group, cells, side="left").tolist()
        bucket, count = self.buckets.bucket.tolist(), self.buckets.count.tolist()
        latency = self.latency.records(cells, self.n - self.latency.n)
        score = self.score.records(cells, self.n - self.score.n)
        confidence = self.confidence.records(cells, self.n - self.confidence.n)
        numbers = (column[cells].tolist() for column in (self.cells.version, self.cells.start_ms, self.n, self.errors))
        by_version: list[list[WindowCell]] = [[] for _ in self.columns.versions]
        for version, start_ms, n, errors, begin, end, of_latency, of_score, of_confidence in zip(
            *numbers, begins, ends, latency, score, confidence, strict=True
        ):
            by_version[version].append(
                WindowCell(
                    window_ms=start_ms,
                    n=n,
                    errors=errors,
                    latency=Buckets(
                        counts=dict(zip(bucket[begin:end], count[begin:end], strict=True)),
                        n=of_latency.n,
                        sum=of_latency.sum,
                        max=of_latency.max,
                    ),
                    signals={"latency_ms": of_latency, "score": of_score, "confidence": of_confidence},
                )
            )
        return by_version


def _classes(columns: Columns, slices: Slices, size: int) -> tuple[MapColumn, int]:
    """Predicted classes by group, and how many answers were folded."""
    classifies = np.array([version.spec.kind != "regression" for version in columns.versions], np.bool_)
    label, row = columns.label, slices.row
    answered = np.flatnonzero((label.code != NO_TEXT) & classifies[columns.version])
    given = Texts(label.values, label.code[answered])
    bounded, folded = fold(columns.version[answered], given, MAX_CATEGORIES, OTHER_CATEGORY, {})
    code = np.full(columns.n, NO_TEXT, np.int64)
    code[answered] = bounded.code
    counted = code[row] != NO_TEXT
    width = max(1, len(bounded.values))
    present, count = tally(slices.group[counted] * width + code[row[counted]], size * width)
    keys = Coded(bounded.values, present % width)
    return MapColumn(ends_of(present // width, size), keys, count.astype(np.uint64)), folded
