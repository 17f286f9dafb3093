"""The ClickHouse engine in this process: one statement at a time per session, a fresh session for every request.

chDB's rules, each learned the hard way: one process may open a directory; the engine stops when the last connection
closes; a forked child hangs. So one process owns the engine, and the owner keeps one connection open all its life.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self, cast

import chdb
from chdb import ChdbError

from driftline_streams.embedded.statement import Insert, Query

# For a laptop with other things to do: the engine's own defaults are a server's.
LIMITS = {
    "max_server_memory_usage": 4 << 30,
    "mark_cache_size": 256 << 20,
    "background_pool_size": 2,
    "background_schedule_pool_size": 8,
}

# Blocks of these formats can be sent one after the other; others have a beginning and an end around all rows.
STREAMED = frozenset({"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow", "LineAsString"})

_connect: Any = chdb.connect  # chDB has no types

_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_CODE = re.compile(r"Code: (\d+)\. ")

SYNTAX_ERROR = 62
NOT_IMPLEMENTED = 48
UNKNOWN_SETTING = 115
UNKNOWN_EXCEPTION = 1002


class Refused(Exception):
    """A statement that failed: ClickHouse's own code and its message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def by_engine(cls, error: Exception) -> Self:
        """What the engine said, without what chDB says around it."""
        text = str(error)
        found = _CODE.search(text)
        return cls(int(found[1]), text[found.start() :]) if found else cls(UNKNOWN_EXCEPTION, text)

    @classmethod
    def by_us(cls, code: int, name: str, why: str) -> Self:
        """The same form for what this endpoint refuses itself."""
        return cls(code, f"Code: {code}. DB::Exception: {why}. ({name})")


@dataclass(slots=True)
class Answer:
    """What a statement gave: `chunks` of bytes in `format`; `more` when only the first of them were fetched."""

    format: str | None = None  # None when the statement gives no rows at all
    chunks: list[bytes] = field(default_factory=list)
    summary: dict[str, int] = field(default_factory=dict)
    more: bool = False


class Engine:
    """The engine on one directory, until `close`."""

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        limits = "&".join(f"{name}={value}" for name, value in LIMITS.items())
        self._keep = _connect(f"{self._directory}?{limits}")

    @property
    def timezone(self) -> str:
        """The engine's time zone, in which DateTime columns without one are shown."""
        return str(self._keep.query("SELECT timezone()", "TabSeparated").bytes().decode().strip())

    def session(self, database: str, settings: Mapping[str, str]) -> Session:
        """A new session in `database` (empty: the default one): nothing that another one set reaches it."""
        session = Session(_connect(self._directory))
        try:
            session.set(database, settings)
        except Refused:
            session.close()
            raise
        return session

    def close(self) -> None:
        """Stop the engine: what was acknowledged is on disk already."""
        self._keep.close()


class Session:
    """One request's connection. Its methods block, and may be called from different threads, one after the other.

    Raises `Refused` from every method when the engine does not take a statement.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._insert: Insert | None = None
        self._data: IO[bytes] | None = None  # of the insert
        self._rows: Any = None

    def set(self, database: str, settings: Mapping[str, str]) -> None:
        """Choose the database (empty: the default one) and the settings of what follows."""
        for name in settings:
            if not _SETTING.fullmatch(name):
                raise Refused.by_us(UNKNOWN_SETTING, "UNKNOWN_SETTING", f"Unknown setting {name!r}")
        try:
            if database:
                self._connection.query("USE `{}`".format(database.replace("\\", "\\\\").replace("`", "\\`")))
            if settings:
                pairs = ", ".join(f"{name} = {_literal(value)}" for name, value in settings.items())
                self._connection.query(f"SET {pairs}")
        except (ChdbError, RuntimeError) as error:
            raise Refused.by_engine(error) from None

    def query(self, query: Query, form: str, parameters: Mapping[str, str], *, at_most: int) -> Answer:
        """Run a statement and fetch about `at_most` bytes of its answer; the rest, if there is `more`, by `fetch`."""
        if query.several:
            raise Refused.by_us(SYNTAX_ERROR, "SYNTAX_ERROR", "Multi-statements are not allowed: send them one by one")
        if query.keeps_state:
            raise Refused.by_us(
                NOT_IMPLEMENTED,
                "NOT_IMPLEMENTED",
                "The embedded ClickHouse keeps no sessions: give settings and database with each query, "
                "and use an ordinary table instead of a temporary one",
            )
        form = query.format or form
        answer = Answer(format=form if query.reads else None)
        try:
            if form in STREAMED and query.reads and self._stream(query.sql, form, parameters):
                self._fetch(answer, at_most)
            else:
                result = self._connection.query(query.sql, form, params=dict(parameters))
                answer.chunks.append(result.bytes() or b"")
                answer.summary = {"read_rows": result.rows_read(), "read_bytes": result.bytes_read()}
        except (ChdbError, RuntimeError) as error:
            raise Refused.by_engine(error) from None
        return answer

    def fetch(self, *, at_most: int) -> Answer:
        """The next chunks of the answer that `query` began."""
        answer = Answer()
        try:
            self._fetch(answer, at_most)
        except (ChdbError, RuntimeError) as error:
            raise Refused.by_engine(error) from None
        return answer

    def begin(self, insert: Insert) -> None:
        """Start an INSERT whose data comes by `append`."""
        self._insert, self._data = insert, _memory()

    def append(self, data: bytes) -> None:
        """Some more bytes of the data, cut anywhere."""
        if self._data is not None:
            self._data.write(data)

    def finish(self) -> Answer:
        """End the INSERT: when this returns, its rows are stored."""
        insert, data = self._insert, self._data
        assert insert is not None  # noqa: S101 - `begin` comes first
        assert data is not None  # noqa: S101
        data.flush()
        # chDB also takes data as a stream, but then keeps errors of the table to itself (4.4.0): what failed for a full
        # disk, a constraint or too many partitions was answered as written.
        path = data.name if isinstance(data.name, str) else f"/proc/self/fd/{data.name}"
        source = f"FROM INFILE {_literal(path)} COMPRESSION 'none'"
        try:
            result = self._connection.query(f"{insert.sql} {source} {insert.settings} FORMAT {insert.format}")
        except (ChdbError, RuntimeError) as error:
            raise Refused.by_engine(error) from None
        finally:
            data.close()
            self._insert = self._data = None
        return Answer(summary={"written_rows": result.rows_read(), "written_bytes": result.bytes_read()})

    def close(self) -> None:
        """Give up what is unfinished and leave."""
        for unfinished in (self._data, self._rows):
            if unfinished is not None:
                unfinished.close()
        self._insert = self._data = self._rows = None
        self._connection.close()

    def _stream(self, sql: str, form: str, parameters: Mapping[str, str]) -> bool:
        try:
            self._rows = self._connection.send_query(sql, form, params=dict(parameters))
        except (ChdbError, RuntimeError) as error:
            if "Streaming query is not supported" in str(error):  # SHOW, DESCRIBE, EXPLAIN: not run, and small
                return False
            raise
        return True

    def _fetch(self, answer: Answer, at_most: int) -> None:
        size = rows = read = 0
        while size < at_most:
            chunk = self._rows.fetch()
            if chunk is None:
                self._rows = None
                break
            answer.chunks.append(chunk.bytes())
            size += len(answer.chunks[-1])
            rows += chunk.rows_read()
            read += chunk.bytes_read()
        answer.more = self._rows is not None
        answer.summary = {"read_rows": rows, "read_bytes": read}


def _memory() -> IO[bytes]:
    """A file without a disk, where the system has such: a full one must not keep the engine from saying so."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("insert"), "w+b")
    return cast("IO[bytes]", tempfile.NamedTemporaryFile())


def _literal(value: str) -> str:
    """A setting's value in quotes: ClickHouse turns it into the setting's type, whatever it is."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
