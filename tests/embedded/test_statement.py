"""What a statement says about itself, whatever its comments and quoted text pretend."""

from __future__ import annotations

import pytest

from driftline_streams.embedded.statement import insert_with_data, query


@pytest.mark.parametrize(
    ("head", "statement", "form", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1", "INSERT INTO t ", "CSV", b"1"),
        (b"insert into d.t(a,b) format Native\r\n\n\t", "insert into d.t(a,b) ", "Native", b"\n\t"),
        (b"-- FORMAT x\nINSERT INTO TABLE `d`.`a b` FORMAT TSV\n", "INSERT INTO TABLE `d`.`a b` ", "TSV", b""),
        (b'INSERT INTO t FORMAT JSONEachRow {"a":1}', "INSERT INTO t ", "JSONEachRow", b'{"a":1}'),
        (b"INSERT INTO t (* EXCEPT(b)) FORMAT CSV\n", "INSERT INTO t (* EXCEPT(b)) ", "CSV", b""),
        (
            b"INSERT INTO t SETTINGS insert_deduplication_token='x FORMAT y' FORMAT CSV\n",
            "INSERT INTO t SETTINGS insert_deduplication_token='x FORMAT y' ",
            "CSV",
            b"",
        ),
    ],
)
def test_an_insert_is_parted_from_its_data(head: bytes, statement: str, form: str, data: bytes) -> None:
    found = insert_with_data(head)
    assert found is not None
    assert (found.sql + found.settings, found.format) == (statement, form)
    assert head[found.data_at :] == data


@pytest.mark.parametrize(
    "head",
    [
        b"INSERT INTO t VALUES (1, ' FORMAT CSV\n')",
        b"INSERT INTO t SELECT 1 AS a FORMAT CSV\n",
        b"SELECT 'INSERT INTO t FORMAT CSV\n'",
        b"INSERT INTO t (a) VALUES (1)" * 20_000,
        b"",
    ],
)
def test_everything_else_is_left_to_the_engine(head: bytes) -> None:
    assert insert_with_data(head) is None


@pytest.mark.parametrize(
    ("sql", "form", "reads", "several"),
    [
        ("SELECT 1 FORMAT JSON;", "JSON", True, False),
        ("(SELECT 1) UNION ALL (SELECT 2) FORMAT CSV SETTINGS max_threads = 1", "CSV", True, False),
        ("/* ; */ WITH 1 AS x SELECT x -- FORMAT CSV", None, True, False),
        ("ALTER TABLE t DELETE WHERE a = ';'", None, False, False),
        ("SELECT 1;\n;\n", None, True, False),
        ("SELECT 1; SELECT 2", None, True, True),
    ],
)
def test_a_query_tells_its_format_and_its_end(sql: str, form: str | None, reads: bool, several: bool) -> None:
    found = query(sql)
    assert (found.format, found.reads, found.several) == (form, reads, several)
