"""The events of some frames, row by row: their columns, and what is wrong with them.

In the walk: between the decoded frames and `Columns`. Every rule that `decode` and `admit` have for a single event is
asked here of all events at once, in the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import NoneType

import msgspec
import numpy as np
from msgspec import Raw

from driftline_schemas.frame import MAX_FRAME_BYTES, MAX_FRAME_TEXT, Frame
from driftline_schemas.records import MAX_EVENT_BYTES, MAX_FEATURES, MAX_IDENTIFIER, MAX_NAME, Reason, Scalar
from driftline_streams.ingest.columns import Columns, Version, named
from driftline_streams.ingest.entries import Labels, Numbers
from driftline_streams.ingest.event import OPTIONAL_TEXTS
from driftline_streams.ingest.gathered import Bools, Gathered, Unreadable, codes, entries, scalars
from driftline_streams.ingest.unfold import OBJECTS, as_json, bound, longest, unfold
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.decoding import UNREADABLE, classify, out_of_time
from driftline_streams.kernel.histogram import Floats, Ints, compact
from driftline_streams.kernel.limits import EARLIEST_MS, EVIDENCE_BYTES, FUTURE_MS
from driftline_streams.kernel.refused import Reject

_LARGEST = float(np.finfo(np.float64).max)

_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode


@dataclass(frozen=True, slots=True)
class Framed:
    """A frame, which message of its batch it was, and how many bytes that had."""

    index: int
    frame: Frame
    size: int


class FrameEvents:
    """The events of some frames, at most 65,536: a row for each, first those of the first frame."""

    def __init__(self, group: Sequence[Framed], now_ms: int) -> None:
        self._group = group
        self._now_ms = now_ms
        frames = [msgspec.structs.astuple(framed.frame) for framed in group]
        self._fields = dict(zip(Frame.__struct_fields__, zip(*frames, strict=True), strict=True))
        self._n_of_frame: tuple[int, ...] = self._fields["n"]
        self._sizes = np.array(self._n_of_frame, np.int64)
        self._bases = (np.cumsum(self._sizes) - self._sizes).tolist()
        self._n = int(self._sizes.sum())
        self._faults: dict[int, tuple[Reason, str]] = {}  # by row

    def columns(self, catalog: Catalog) -> Columns | None:
        """The columns of all events that are right; `None` when there is none.

        Raises
        ------
        Unreadable
            If one of the frames breaks the layout.
        """
        n = self._n
        ids = self._listed("prediction_id", MAX_IDENTIFIER, required=True)
        model, version = self._text("model", MAX_NAME, required=True), self._text("version", MAX_NAME, required=True)
        latency_ms = self._number("latency_ms", _LARGEST)
        failed = self._choice("status", ("ok", "error")).code == 1
        errors = self._errors()
        answers = scalars(self._field("prediction"), n)
        self._refuse(np.isinf(answers.number), Reason.OUT_OF_RANGE, "Number out of range - at `$.prediction`")
        score, confidence = self._number("score", 1.0), self._number("confidence", 1.0)
        probabilities, (numbers, labels), segment = self._probabilities(), self._features(), self._segment()
        role = self._choice("role", ("champion", "challenger", "shadow"))
        optional = {name: self._listed(name) for name in OPTIONAL_TEXTS}
        time_ms = self._times()
        self._count_features(numbers, labels)
        no_answer = ~failed & np.isnan(answers.number) & (answers.text.code == NO_TEXT)
        self._refuse(no_answer, Reason.NO_PREDICTION, "status is ok, but there is no prediction")
        optional["context"] = self._contexts()
        self._bound(answers.text)
        good = np.ones(n, np.bool_)
        good[list(self._faults)] = False
        if not good.any():
            return None
        width = len(version.values)
        pairs, place = compact(model.code[good] * width + version.code[good], len(model.values) * width)
        of_version = np.zeros(n, np.int64)
        of_version[good] = place
        columns = Columns(
            n=n,
            index=np.repeat([framed.index for framed in self._group], self._sizes),
            position=(np.arange(n) - np.repeat(self._bases, self._sizes)).astype(np.uint32),
            frame_size=np.repeat(self._sizes, self._sizes).astype(np.uint32),
            versions=[Version.of(model.values[p // width], version.values[p % width], catalog) for p in pairs.tolist()],
            version=of_version,
            time_ms=time_ms,
            failed=failed,
            latency_ms=latency_ms,
            score=score,
            confidence=confidence,
            label=named(answers),
            value=answers.number,
            numbers=numbers,
            labels=labels,
            segment=segment,
            probabilities=probabilities,
            stored={
                "prediction_id": ids,
                "role": role,
                **errors,
                **{name: texts for name, texts in optional.items() if any(texts)},
            },
        )
        return columns.take(np.flatnonzero(good)) if self._faults else columns

    def rejects(self) -> list[Reject]:
        """What is refused, in order, with the JSON of each event."""
        found: list[Reject] = []
        rows = sorted(self._faults)
        of_row = np.repeat(np.arange(len(self._group)), self._sizes)
        for place, of_frame in groupby(rows, key=lambda row: int(of_row[row])):
            framed, faulty = self._group[place], list(of_frame)
            events = unfold(framed.frame)
            most = max(128, min(EVIDENCE_BYTES, MAX_FRAME_BYTES // len(faulty)))  # one text may be in all of them
            for row in faulty:
                position = row - self._bases[place]
                payload = as_json(events[position])[:most]
                found.append(Reject(framed.index, *self._faults[row], position, framed.frame.n, payload))
        return found

    # --- fields

    def _field(self, name: str) -> Gathered:
        gathered = Gathered()
        columns = self._fields[name]
        if any(columns):
            for column, base, n in zip(columns, self._bases, self._n_of_frame, strict=True):
                if column is not None:
                    gathered.add(column, base, n)
        return gathered

    def _object(self, name: str) -> tuple[Gathered, list[str]]:
        gathered = Gathered()
        add = gathered.add
        keys: dict[str, int] = {}
        for columns, base, n in zip(self._fields[name], self._bases, self._n_of_frame, strict=True):
            for key, column in columns.items():
                add(column, base, n, keys.setdefault(key, len(keys)))
        return gathered, list(keys)

    def _number(self, name: str, most: float) -> Floats:
        found = scalars(self._field(name), self._n)
        number, text = found.number, found.text.code
        if len(found.text.values):
            self._refuse(text != NO_TEXT, Reason.WRONG_TYPE, f"Expected `float | null`, got `str` - at `$.{name}`")
        self._refuse(number < 0, Reason.OUT_OF_RANGE, f"Expected `float` >= 0.0 - at `$.{name}`")
        self._refuse(number > most, Reason.OUT_OF_RANGE, f"Expected `float` <= {most} - at `$.{name}`")
        return number

    def _times(self) -> Ints:
        given = [framed.frame.timestamp for framed in self._group]
        for column, n in zip(given, self._sizes.tolist(), strict=True):
            others = (column.at, column.f64, column.values, column.codes)
            if column.i64 is None or len(column.i64) != 8 * n or others != (None,) * 4:
                raise Unreadable(f"`timestamp` is not `i64` of {n} events")
        time_ms = np.frombuffer(b"".join([column.i64 or b"" for column in given]), "<i8").astype(np.int64)
        bad = (time_ms < EARLIEST_MS) | (time_ms > self._now_ms + FUTURE_MS)
        self._refuse(
            bad,
            Reason.TIMESTAMP_OUT_OF_RANGE,
            lambda row: f"timestamp {out_of_time(int(time_ms[row]), self._now_ms)}",
        )
        return time_ms

    def _coded(self, name: str, most: int | None, *, required: bool) -> tuple[list[Scalar], Ints]:
        """A field of texts: the texts, and which of them each row has; -1 for none. Others are refused."""
        gathered = self._field(name)
        row, _, value = gathered.floats()
        if len(row):
            self._refuse_rows(row[~np.isnan(value)], Reason.WRONG_TYPE, f"Expected `str`, got `float` - at `$.{name}`")
        values, code = gathered.values, codes(gathered, self._n)
        kinds = set(map(type, values))
        if kinds != {str}:
            if not kinds <= {str, NoneType}:
                wrong = [type(value) not in (str, NoneType) for value in values]
                self._refuse(_has(wrong, code), Reason.WRONG_TYPE, f"Expected `str` - at `$.{name}`")
            code = np.where(_has([type(value) is not str for value in values], code), NO_TEXT, code)
            values = [value if type(value) is str else "" for value in values]
        longest = max(map(len, values), default=0)  # type: ignore[arg-type]  # all texts by now
        if most is not None and (longest > most or "" in values):
            wrong = [not 1 <= len(value) <= most for value in values]  # type: ignore[arg-type]
            detail = f"Expected `str` of 1 to {most} characters - at `$.{name}`"
            self._refuse(_has(wrong, code), Reason.OUT_OF_RANGE, detail)
        if required:
            self._refuse(code == NO_TEXT, Reason.WRONG_TYPE, f"Expected `str`, got `null` - at `$.{name}`")
        return values, code

    def _text(self, name: str, most: int | None, *, required: bool = False) -> Texts:
        """A field of texts that few events have to themselves."""
        values, code = self._coded(name, most, required=required)
        distinct = Texts.of(values)  # type: ignore[arg-type]  # all texts
        return Texts(distinct.values, np.append(distinct.code, NO_TEXT)[code])

    def _listed(self, name: str, most: int | None = None, *, required: bool = False) -> list[str]:
        """A field of texts that each event has to itself; empty where there is none."""
        values, code = self._coded(name, most, required=required)
        if not values:
            return [""] * self._n
        if len(values) == self._n and bool((code == np.arange(self._n)).all()):
            return values  # type: ignore[return-value]  # all texts
        _bound(values, code)
        return list(map([*values, ""].__getitem__, code.tolist()))  # type: ignore[arg-type]

    def _choice(self, name: str, options: tuple[str, ...]) -> Texts:
        """A field that is one of `options`, the first where there is none."""
        given = self._text(name, None)
        code = np.array([options.index(text) if text in options else -1 for text in given.values] + [0])[given.code]
        unknown = code < 0
        if unknown.any():
            self._refuse(
                unknown,
                Reason.OUT_OF_RANGE,
                lambda row: f"Invalid enum value {given.values[given.code[row]][:MAX_NAME]!r} - at `$.{name}`",
            )
            code = np.where(unknown, 0, code)
        return Texts(list(options), code)

    def _errors(self) -> dict[str, Texts | list[str]]:
        kind, message = self._text("error_type", MAX_NAME), self._text("error_message", None)
        if not (kind.values or message.values):
            return {}
        _bound(message.values, message.code)
        untyped = (kind.code == NO_TEXT) & (message.code != NO_TEXT)
        types = Texts.of([*kind.values, "error"])
        return {
            "error_type": Texts(types.values, np.where(untyped, types.code[-1], kind.code)),
            "error_message": message,
        }

    def _contexts(self) -> list[str]:
        values, code = self._coded("context", None, required=False)
        if not values:
            return []
        faults = {place: fault for place, text in enumerate(values) if (fault := _no_object(str(text)))}
        if faults:
            faulty = _has([place in faults and text != "" for place, text in enumerate(values)], code)
            for row in np.flatnonzero(faulty).tolist():
                self._faults.setdefault(row, faults[int(code[row])])
        _bound(values, code)
        return list(map([*values, ""].__getitem__, code.tolist()))  # type: ignore[arg-type]

    # --- objects

    def _features(self) -> tuple[Numbers, Labels]:
        gathered, names = self._object("features")
        numbers, labels = entries(gathered, names, self._n)
        infinite = np.isinf(numbers.value)
        self._refuse_rows(numbers.row[infinite], Reason.OUT_OF_RANGE, "Number out of range - at `$.features[...]`")
        return numbers, labels

    def _count_features(self, numbers: Numbers, labels: Labels) -> None:
        if max(len(framed.frame.features) for framed in self._group) > MAX_FEATURES:
            counts = np.bincount(numbers.row, minlength=self._n) + np.bincount(labels.row, minlength=self._n)
            self._refuse(
                counts > MAX_FEATURES,
                Reason.TOO_MANY_FEATURES,
                lambda row: f"{counts[row]} features; an event has at most {MAX_FEATURES}",
            )

    def _segment(self) -> Labels:
        gathered, names = self._object("segment")
        numbers, labels = entries(gathered, names, self._n)
        detail = "Expected `str | null` - at `$.segment[...]`"
        self._refuse_rows(numbers.row[~np.isnan(numbers.value)], Reason.WRONG_TYPE, detail)
        if bool in set(map(type, gathered.values)):
            coded = gathered.coded()
            wrong = np.array([type(value) is bool for value in gathered.values])[coded.code]
            self._refuse_rows(coded.row[wrong], Reason.WRONG_TYPE, detail)
        return labels

    def _probabilities(self) -> Numbers:
        gathered, names = self._object("probabilities")
        numbers, labels = entries(gathered, names, self._n)
        detail = "Expected `float` - at `$.probabilities[...]`"
        self._refuse_rows(labels.row[labels.value.code != NO_TEXT], Reason.WRONG_TYPE, detail)
        outside = (numbers.value < 0) | (numbers.value > 1)
        detail = "Expected `float` in [0, 1] - at `$.probabilities[...]`"
        self._refuse_rows(numbers.row[outside], Reason.OUT_OF_RANGE, detail)
        given = np.flatnonzero(~np.isnan(numbers.value))  # a null is absent
        if len(given) == len(numbers.row):
            return numbers
        return numbers.at(given)

    # --- faults

    def _refuse(self, rows: Bools, reason: Reason, detail: str | Callable[[int], str]) -> None:
        if rows.any():
            self._refuse_rows(np.flatnonzero(rows), reason, detail)

    def _refuse_rows(self, rows: Ints, reason: Reason, detail: str | Callable[[int], str]) -> None:
        """The first fault of an event is the one that counts."""
        for row in rows.tolist():
            if row not in self._faults:
                self._faults[row] = reason, detail if isinstance(detail, str) else detail(row)

    def _bound(self, answers: Texts) -> None:
        """What one text for many events must not do: fill the memory, or make an event longer than it may be."""
        _bound(answers.values, answers.code)
        for framed, base in zip(self._group, self._bases, strict=True):
            if framed.size > MAX_EVENT_BYTES and longest(framed.frame) > MAX_EVENT_BYTES:
                for name in OBJECTS:
                    bound(getattr(framed.frame, name), framed.frame.n)
                sizes = [len(as_json(event)) for event in unfold(framed.frame)]
                for position, size in enumerate(sizes):
                    if size > MAX_EVENT_BYTES:
                        detail = f"{size} bytes; at most {MAX_EVENT_BYTES} are taken"
                        self._faults[base + position] = Reason.TOO_LARGE, detail


def _bound(values: Sequence[Scalar], code: Ints) -> None:
    lengths = np.array([len(value) if isinstance(value, str) else 0 for value in values] + [0])
    written = int(lengths[code].sum())
    if written > MAX_FRAME_TEXT:
        raise Unreadable(f"{written} characters of one field; at most {MAX_FRAME_TEXT} are taken", Reason.TOO_LARGE)


def _has(chosen: Sequence[bool], code: Ints) -> Bools:
    """Which rows have one of the `chosen` values; -1 is none."""
    has: Bools = np.array([*chosen, False])[code]
    return has


def _no_object(context: str) -> tuple[Reason, str] | None:
    try:
        _decode_fields(context)
    except UNREADABLE as error:
        reason, detail = classify(error)
        return reason, f"{detail} - at `$.context`"
    return None
