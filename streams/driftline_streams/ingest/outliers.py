"""The strangest events of a batch: a few of each model version whose values the reference hardly allows, with reasons.

In the walk: an effect of a batch that most batches do not have, for the table `outliers`. The sums of `features` tell
whether there is anything to look for.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from driftline_streams.ingest.columns import Columns
from driftline_streams.ingest.features import FeatureSums
from driftline_streams.ingest.signals import Observations
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel.effects import Coded, MapColumn, Rows
from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.kernel.limits import OTHER_CATEGORY

MOST: Final = 5  # of a version in a batch
# Chebyshev: whatever the distribution, at most one value in 64 lies so many deviations away; of a normal one, none.
FAR: Final = 8.0


def outlier_rows(features: FeatureSums, source: tuple[str, int], offset: Ints) -> list[Rows]:
    """Rows of the events whose score is over `FAR`, at most `MOST` of a version, the highest; nothing without any.

    The score of an event is the largest distance of its numbers from the reference's mean, in the reference's
    deviations, or the surprisal of a category that the reference does not know, in nats. `source` is topic and
    partition, `offset` has the events', shape `(n,)`.
    """
    columns, seen = features.columns, features.seen
    row, signal, score = _reasons(features, seen)
    if not len(row):
        return []
    of_event = np.zeros(columns.n)
    np.maximum.at(of_event, row, np.abs(score))
    chosen = _highest(columns, of_event)
    kept = np.flatnonzero(np.isin(row, chosen))
    kept = kept[np.lexsort((signal[kept], row[kept]))]
    names = [seen.signals[place].name for place in signal[kept].tolist()]
    versions, version = columns.versions, columns.version[chosen]
    ids = columns.ids
    rows = Rows(
        "outliers",
        len(chosen),
        {
            "model": Texts.of([version.model for version in versions]).column(version),
            "version": Texts.of([version.name for version in versions]).column(version),
            "timestamp": columns.time_ms[chosen],
            "prediction_id": [ids[place] for place in chosen.tolist()],
            "score": of_event[chosen],
            "reasons": MapColumn(
                np.searchsorted(row[kept], chosen, side="right").astype(np.uint64), names, score[kept]
            ),
            "topic": Coded.constant(source[0], len(chosen)),
            "partition": np.full(len(chosen), source[1], np.uint32),
            "offset": offset[chosen].astype(np.uint64),
        },
    )
    return [rows]


def _reasons(features: FeatureSums, seen: Observations) -> tuple[Ints, Ints, Floats]:
    """What is over the limit: event, signal, and by how much."""
    numbers = features.sums.n > 0
    signal = features.signal[numbers]
    far = (
        np.maximum(seen.level[signal] - features.sums.min[numbers], features.sums.max[numbers] - seen.level[signal])
        > FAR * seen.deviation[signal]
    )
    rows, signals, scores = [_NONE], [_NONE], [np.empty(0)]
    if far.any():
        strange = np.zeros(len(seen.signals), np.bool_)
        strange[signal[far]] = True
        place = np.flatnonzero(strange[seen.signal])
        which = seen.signal[place]
        score = (seen.number[place] - seen.level[which]) / seen.deviation[which]
        over = np.abs(score) > FAR
        rows, signals, scores = [seen.row[place[over]]], [which[over]], [score[over]]
    unknown = _unknown(features, seen)
    if len(unknown):
        rows.append(seen.text_row[unknown])
        signals.append(seen.text_signal[unknown])
        surprisal = np.array([watched.surprisal for watched in seen.signals])
        scores.append(surprisal[seen.text_signal[unknown]])
    return np.concatenate(rows), np.concatenate(signals), np.concatenate(scores)


def _unknown(features: FeatureSums, seen: Observations) -> Ints:
    """The texts that their reference does not know, where that is news."""
    slots = features.bins.slots
    surprising = np.array([watched.surprisal > FAR for watched in seen.signals])
    looked_at = np.flatnonzero(surprising[slots.signal])
    owners = slots.signal[looked_at].tolist()
    labels = map(slots.label.values.__getitem__, slots.label.code[looked_at].tolist())
    new = [
        (owner, label)
        for owner, label in zip(owners, labels, strict=True)
        if label not in seen.signals[owner].categories and label != OTHER_CATEGORY
    ]
    if not new:
        return _NONE
    codes = {text: code for code, text in enumerate(seen.text.values)}
    width = len(codes)
    wanted = np.array([owner * width + codes[label] for owner, label in new])
    return np.flatnonzero((seen.text.code != NO_TEXT) & np.isin(seen.text_signal * width + seen.text.code, wanted))


def _highest(columns: Columns, score: Floats) -> Ints:
    """The events of the highest scores of each version, ascending; of equal scores those that were sent first."""
    found = np.flatnonzero(score)
    order = np.lexsort((columns.position[found], columns.index[found], -score[found], columns.version[found]))
    found = found[order]
    begins = np.searchsorted(columns.version[found], columns.version[found], side="left")
    return np.sort(found[np.arange(len(found)) - begins < MOST])


_NONE: Ints = np.empty(0, np.int64)
