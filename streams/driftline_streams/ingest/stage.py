"""The stage that sees every event: from a batch of bytes to everything that follows from it.

In the walk: the first stage. It is a pure function of the batch, the catalog and the time, and raises for no input.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from driftline_schemas import topics
from driftline_schemas.records import Reason
from driftline_streams.ingest.cells import Segments
from driftline_streams.ingest.features import FeatureSums
from driftline_streams.ingest.issues import repeated
from driftline_streams.ingest.outliers import outlier_rows
from driftline_streams.ingest.partials import Source, encode, spans
from driftline_streams.ingest.raw import raw_rows
from driftline_streams.ingest.read import Reader
from driftline_streams.ingest.signals import Watchlists
from driftline_streams.ingest.windows import WindowSums
from driftline_streams.kernel.batch import Batch
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Effects, Message
from driftline_streams.kernel.joined import Joined
from driftline_streams.kernel.refused import refuse


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What is to be done about a batch, and what it was: every message is either stored or rejected."""

    effects: Effects
    stored: int = 0
    rejected: Counter[Reason] = field(default_factory=Counter)
    unknown_fields: int = 0  # fields outside the contract, kept in `context`
    dropped_features: int = 0  # feature values not monitored, because their model has too many features
    folded_segments: int = 0  # segment values counted as `limits.OTHER_SEGMENT`
    folded_categories: int = 0  # categories counted as `limits.OTHER_CATEGORY`


class Ingest:
    """Turns batches of the topic `predictions` into rows and partials.

    Parameters
    ----------
    catalog
        Specs and references; read at every batch, so changes hold from the next one.
    prefix
        Of the topics that messages go to.
    """

    def __init__(self, catalog: Catalog, prefix: str) -> None:
        self._read = Reader(catalog)
        self._watchlists = Watchlists()
        self._prefix = prefix

    def __call__(self, batch: Batch, now_ms: int) -> IngestResult:
        """What follows from `batch`, read at `now_ms` (epoch ms)."""
        values, offsets = batch.values(), batch.offsets()
        reading = self._read(values, now_ms)
        rejects = refuse(
            reading.refused,
            topic=batch.topic,
            partition=batch.partition,
            offsets=offsets,
            values=values,
            now_ms=now_ms,
            prefix=self._prefix,
        )
        rejected = Counter(refusal.reason for refusal in reading.refused)
        columns = reading.columns
        if columns is None:
            return IngestResult(rejects, rejected=rejected, unknown_fields=reading.unknown_fields)
        offset = np.fromiter(offsets, np.int64, len(offsets))[columns.index]
        segments = Segments.of(columns)
        windows = WindowSums.of(columns, segments)
        ids = Joined(columns.ids)
        features = FeatureSums.of(columns, segments, self._watchlists, repeated(columns, ids))
        source = Source(batch.topic, batch.partition, batch.first, batch.last)
        raw = raw_rows(columns, ids, (batch.topic, batch.partition), offset, now_ms)
        partials = encode(source, offset, windows, features, spans(columns))
        topic = topics.PARTIALS.full_name(self._prefix)
        outliers = outlier_rows(features, (batch.topic, batch.partition), offset)
        messages = [Message(topic, value, key=partial.model.encode()) for partial, value in partials]
        return IngestResult(
            effects=Effects(
                (raw, windows.rows(), features.rows(), *outliers, *rejects.rows), (*messages, *rejects.messages)
            ),
            stored=columns.n,
            rejected=rejected,
            unknown_fields=reading.unknown_fields,
            dropped_features=features.seen.dropped,
            folded_segments=segments.folded,
            folded_categories=features.bins.folded + windows.folded_classes,
        )
