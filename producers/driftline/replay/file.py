"""Replays a file: its rows become predictions and labels and are published in the order of their time.

The whole of a replay, in order. Rows are sorted within a chunk of 20,000; a row that is earlier than the latest of an
earlier chunk is published where it stands and counted as out of order. A label waits for its turn, so that it comes
after the predictions that were made before it was known.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from driftline.replay.publisher import Progress, Publisher
from driftline.replay.rows import BadRow, Rows
from driftline.replay.spec import ReplaySpec, check_columns, used, used_by_labels
from driftline.replay.tables import chunks, column_names
from driftline_schemas.records import Label, Prediction

SHOWN_BAD_ROWS = 10
MAX_WAITING = 500_000  # labels whose time has not come, about 150 MB; the earliest leave first when more wait


class ReplaySummary(Struct, frozen=True, kw_only=True):
    """What became of the rows. A row whose label alone is bad is among `bad_rows`, and its prediction published."""

    rows: int
    predictions: int
    labels: int
    bad_rows: int
    first_bad_rows: list[BadRow]  # at most 10
    out_of_order: int
    early_labels: int  # published before their time, because too many waited
    delivered: int
    failed: int
    first_failure: str
    seconds: float
    events_per_s: float
    interrupted: bool


def replay(
    spec: ReplaySpec,
    file: Path,
    bootstrap: str | None = None,
    prefix: str | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    speed: float = 0.0,
    frame_events: int = 1,
    limit: int | None = None,
    progress: Progress | None = None,
) -> ReplaySummary:
    """Publish a CSV or Parquet file and say what became of it.

    Ctrl-C ends it early: what was handed to Kafka is still delivered, and the summary says so.

    Parameters
    ----------
    bootstrap, prefix, config
        As in `PredictionLogger`.
    speed
        Seconds of event time a second; 0 is as fast as possible.
    frame_events
        With more than 1, predictions travel in column frames of up to so many.
    limit
        Rows of the file at most; labels of a second file are then limited to the predictions that were published.

    Raises
    ------
    ReplaySpecError
        If a file cannot be read or lacks a column that the spec names.
    """
    source = _Source(spec, file, limit)
    interrupted = False
    with Publisher(bootstrap, prefix, config=config, speed=speed, frame_events=frame_events) as publisher:
        try:
            publisher.publish(source.events(), progress)
        except KeyboardInterrupt:
            interrupted = True
        done = publisher.finish(5.0 if interrupted else -1)
    return ReplaySummary(
        rows=source.rows,
        predictions=done.predictions,
        labels=done.labels,
        bad_rows=source.bad_rows,
        first_bad_rows=source.first_bad_rows,
        out_of_order=source.out_of_order,
        early_labels=source.early_labels,
        delivered=done.delivered,
        failed=done.failed,
        first_failure=done.first_failure,
        seconds=done.seconds,
        events_per_s=done.events_per_s,
        interrupted=interrupted,
    )


def preview(spec: ReplaySpec, file: Path, n: int = 3) -> tuple[list[dict[str, Any]], list[BadRow]]:
    """The first `n` predictions of a file, with their labels from the same rows, as they would be published.

    Sends nothing. Gives the bad rows that came before as well; raises as `replay` does.
    """
    source = _Source(spec, file, None)
    records: list[Prediction | Label] = []
    for pair in source.pairs():
        records += [each for each in pair if each is not None]
        if sum(isinstance(each, Prediction) for each in records) >= n:
            break
    return [msgspec.to_builtins(each) for each in records], source.first_bad_rows


class _Source:
    """The events of a file, and what was noticed on the way."""

    def __init__(self, spec: ReplaySpec, file: Path, limit: int | None) -> None:
        self._file = file
        self._limit = limit
        self._columns = columns = spec.replay
        names = column_names(file, columns.delimiter)
        self._rows_of = Rows(spec, names)
        check_columns(str(file), used(columns) | set(self._rows_of.features), names)
        self._labels_file = None
        if columns.labels is not None and columns.labels.file is not None:
            self._labels_file = Path(spec.path).parent / columns.labels.file
            label_names = column_names(self._labels_file, columns.delimiter)
            needed = used_by_labels(columns) | ({columns.model} if isinstance(columns.model, str) else set())
            check_columns(str(self._labels_file), needed, label_names)
        self._published: set[str] = set()  # ids, with a limit only
        self.rows = self.bad_rows = self.out_of_order = self.early_labels = 0
        self.first_bad_rows: list[BadRow] = []

    def events(self) -> Iterator[Prediction | Label]:
        """All records by time; see the module."""
        answers = self._with_their_labels()
        if self._labels_file is None:
            yield from answers
            return
        for record in heapq.merge(answers, self._second_file(self._labels_file), key=_ms):
            if self._limit is None or isinstance(record, Prediction) or record.prediction_id in self._published:
                yield record

    def pairs(self) -> Iterator[tuple[Prediction, Label | None]]:
        """The predictions by time within a chunk, each with its label from the same row."""
        latest_ms = 0
        labelled = self._columns.labels is not None and self._labels_file is None
        for chunk in chunks(self._file, self._columns.delimiter):
            self._note(BadRow(str(self._file), row, reason) for row, reason in chunk.malformed)
            self.rows += len(chunk.malformed)
            made: list[tuple[Prediction, Label | None]] = []
            for i, record in self._rows_of.predictions(chunk, str(self._file)):
                if self._limit is not None and self.rows >= self._limit:
                    break
                self.rows += 1
                if isinstance(record, BadRow):
                    self._note([record])
                    continue
                label = self._rows_of.label(chunk, i, str(self._file)) if labelled else None
                if isinstance(label, BadRow):
                    self._note([label])
                    label = None
                made.append((record, label))
            made.sort(key=_ms_of_first)
            for pair in made:
                at_ms = _ms(pair[0])
                self.out_of_order += at_ms < latest_ms
                latest_ms = max(latest_ms, at_ms)
                if self._limit is not None:
                    self._published.add(pair[0].prediction_id)
                yield pair
            if self._limit is not None and self.rows >= self._limit:
                return

    def _with_their_labels(self) -> Iterator[Prediction | Label]:
        waiting: list[tuple[int, int, Label]] = []  # a heap by time; the number keeps equal times in order
        number = 0
        for prediction, label in self.pairs():
            while waiting and waiting[0][0] < _ms(prediction):
                yield heapq.heappop(waiting)[2]
            yield prediction
            if label is not None:
                number += 1
                heapq.heappush(waiting, (_ms(label), number, label))
                if len(waiting) > MAX_WAITING:
                    self.early_labels += 1
                    yield heapq.heappop(waiting)[2]
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _second_file(self, file: Path) -> Iterator[Label]:
        latest_ms = 0
        for chunk in chunks(file, self._columns.delimiter):
            self._note(BadRow(str(file), row, reason) for row, reason in chunk.malformed)
            made: list[Label] = []
            for i in range(len(chunk.numbers)):
                label = self._rows_of.label(chunk, i, str(file))
                if isinstance(label, BadRow):
                    self._note([label])
                elif label is not None:
                    made.append(label)
            for label in sorted(made, key=_ms):
                self.out_of_order += _ms(label) < latest_ms
                latest_ms = max(latest_ms, _ms(label))
                yield label

    def _note(self, bad: Iterator[BadRow] | list[BadRow]) -> None:
        for each in bad:
            self.bad_rows += 1
            if len(self.first_bad_rows) < SHOWN_BAD_ROWS:
                self.first_bad_rows.append(each)


def _ms(record: Prediction | Label) -> int:
    at = record.timestamp
    assert isinstance(at, int)  # noqa: S101 - `rows.py` makes them so
    return at


def _ms_of_first(pair: tuple[Prediction, Label | None]) -> int:
    return _ms(pair[0])
