"""CSV and Parquet as the same thing: chunks of rows by column name, within bounded memory.

Second step of a replay. CSV cells are text and stay so here; Parquet cells have their own types.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from driftline.replay.errors import ReplaySpecError

CHUNK_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file: `columns[name][i]` is a cell of row `numbers[i]`; the first row of a file is row 1.

    `malformed` holds the numbers of the rows in between that could not be read, with the reason.
    """

    numbers: list[int]
    columns: dict[str, list[Any]]
    malformed: list[tuple[int, str]] = field(default_factory=list)


def column_names(path: Path, delimiter: str) -> list[str]:
    """The names of the file's columns, in its order.

    Raises
    ------
    ReplaySpecError
        If the file cannot be read, is empty, or has a name twice.
    """
    names = _parquet(path).schema_arrow.names if _is_parquet(path) else _header(path, delimiter)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ReplaySpecError(f"{path} has more than one column {', '.join(twice)}: rename them")
    return list(names)


def chunks(path: Path, delimiter: str, rows: int = CHUNK_ROWS) -> Iterator[Chunk]:
    """The file from its beginning, at most `rows` rows at a time; only one chunk is in memory.

    Raises
    ------
    ReplaySpecError
        If the file cannot be read.
    """
    yield from _parquet_chunks(path, rows) if _is_parquet(path) else _csv_chunks(path, delimiter, rows)


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError as error:
        raise ReplaySpecError(f"cannot read {path}: {error.strerror}") from None


def _header(path: Path, delimiter: str) -> list[str]:
    # Bytes that are not UTF-8 come through as surrogates, so that they spoil their row and not the file.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        header = next(csv.reader(file, delimiter=delimiter), [])
    if not header:
        raise ReplaySpecError(f"{path} is empty: expected a first line with the names of the columns")
    return header


def _csv_chunks(path: Path, delimiter: str, rows: int) -> Iterator[Chunk]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        header = next(reader)
        lines = enumerate(_lines(reader), start=1)
        while some := list(islice(lines, rows)):
            fit = [(number, cells) for number, cells in some if isinstance(cells, list) and len(cells) == len(header)]
            malformed = [
                (number, cells if isinstance(cells, str) else f"{len(cells)} cells instead of {len(header)}")
                for number, cells in some
                if isinstance(cells, str) or len(cells) != len(header)
            ]
            turned = map(list, zip(*(cells for _, cells in fit), strict=True)) if fit else ([] for _ in header)
            yield Chunk([number for number, _ in fit], dict(zip(header, turned, strict=True)), malformed)


def _lines(reader: Iterator[list[str]]) -> Iterator[list[str] | str]:
    """The cells of each row, or what is wrong with it; a blank line is no row."""
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # a cell beyond 128 KiB, mostly after a quote that nothing closes
            yield str(error)
        else:
            if cells:
                yield cells


def _parquet(path: Path) -> Any:
    try:
        import pyarrow.parquet as pq  # noqa: PLC0415 - comes with driftline[streams]; the SDK has no need of it
    except ImportError:
        raise ReplaySpecError("reading Parquet needs pyarrow: pip install 'driftline[streams]'") from None
    try:
        return pq.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise ReplaySpecError(f"cannot read {path}: {error}") from None


def _parquet_chunks(path: Path, rows: int) -> Iterator[Chunk]:
    number = 0
    for batch in _parquet(path).iter_batches(batch_size=rows):
        numbers = list(range(number + 1, number + 1 + batch.num_rows))
        number += batch.num_rows
        yield Chunk(numbers, {name: batch.column(name).to_pylist() for name in batch.schema.names})
