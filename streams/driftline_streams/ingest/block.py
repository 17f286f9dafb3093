"""The events of one form as columns: arrays of numbers and of codes, cut into the columns that they are.

In the walk: where `read` gathers what it decoded; made into columns once a batch, whatever it was decoded in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Raw

from driftline_schemas.records import MAX_FEATURES
from driftline_streams.ingest.columns import Columns, Version, contexts, errors, named
from driftline_streams.ingest.entries import Entries, Labels, Numbers, entries_of, no_labels, no_numbers
from driftline_streams.ingest.event import NO_CONTEXT, OPTIONAL_TEXTS
from driftline_streams.ingest.form import ANSWER, Form, Place
from driftline_streams.ingest.layout import ABSENT, ABSENT_BITS, ABSENT_CODE
from driftline_streams.ingest.values import NO_TEXT, Texts, Values
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.histogram import Floats, Ints, compact
from driftline_streams.kernel.limits import EARLIEST_MS, FUTURE_MS


class Block:
    """Events of one form, gathered a chunk at a time."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self._index: list[Ints] = []
        self._records: list[bytes] = []
        self._lists: list[list[Any]] = [[] for _ in form.lists]

    def add(self, events: Sequence[Any], index: Ints) -> None:
        """Take in events of the form (at least one), and where in the batch they were."""
        records, lists = self.form.take(events)
        self._index.append(index)
        self._records.append(records)
        for gathered, new in zip(self._lists, lists, strict=True):
            gathered.extend(new)

    @property
    def timestamps(self) -> list[Any]:
        """Those of all events, as they were sent."""
        return self._lists[self.form.lists.index(Place(ANSWER, "timestamp"))]

    def columns(self, catalog: Catalog, time_ms: Ints, now_ms: int) -> tuple[Columns | None, Ints]:
        """The columns of all events that are surely right, and where in the batch the others were.

        `time_ms` has the times that the timestamps stand for.
        """
        form = self.form
        lists = dict(zip(form.lists, self._lists, strict=True))
        records = np.frombuffer(b"".join(self._records), form.record)
        events = _Events(
            form=form,
            index=np.concatenate(self._index),
            time_ms=time_ms,
            numbers=records["numbers"],
            codes=records["codes"],
            lists=lists,
        )
        usual = events.usual(now_ms)
        if usual.all():
            return events.columns(catalog), np.empty(0, np.int64)
        rest = events.index[~usual]
        return events.take(np.flatnonzero(usual)).columns(catalog) if usual.any() else None, rest


@dataclass(frozen=True)
class _Events:
    """`n` events: `numbers` and `codes` have a column for each of the form's, lists have `n` values."""

    form: Form
    index: Ints
    time_ms: Ints
    numbers: Floats
    codes: npt.NDArray[np.uint8]
    lists: dict[Place, list[Any]]

    def usual(self, now_ms: int) -> npt.NDArray[np.bool_]:
        """Which events are surely right, shape `(n,)`; `decode.admit` says of the others what is wrong, if anything."""
        in_time = (self.time_ms >= EARLIEST_MS) & (self.time_ms <= now_ms + FUTURE_MS)
        answers = self.answers
        answered = (answers.text.code != NO_TEXT) | ~np.isnan(answers.number) | self.failed
        usual: npt.NDArray[np.bool_] = in_time & answered
        for place in (Place(ANSWER, "context"), Place(ANSWER, "features")):
            if place in self.lists:
                is_plain = _is_object if place.name == "context" else _is_of_size
                usual &= np.fromiter(map(is_plain, self.lists[place]), np.bool_, len(usual))
        return usual

    def take(self, rows: Ints) -> _Events:
        """The events at `rows`."""
        chosen = rows.tolist()
        lists = {place: [values[row] for row in chosen] for place, values in self.lists.items()}
        return _Events(self.form, self.index[rows], self.time_ms[rows], self.numbers[rows], self.codes[rows], lists)

    def columns(self, catalog: Catalog) -> Columns:
        """What `Columns.of` would make of the same events."""
        n = len(self.index)
        answers = self.answers
        versions = self.texts("version")
        present, version = compact(versions.code, len(versions.values))
        names = [versions.values[code] for code in present.tolist()]
        numbers, labels = self.entries("features")
        stored: dict[str, Texts | list[str]] = {
            "prediction_id": self.lists[Place(ANSWER, "prediction_id")],
            "role": self.texts("role"),
        }
        for name in OPTIONAL_TEXTS:
            if Place(ANSWER, name) in self.lists:
                stored[name] = [text or "" for text in self.lists[Place(ANSWER, name)]]
        if Place(ANSWER, "error") in self.lists:
            stored |= errors(self.lists[Place(ANSWER, "error")])
        if Place(ANSWER, "context") in self.lists:
            stored["context"] = contexts(self.lists[Place(ANSWER, "context")])
        return Columns(
            n=n,
            index=self.index,
            position=np.zeros(n, np.uint32),
            frame_size=np.ones(n, np.uint32),
            versions=[Version.of(self.form.model, name, catalog) for name in names],
            version=version,
            time_ms=self.time_ms,
            failed=self.failed,
            latency_ms=self.number("latency_ms"),
            score=self.number("score"),
            confidence=self.number("confidence"),
            label=named(answers),
            value=answers.number,
            numbers=numbers,
            labels=labels,
            segment=self.entries("segment")[1],
            probabilities=self.entries("probabilities")[0],
            stored=stored,
        )

    def number(self, name: str) -> Floats:
        """A number of the event itself, NaN where there is none."""
        return self.numbers[:, self.form.number_at[Place(ANSWER, name)]]

    @cached_property
    def failed(self) -> npt.NDArray[np.bool_]:
        """Whether the model failed."""
        status = self.texts("status")
        failed: npt.NDArray[np.bool_] = status.code == status.values.index("error")
        return failed

    def texts(self, name: str) -> Texts:
        """A text of the event itself that is read as a code, or was."""
        place = Place(ANSWER, name)
        if place in self.lists:
            return Texts.of(self.lists[place])
        column = self.form.code_at[place]
        code = self.codes[:, column].astype(np.int64)
        code[code >= ABSENT_CODE] = NO_TEXT
        return Texts(self.form.codes[column][1], code)

    @cached_property
    def answers(self) -> Values:
        """The predictions."""
        place = Place(ANSWER, "prediction")
        if place in self.lists:
            return Values.of([None if value is ABSENT else value for value in self.lists[place]])
        if place in self.form.number_at:
            return Values(self.number("prediction"), Texts.nothing(len(self.index)))
        return Values(np.full(len(self.index), np.nan), self.texts("prediction"))

    def entries(self, name: str) -> tuple[Numbers, Labels]:
        """The entries of an object of the event."""
        if Place(ANSWER, name) in self.lists:
            return entries_of([found or {} for found in self.lists[Place(ANSWER, name)]])
        numbers, labels = [self._numbers(name)], [self._labels(name)]
        for place, values in self.lists.items():
            if place.where == name:
                number, label = _scalars(place.name, values)
                numbers.append(number)
                labels.append(label)
        return Numbers.beside(numbers), Labels.beside(labels)

    def _numbers(self, name: str) -> Numbers:
        of_object, n = self.form.objects[name], len(self.index)
        if not of_object.numbers:
            return no_numbers(n)
        value = self.numbers[:, of_object.numbers].ravel()
        row, key = _tiled(n, len(of_object.numbers))
        there = value.view(np.uint64) != ABSENT_BITS
        if not there.all():
            row, key, value = row[there], key[there], value[there]
        return Entries(n, row, Texts(of_object.number_keys, key), value)

    def _labels(self, name: str) -> Labels:
        of_object, n = self.form.objects[name], len(self.index)
        if not of_object.codes:
            return no_labels(n)
        codes = self.codes[:, of_object.codes].ravel()
        row, key = _tiled(n, len(of_object.codes))
        there = codes != ABSENT_CODE
        if not there.all():
            row, key, codes = row[there], key[there], codes[there]
        return Entries(n, row, Texts(of_object.code_keys, key), Texts(of_object.texts, of_object.meaning[key, codes]))


def _tiled(n: int, columns: int) -> tuple[Ints, Ints]:
    """The row and the column of each value of an array of shape `(n, columns)`."""
    row, column = np.empty((n, columns), np.int64), np.empty((n, columns), np.int64)
    row[:] = np.arange(n)[:, np.newaxis]
    column[:] = np.arange(columns)
    return row.ravel(), column.ravel()


def _scalars(name: str, values: list[Any]) -> tuple[Numbers, Labels]:
    """The entries of one field of varying type."""
    n = len(values)
    row = np.flatnonzero(np.fromiter((value is not ABSENT for value in values), np.bool_, n))
    found = Values.of([value for value in values if value is not ABSENT])
    is_text, is_number = found.text.code != NO_TEXT, ~np.isnan(found.number)
    textual = is_text if is_number.any() or not is_text.any() else np.ones(len(row), np.bool_)
    of_numbers, of_texts = np.flatnonzero(~textual), np.flatnonzero(textual)
    return (
        Entries(n, row[of_numbers], Texts([name], np.zeros(len(of_numbers), np.int64)), found.number[of_numbers]),
        Entries(n, row[of_texts], Texts([name], np.zeros(len(of_texts), np.int64)), found.text.take(of_texts)),
    )


def _is_object(context: Raw) -> bool:
    try:
        return context is NO_CONTEXT or str(context, "utf-8").startswith("{")
    except UnicodeDecodeError:
        return False


def _is_of_size(features: dict[str, Any]) -> bool:
    return len(features) <= MAX_FEATURES
