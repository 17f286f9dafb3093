"""What ClickHouse's HTTP interface must know about a statement before the engine sees it. Pure text, no engine.

The engine takes an INSERT's data apart from its statement, as bytes; everything else it parses itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUOTED = rb"`(?:[^`\\]|\\.)*+`|\"(?:[^\"\\]|\\.)*+\""
_NAME = rb"(?:" + _QUOTED + rb"|\w+)"
_SKIP = rb"(?:\s|--[^\n]*+\n|/\*.*?\*/)*+"
_STRING = rb"'(?:[^'\\]|\\.|'')*+'"

_INSERT = re.compile(
    _SKIP
    + rb"(?P<sql>INSERT\s+INTO\s+(?:TABLE\s+)?"
    + _NAME
    + rb"(?:\s*\.\s*"
    + _NAME
    + rb")?\s*"
    + rb"(?:\((?:"
    + _QUOTED
    + rb"|\([^()]*+\)|[^()`\"])*+\)\s*)?"
    + rb")(?P<settings>(?:SETTINGS\s(?:"
    + _STRING
    + rb"|[^'])*?)?)"
    + rb"\bFORMAT\s+(?P<format>\w+)(?:[ \t]*\r?\n|[ \t]+)?",
    re.IGNORECASE | re.DOTALL,
)
_OPAQUE = re.compile(
    _STRING.decode() + "|" + _QUOTED.decode() + r"|--[^\n]*|/\*.*?\*/",
    re.DOTALL,
)
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*(?:\bSETTINGS\b[^;]*)?;?\s*$", re.IGNORECASE)
_READS = re.compile(r"[\s(]*(SELECT|WITH|FROM|SHOW|DESC|DESCRIBE|EXISTS|EXPLAIN|CHECK|VALUES)\b", re.IGNORECASE)
_KEEPS_STATE = re.compile(r"\s*(SET\s+(?!DEFAULT\s+ROLE)|USE\s|CREATE\s+(OR\s+REPLACE\s+)?TEMPORARY\s)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Insert:
    """`INSERT INTO … SETTINGS … FORMAT name` in its parts, without the data."""

    sql: str
    settings: str  # with their word, or empty
    format: str
    data_at: int  # where the data starts in the bytes that were parsed


@dataclass(frozen=True, slots=True)
class Query:
    """Any other statement."""

    sql: str
    format: str | None  # what its own FORMAT clause says
    reads: bool  # whether it answers with rows, if only with none
    keeps_state: bool  # whether it means something only to later statements of a session
    several: bool  # whether another statement follows it


def insert_with_data(head: bytes) -> Insert | None:
    r"""The INSERT that `head`, the start of a request, holds; None when it is something else.

    >>> insert_with_data(b"INSERT INTO d.t (a, `b)`) FORMAT CSV\n1,2")
    Insert(sql='INSERT INTO d.t (a, `b)`) ', settings='', format='CSV', data_at=37)
    >>> insert_with_data(b"INSERT INTO t VALUES ('a FORMAT CSV b')") is None
    True
    >>> insert_with_data(b"INSERT INTO t SELECT 1 FORMAT CSV ") is None
    True
    """
    found = _INSERT.match(head)
    if found is None:
        return None
    sql, settings, form = (found[part].decode() for part in ("sql", "settings", "format"))
    return Insert(sql, settings, form, found.end())


def query(sql: str) -> Query:
    """What the statement says about itself, comments and quoted text left aside.

    >>> query("SELECT 'x FORMAT CSV' FORMAT Native -- ; that is all")
    Query(sql="SELECT 'x FORMAT CSV' FORMAT Native -- ; that is all", format='Native', reads=True, keeps_state=False, several=False)
    >>> query("SELECT ';'; SELECT 2").several
    True
    """  # noqa: E501 - the doctest shows all of it
    bare = _OPAQUE.sub(" ", sql)
    found = _FORMAT.search(bare)
    return Query(
        sql,
        format=found[1] if found else None,
        reads=_READS.match(bare) is not None,
        keeps_state=_KEEPS_STATE.match(bare) is not None,
        several=bool(bare.partition(";")[2].strip(" \t\r\n;")),
    )
