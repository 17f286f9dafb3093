"""What `driftline sql` prints."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftline_streams.errors import UsageError
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SHOWN_ROWS = 1_000  # of a table; more belong into a file

# Short names for what people ask for; every other name is passed on as it is.
FORMATS = {"csv": "CSVWithNames", "tsv": "TSVWithNames", "json": "JSON", "jsonl": "JSONEachRow", "parquet": "Parquet"}


def sql(settings: Settings, query: str, output: str = "table", *, raw: BinaryIO | None = None) -> None:
    """Run one statement and print its result to standard output: as a table, or raw in a format of ClickHouse.

    Parameters
    ----------
    output
        `table`, one of `FORMATS`, or the name of any output format.
    raw
        Where raw formats go; standard output without it.

    Raises
    ------
    UsageError
        If the statement is empty, or ClickHouse refuses it or the format; the message is the server's.
    """
    if not query.strip():
        raise UsageError("there is no query: give it as an argument, or as - and on standard input")
    statement = query.strip().rstrip(";")
    clickhouse = ClickHouse(settings)
    try:
        if output == "table":
            _print(clickhouse.query_rows(statement))
        else:
            target = sys.stdout.buffer if raw is None else raw
            for chunk in clickhouse.stream(statement, FORMATS.get(output.lower(), output)):
                target.write(chunk)
            target.flush()
    finally:
        clickhouse.close()


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    # A pipe has no width: there, nothing is wrapped or cut.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)
    if not rows:
        console.print("no rows")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, value in rows[0].items():
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows[:SHOWN_ROWS]:
        table.add_row(*(shown(value) for value in row.values()))
    console.print(table)
    if len(rows) > SHOWN_ROWS:
        console.print(f"… and {len(rows) - SHOWN_ROWS:,} more rows: add LIMIT, or use --format csv")


def shown(value: object) -> Text:
    r"""A value as a person reads it; NULL is dimmed, control characters are written out.

    >>> [shown(value).plain for value in (None, 0.1 + 0.2, 1234567, {"a": 1}, dt.date(2013, 1, 1))]
    ['NULL', '0.3', '1234567', '{"a": 1}', '2013-01-01']
    >>> print(shown("\x1b[31mred").plain)
    \x1b[31mred
    """
    if value is None:
        return Text("NULL", style="dim")
    if isinstance(value, float):
        return Text(f"{value:.6g}")
    if isinstance(value, dt.datetime):
        return Text(value.isoformat(sep=" ", timespec="milliseconds" if value.microsecond else "seconds"))
    if isinstance(value, (dict, list, tuple)):
        return Text(_visible(json.dumps(value, ensure_ascii=False, default=str)))
    return Text(_visible(str(value)))


def _visible(text: str) -> str:
    """The text with its control characters written out: what publishers send must not command a terminal."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
