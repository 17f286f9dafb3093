"""What a person says about a file: which column is what. Read from YAML, checked before the first row.

First step of a replay. A plain word names a column, `{constant: v1}` is the same for every row.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from driftline.replay.errors import ReplaySpecError
from driftline_schemas.spec import ModelSpec

Column = Annotated[str, Meta(min_length=1)]
EPOCH_MS = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}


class Constant(Struct, frozen=True, forbid_unknown_fields=True):
    """The same value in every row."""

    constant: str


class Time(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column of times: ISO 8601 text, numbers since 1970 (in `unit`) or Parquet's own timestamps.

    `format` reads other text, as Python's `strptime` does; `zone` is that of times that name none.
    """

    column: Column
    format: str | None = None
    zone: str | None = None
    unit: Literal["s", "ms", "us", "ns"] = "ms"


class Labels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The truth: a column of the same file, or of a second one with the ids of the first."""

    label: Column
    timestamp: Column | Time  # when the truth was known
    file: str | None = None  # relative to the spec; default: the file that is replayed
    prediction_id: Column | None = None  # default: the same name as for predictions
    weight: Column | None = None
    source: Constant | Column | None = None
    position: Column | None = None  # of an item in a list


class Columns(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which column is what. Empty cells are nulls; a row without a label has no label event."""

    prediction_id: Column
    timestamp: Column | Time  # when the model answered
    version: Column | Constant
    model: Column | Constant | None = None  # default: the name in the section `model`
    prediction: Column | None = None
    score: Column | None = None
    confidence: Column | None = None
    latency_ms: Column | None = None
    error: Column | None = None  # a message in the rows in which the model failed
    role: Column | Constant | None = None
    request_id: Column | None = None
    user_id: Column | None = None
    features: list[Column] | Literal["rest"] = field(default_factory=list)  # rest: every column without another use
    text: list[Column] = field(default_factory=list)  # features that are text even where they look like numbers
    segment: list[Column] = field(default_factory=list)
    labels: Labels | None = None
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","  # of CSV files


class ReplaySpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file: how to read it, and optionally how to monitor the model it is about."""

    replay: Columns
    model: ModelSpec | None = None
    path: Annotated[str, Meta(description="of this spec; set by `read_spec`")] = ""


def read_spec(path: Path) -> ReplaySpec:
    """Read and check a spec.

    Raises
    ------
    ReplaySpecError
        If the file is missing or is not YAML, or a field is missing, unknown or of the wrong kind; the message names
        file, field and what was expected.
    """
    import yaml  # noqa: PLC0415 - comes with driftline[streams]; the SDK has no need of it

    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ReplaySpecError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ReplaySpecError(f"{path} is not YAML: {error}") from None
    if not isinstance(document, dict) or "replay" not in document:
        raise ReplaySpecError(f"{path}: expected a section `replay` that says which column is what")
    try:
        spec = msgspec.convert({**document, "path": str(path)}, ReplaySpec)
    except msgspec.ValidationError as error:
        raise ReplaySpecError(f"{path}: {_in_words(error)}") from None
    if spec.replay.model is None and spec.model is None:
        raise ReplaySpecError(f"{path}: name the model, with `model: {{constant: NAME}}` under `replay`")
    for time in _times(spec.replay):
        if time.zone is not None:
            _known_zone(path, time.zone)
    return spec


def used(columns: Columns) -> set[str]:
    """The columns of the predictions' file that have a use other than as features."""
    names = {
        each
        for each in (
            columns.prediction_id,
            columns.version,
            columns.model,
            columns.prediction,
            columns.score,
            columns.confidence,
            columns.latency_ms,
            columns.error,
            columns.role,
            columns.request_id,
            columns.user_id,
        )
        if isinstance(each, str)
    }
    names |= {as_time(columns.timestamp).column, *columns.segment}
    if columns.labels is not None and columns.labels.file is None:
        names |= used_by_labels(columns)
    return names


def used_by_labels(columns: Columns) -> set[str]:
    """The columns that labels are made of; empty without labels."""
    labels = columns.labels
    if labels is None:
        return set()
    maybe = (labels.weight, labels.source, labels.position)
    names = {labels.label, as_time(labels.timestamp).column, labels.prediction_id or columns.prediction_id}
    return names | {each for each in maybe if isinstance(each, str)}


def check_columns(path: str, needed: Collection[str], found: Collection[str]) -> None:
    """Raise `ReplaySpecError` when a file lacks a column that the spec names; the message says which it has."""
    if missing := sorted(set(needed) - set(found)):
        raise ReplaySpecError(f"{path} has no column {', '.join(missing)}; it has {', '.join(found)}")


def as_time(given: str | Time) -> Time:
    """A bare column name as a `Time` with the defaults."""
    return given if isinstance(given, Time) else Time(column=given)


def _times(columns: Columns) -> Iterator[Time]:
    yield as_time(columns.timestamp)
    if columns.labels is not None:
        yield as_time(columns.labels.timestamp)


def _known_zone(path: Path, zone: str) -> None:
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ReplaySpecError(f"{path}: zone {zone!r} is not known; expected a name such as Europe/Berlin") from None


def _in_words(error: msgspec.ValidationError) -> str:
    """msgspec's message with the place in front: `replay.version: Expected …`."""
    what, _, place = str(error).partition(" - at `$.")
    return f"{place.rstrip('`')}: {what}" if place else what
