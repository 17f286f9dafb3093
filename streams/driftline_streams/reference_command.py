"""`driftline reference`: references built from files and from ClickHouse, published, found and taken back.

Where a reference is named, `model@version` is the published one, and anything else a file that `export` or `--out`
wrote.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from driftline.replay import BadRow, ReplaySpecError
from driftline.replay.rows import Rows
from driftline.replay.spec import Columns, Constant, ReplaySpec, Time, check_columns, read_spec, used
from driftline.replay.tables import chunks, column_names
from driftline_schemas.records import Prediction
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams import model_topic
from driftline_streams.errors import SpecError, UsageError
from driftline_streams.kernel.catalog import sliced_by
from driftline_streams.reference import stored
from driftline_streams.reference.check import checked
from driftline_streams.reference.sample import Sample
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse

# Whatever stands in a file or in ClickHouse lies between these.
EARLIEST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
LATEST = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
SHOWN_BAD_ROWS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """Which column of a file is what, for those who have no replay spec."""

    timestamp: str
    zone: str = "UTC"  # of times that name none
    features: Sequence[str] = ()  # none: those of the model's spec, else every column without another use
    ignore: Sequence[str] = ()  # which are no features
    text: Sequence[str] = ()  # features that are text even where they look like numbers
    segments: Sequence[str] = ()  # none: those of the model's spec
    prediction: str | None = None
    score: str | None = None
    confidence: str | None = None
    latency_ms: str | None = None
    delimiter: str = ","


@dataclass(slots=True)
class Faults:
    """The rows of a file that were left out."""

    n: int = 0
    first: list[BadRow] = field(default_factory=list)  # at most `SHOWN_BAD_ROWS`

    def add(self, bad: BadRow) -> None:
        """One more."""
        self.n += 1
        if len(self.first) < SHOWN_BAD_ROWS:
            self.first.append(bad)


def moment(text: str | None, otherwise: dt.datetime) -> int:
    """A time that a person wrote, in milliseconds; UTC where it names no zone.

    Raises
    ------
    UsageError
        If it is no ISO 8601 date or time.

    >>> moment("2013-02-01", EARLIEST), moment(None, EARLIEST)
    (1359676800000, 0)
    """
    if text is None:
        return int(otherwise.timestamp() * 1000)
    try:
        given = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time: write 2013-02-01 or 2013-02-01T12:00:00Z") from None
    return round((given if given.tzinfo else given.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def from_file(
    file: Path, spec: ModelSpec, version: str, columns: Path | Mapped, *, start_ms: int, end_ms: int
) -> tuple[Reference, Faults]:
    """A reference of the rows of a CSV or Parquet file, from `start_ms` (inclusive) to `end_ms` (exclusive).

    `columns` is a replay spec or says itself which column is what. A section `model` in the replay spec replaces
    `spec`. Where columns of the file hold model and version, rows of others do not count.

    Raises
    ------
    SpecError
        If file or replay spec cannot be read, or do not fit each other.
    UsageError
        If no row is left.
    """
    faults = Faults()
    try:
        if isinstance(columns, Path):
            mapped = read_spec(columns)
            spec = spec if mapped.model is None else msgspec.structs.replace(mapped.model, model=spec.model)
        else:
            mapped = _mapped(file, spec, version, columns)
            spec = msgspec.structs.replace(spec, segments=mapped.replay.segment)
        sample = Sample(spec)
        for record in _records(file, mapped, faults):
            at_ms = record.timestamp
            assert isinstance(at_ms, int)  # noqa: S101 - the replay makes them so
            if start_ms <= at_ms < end_ms and _counts(mapped.replay, record, spec.model, version):
                _add(sample, record, at_ms, known=mapped.replay.error is not None)
    except ReplaySpecError as error:
        raise SpecError(str(error)) from None
    if not len(sample):
        why = f"; row {faults.first[0].row}: {faults.first[0].reason}" if faults.n else ""
        raise UsageError(f"{file} has no row of {spec.model} {version} in that time{why}")
    return sample.reference(version, source="given", description=f"{len(sample):,} rows of {file.name}"), faults


def _mapped(file: Path, spec: ModelSpec, version: str, given: Mapped) -> ReplaySpec:
    names = column_names(file, given.delimiter)
    columns = Columns(
        prediction_id=given.timestamp,  # nobody asks for ids here
        timestamp=Time(column=given.timestamp, zone=given.zone),
        version=Constant(version),
        model=Constant(spec.model),
        prediction=given.prediction,
        score=given.score,
        confidence=given.confidence,
        latency_ms=given.latency_ms,
        text=list(given.text),
        segment=list(given.segments) or [name for name in sliced_by(spec) if name in names],
        delimiter=given.delimiter,
    )
    features = list(given.features) or [name for name in spec.features if name in names]
    rest = [name for name in names if name not in used(columns) and name not in given.ignore]
    return ReplaySpec(replay=msgspec.structs.replace(columns, features=features or rest))


def _records(file: Path, mapped: ReplaySpec, faults: Faults) -> Iterator[Prediction]:
    columns = mapped.replay
    names = column_names(file, columns.delimiter)
    rows = Rows(mapped, names, only_read=columns.prediction is None)
    check_columns(str(file), used(columns) | set(rows.features), names)
    for chunk in chunks(file, columns.delimiter):
        for number, reason in chunk.malformed:
            faults.add(BadRow(str(file), number, reason))
        for _, record in rows.predictions(chunk, str(file)):
            if isinstance(record, BadRow):
                faults.add(record)
            else:
                yield record


def _counts(columns: Columns, record: Prediction, model: str, version: str) -> bool:
    mine = not isinstance(columns.model, str) or record.model == model
    return mine and (not isinstance(columns.version, str) or record.version == version)


def _add(sample: Sample, record: Prediction, at_ms: int, *, known: bool) -> None:
    sample.add(
        at_ms,
        failed=record.status == "error" if known else None,
        answers={
            "latency_ms": record.latency_ms,
            "score": record.score,
            "confidence": record.confidence,
            "prediction": record.prediction,
        },
        features=record.features,
        segment=record.segment,
    )


def from_clickhouse(settings: Settings, spec: ModelSpec, version: str, start_ms: int, end_ms: int) -> Reference:
    """A reference of the stored predictions from `start_ms` (inclusive) to `end_ms` (exclusive).

    Raises
    ------
    UsageError
        If there are none.
    Unavailable
        If ClickHouse does not answer.
    """
    with closing(ClickHouse(settings)) as clickhouse:
        sample = asyncio.run(stored.sample(clickhouse.query, spec, version, start_ms, end_ms))
    if not len(sample):
        raise UsageError(
            f"ClickHouse has no predictions of {spec.model} {version} in that time: "
            "`driftline sql 'SELECT model, version, min(timestamp), max(timestamp) FROM predictions GROUP BY ALL'`"
        )
    return sample.reference(version, source="range", description=f"{len(sample):,} stored predictions")


def published_spec(settings: Settings, model: str) -> ModelSpec:
    """The spec that stands on the models topic, or the defaults."""
    for entry in model_topic.read_all(settings):
        if isinstance(entry.record, ModelSpec) and entry.key == model:
            return entry.record
    return ModelSpec(model=model)


def published(settings: Settings) -> list[Reference]:
    """The references that stand on the models topic, by key."""
    return [entry.record for entry in model_topic.read_all(settings) if isinstance(entry.record, Reference)]


def read(file: Path, version: str | None = None) -> Reference:
    """The reference in a JSON file, with the id of its content, for `version` when one is given.

    Raises
    ------
    SpecError
        If it cannot be read, is no reference or does not hold together; says what is wrong with it.
    """
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Reference)
        return checked(msgspec.structs.replace(found, version=version or found.version))
    except OSError as error:
        raise SpecError(f"cannot read {file}: {error.strerror}") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise SpecError(f"{file} is no reference: {error}") from None


def find(settings: Settings, named: str) -> Reference:
    """The reference in a file of that name, else the published `model@version`; raises as these do."""
    return read(Path(named)) if Path(named).is_file() else find_published(settings, named)


def find_published(settings: Settings, key: str) -> Reference:
    """The published reference `model@version`.

    Raises
    ------
    UsageError
        If there is none; says how to find out what there is.
    """
    for reference in published(settings) if "@" in key else ():
        if model_topic.key_of(reference) == key:
            return reference
    raise UsageError(f"there is no reference {key!r}: `driftline reference list` shows those there are")


def as_json(reference: Reference) -> bytes:
    """JSON that `read` takes, a line a value."""
    return msgspec.json.format(msgspec.json.encode(reference), indent=1) + b"\n"


def write(reference: Reference, file: Path) -> None:
    """Keep a reference in a file.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    try:
        file.write_bytes(as_json(reference))
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None
