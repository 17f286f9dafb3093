"""`driftline sql`: a table for people, raw formats for programs."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow.parquet
import pytest

from driftline_streams.errors import UsageError
from driftline_streams.sinks import commands


def test_a_table_is_as_wide_as_its_content(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    commands.sql(settings(), "SELECT 'a' || repeat('b', 300) AS word, 1/3 AS third, NULL AS none;")
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["word", "third", "none"]
    assert row.split() == ["a" + "b" * 300, "0.333333", "NULL"]


def test_markup_in_data_is_only_text(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    commands.sql(settings(), "SELECT '[red]x[/red]' AS `[bold]`")
    assert capsys.readouterr().out.split() == ["[bold]", "[red]x[/red]"]


def test_more_rows_than_a_person_reads_are_counted(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    commands.sql(settings(), "SELECT number FROM numbers(2500)")
    assert "and 1,500 more rows" in capsys.readouterr().out


def test_no_rows_are_said(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    commands.sql(settings(), "SELECT 1 WHERE 0")
    assert capsys.readouterr().out == "no rows\n"


def test_formats_are_passed_through_as_they_come(settings: Any) -> None:
    raw = io.BytesIO()
    commands.sql(settings(), "SELECT number AS n FROM numbers(3)", "JSONEachRow", raw=raw)
    assert [json.loads(line)["n"] for line in raw.getvalue().splitlines()] in ([0, 1, 2], ["0", "1", "2"])
    raw = io.BytesIO()
    commands.sql(settings(), "SELECT number AS n FROM numbers(3) ORDER BY n", "csv", raw=raw)
    assert raw.getvalue() == b'"n"\n0\n1\n2\n'
    raw = io.BytesIO()
    commands.sql(settings(), "SELECT number AS n FROM numbers(3) ORDER BY n", "parquet", raw=raw)
    assert pyarrow.parquet.read_table(raw).to_pydict() == {"n": [0, 1, 2]}


@pytest.mark.parametrize("output", ["table", "csv", "NoSuchFormat"])
def test_mistakes_are_one_sentence(settings: Any, output: str) -> None:
    with pytest.raises(UsageError, match="ClickHouse cannot run this: "):
        commands.sql(
            settings(), "SELECT 1" if output == "NoSuchFormat" else "SELECT nonsense", output, raw=io.BytesIO()
        )


def test_an_empty_query_is_refused(settings: Any) -> None:
    with pytest.raises(UsageError, match="there is no query"):
        commands.sql(settings(), "  \n")
