"""From rows to records: every cell to what the spec says it is, and every row that is not fit named with the reason.

Third step of a replay.
"""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast
from zoneinfo import ZoneInfo

from driftline.encoding import encode_label, encode_prediction
from driftline.errors import EventDropped
from driftline.replay.spec import EPOCH_MS, Constant, Labels, ReplaySpec, Time, as_time, used
from driftline.replay.tables import Chunk
from driftline_schemas.records import Label, Prediction, PredictionError

Cell = Any  # text from CSV; anything from Parquet


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out, and why."""

    file: str
    row: int
    reason: str


class Unfit(ValueError):
    """A cell is not what the spec says of its column; the message says which and what was expected."""


class Rows:
    """Makes the records of one spec.

    The kind of a feature in a CSV file (numbers, true/false or text) is decided by the first chunk and then holds for
    the file: a later cell of another kind makes a bad row. Rows that the pipeline would refuse are bad as well, but not
    where they are `only_read`: training data have no predictions.
    """

    def __init__(self, spec: ReplaySpec, names: list[str], *, only_read: bool = False) -> None:
        columns = spec.replay
        self._columns = columns
        self._model = columns.model or Constant(spec.model.model if spec.model else "")
        taken = used(columns)
        self.features = [n for n in names if n not in taken] if columns.features == "rest" else list(columns.features)
        self._readers: dict[str, Callable[[Cell], Any]] = {}
        self._time = time_reader(as_time(columns.timestamp))
        self._label_time = time_reader(as_time(columns.labels.timestamp)) if columns.labels else None
        self._only_read = only_read
        self._now_ms = time.time_ns() // 1_000_000

    def predictions(self, chunk: Chunk, file: str) -> Iterator[tuple[int, Prediction | BadRow]]:
        """The record of each row, or what is wrong with it, with the place of the row in the chunk."""
        for name in self.features if chunk.numbers else ():
            if name not in self._readers:
                self._readers[name] = _text if name in self._columns.text else feature_reader(chunk.columns[name])
        for i, number in enumerate(chunk.numbers):
            try:
                record = self._prediction(chunk.columns, i)
                if not self._only_read:
                    encode_prediction(record, self._now_ms)  # so that what the pipeline would refuse is shown here
                yield i, record
            except (Unfit, EventDropped, TypeError, ValueError) as error:
                yield i, BadRow(file, number, _reason(error))

    def label(self, chunk: Chunk, i: int, file: str) -> Label | BadRow | None:
        """The label of row `i` of the chunk; `None` when the cell is empty."""
        labels, read_time = cast("Labels", self._columns.labels), cast("Callable[[Cell], int | None]", self._label_time)
        try:
            truth = answer(chunk.columns[labels.label][i])
            if truth is None:
                return None
            at_ms = read_time(chunk.columns[as_time(labels.timestamp).column][i])
            if at_ms is None:
                raise Unfit(f"{as_time(labels.timestamp).column} is empty although there is a label")
            weight = _number(labels.weight, chunk.columns[labels.weight][i]) if labels.weight else None
            place = _number(labels.position, chunk.columns[labels.position][i]) if labels.position else None
            record = Label(
                prediction_id=_required(labels.prediction_id or self._columns.prediction_id, chunk.columns, i),
                model=self._named(self._model, chunk.columns, i),
                label=truth,
                timestamp=at_ms,
                weight=1.0 if weight is None else weight,
                source=_text(_cell(labels.source, chunk.columns, i)) if labels.source else None,
                position=int(place) if place is not None and place.is_integer() else cast("Any", place),
            )
            encode_label(record, self._now_ms)
            return record
        except (Unfit, EventDropped, TypeError, ValueError) as error:
            return BadRow(file, chunk.numbers[i], _reason(error))

    def _prediction(self, cells: dict[str, list[Cell]], i: int) -> Prediction:
        columns = self._columns
        at_ms = self._time(cells[as_time(columns.timestamp).column][i])
        if at_ms is None:
            raise Unfit(f"{as_time(columns.timestamp).column} is empty")
        failed = _text(cells[columns.error][i]) if columns.error else None
        return Prediction(
            prediction_id=_required(columns.prediction_id, cells, i),
            model=self._named(self._model, cells, i),
            version=self._named(columns.version, cells, i),
            timestamp=at_ms,
            latency_ms=_number(columns.latency_ms, cells[columns.latency_ms][i]) if columns.latency_ms else None,
            status="error" if failed else "ok",
            error=PredictionError(message=failed) if failed else None,
            prediction=answer(cells[columns.prediction][i]) if columns.prediction and not failed else None,
            score=_number(columns.score, cells[columns.score][i]) if columns.score else None,
            confidence=_number(columns.confidence, cells[columns.confidence][i]) if columns.confidence else None,
            features={name: self._feature(name, cells[name][i]) for name in self.features},
            segment={name: _text(cells[name][i]) for name in columns.segment},
            role=cast("Any", _text(_cell(columns.role, cells, i)) or "champion") if columns.role else "champion",
            request_id=_text(cells[columns.request_id][i]) if columns.request_id else None,
            user_id=_text(cells[columns.user_id][i]) if columns.user_id else None,
        )

    def _feature(self, name: str, cell: Cell) -> Any:
        try:
            return self._readers[name](cell)
        except ValueError:
            raise Unfit(f"{name} is {cell!r}: the rows before hold another kind of value") from None

    def _named(self, column: str | Constant, cells: dict[str, list[Cell]], i: int) -> str:
        return column.constant if isinstance(column, Constant) else _required(column, cells, i)


def time_reader(given: Time) -> Callable[[Cell], int | None]:
    """How the cells of a column of times are read: to milliseconds since 1970, `None` when empty.

    >>> time_reader(Time(column="at", zone="Europe/Berlin"))("2024-03-01 12:00")
    1709290800000
    """
    zone = ZoneInfo(given.zone) if given.zone else None
    factor = EPOCH_MS[given.unit]

    def read(cell: Cell) -> int | None:
        if _is_null(cell):
            return None
        if isinstance(cell, str):
            if given.format is None and _is_number(cell):
                return round(float(cell) * factor)
            try:
                moment = dt.datetime.strptime(cell, given.format) if given.format else dt.datetime.fromisoformat(cell)  # noqa: DTZ007
            except ValueError:
                expected = given.format or "ISO 8601 (2024-03-01T12:00:00Z) or a number"
                raise Unfit(f"{given.column} is {cell!r}, expected {expected}") from None
        elif isinstance(cell, dt.datetime):
            moment = cell
        elif isinstance(cell, (int, float)):
            return round(cell * factor)
        else:
            raise Unfit(f"{given.column} is {cell!r}, expected a time")
        if moment.tzinfo is None:
            if zone is None:
                raise Unfit(f"{given.column} is {str(cell)!r} without a time zone: say `zone:` in the spec")
            moment = moment.replace(tzinfo=zone)
        return round(moment.timestamp() * 1000)

    return read


def feature_reader(cells: list[Cell]) -> Callable[[Cell], Any]:
    """How a feature is read, from the first of its cells: text that is all numbers, or all true and false, is that.

    >>> feature_reader(["1", "", "2.5"])("7"), feature_reader(["a", "1"])("1"), feature_reader(["true"])("false")
    (7.0, '1', False)
    """
    texts = [cell for cell in cells if not _is_null(cell)]
    if not texts or not all(isinstance(cell, str) for cell in texts):
        return _as_it_is
    if all(map(_is_number, texts)):
        return lambda cell: None if _is_null(cell) else _finite(float(cell))
    if all(cell.lower() in _BOOLEANS for cell in texts):
        return _boolean
    return _text


def answer(cell: Cell) -> float | str | bool | None:
    """A prediction or a label: text that looks like a number or a boolean is one.

    >>> answer("true"), answer("1"), answer("late"), answer("")
    (True, 1.0, 'late', None)
    """
    if _is_null(cell):
        return None
    if isinstance(cell, str):
        if cell.lower() in _BOOLEANS:
            return _BOOLEANS[cell.lower()]
        return float(cell) if _is_number(cell) else cell
    return cast("float | str | bool", cell)


_BOOLEANS = {"true": True, "false": False}


def _boolean(cell: Cell) -> bool | None:
    if _is_null(cell):
        return None
    if cell.lower() not in _BOOLEANS:
        raise ValueError
    return _BOOLEANS[cell.lower()]


def _as_it_is(cell: Cell) -> Any:
    return None if _is_null(cell) else cell


def _text(cell: Cell) -> str | None:
    if _is_null(cell):
        return None
    return cell if isinstance(cell, str) else str(cell)


def _number(name: str | None, cell: Cell) -> float | None:
    if _is_null(cell):
        return None
    try:
        return _finite(float(cell))
    except (TypeError, ValueError):
        raise Unfit(f"{name} is {cell!r}, expected a number") from None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _required(name: str, cells: dict[str, list[Cell]], i: int) -> str:
    value = _text(cells[name][i])
    if value is None:
        raise Unfit(f"{name} is empty")
    return value


def _cell(column: str | Constant, cells: dict[str, list[Cell]], i: int) -> Cell:
    return column.constant if isinstance(column, Constant) else cells[column][i]


def _is_null(cell: Cell) -> bool:
    return cell is None or cell == "" or (isinstance(cell, float) and not math.isfinite(cell))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which Python takes for a digit separator


def _reason(error: Exception) -> str:
    return error.detail if isinstance(error, EventDropped) else str(error)
