"""The numbered SQL files of the contract, applied once each, in order.

In the walk: before it. `driftline migrate` and the worker's start call `migrate`; the table `schema_migrations` says
what was applied when.

ClickHouse has neither transactions for tables nor locks, so each statement is recorded twice: `started` before it runs,
`done` after. A runner that finds a statement started but not done, by a crash or by another runner at this moment, runs
it again and takes "exists already" for success. Where nobody started it, "exists already" means a foreign table, and
the migration stops. Statements of later files must bear to run twice: `ALTER TABLE … ADD COLUMN IF NOT EXISTS`.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from driftline_streams.errors import MigrationError, UsageError
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.statements import statements

DIRECTORY = resources.files("driftline_schemas") / "sql"
TOKENS_LAST_S = 7 * 86_400  # of a replicated table
WHOLE = 0  # the number of the record that says that a whole file is applied

_NAME = re.compile(r"(\d{3})_\w+\.sql")

_RECORDS = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    number     UInt16,
    name       String,
    statement  UInt16 COMMENT '0 is the whole file',
    state      LowCardinality(String) COMMENT 'started or done',
    sha256     String,
    run        String COMMENT 'random',
    applied_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (number, statement, state)
"""

_RECORD = """
INSERT INTO schema_migrations
SELECT {number:UInt16}, {name:String}, {statement:UInt16}, {state:String}, {sha256:String}, {run:String}, now64(3)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    number: int
    name: str
    sha256: str
    statements: tuple[str, ...]


def migrate(clickhouse: ClickHouse, directory: Traversable = DIRECTORY) -> list[str]:
    """Bring the database of the settings up to date, creating it when it is missing; the names of the applied files.

    Repeating it does nothing; a run that was cut off is taken up at the statement it had reached.

    Raises
    ------
    MigrationError
        If files are missing, doubled or changed after they were applied, if the database is newer than the files, or
        if a statement fails. Nothing is applied after that.
    Unavailable
        If ClickHouse does not answer.
    """
    files = read(directory)
    clickhouse.create_database()
    clickhouse.command(replicated(_RECORDS) if clickhouse.settings.clickhouse_replicated else _RECORDS)
    run = _Run(clickhouse)
    todo = _pending(clickhouse, files)
    for migration in todo:
        run.apply(migration)
    return [migration.name for migration in todo]


def pending(clickhouse: ClickHouse, directory: Traversable = DIRECTORY) -> list[str]:
    """The names of the files that `migrate` would apply; changes nothing and raises what `migrate` does."""
    return [migration.name for migration in _pending(clickhouse, read(directory))]


def read(directory: Traversable = DIRECTORY) -> list[Migration]:
    """The files `NNN_name.sql` of a directory, by number.

    Raises
    ------
    MigrationError
        If the numbers are not 1, 2, 3, …, each once, or a file is named otherwise.
    """
    found = []
    for file in sorted(directory.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            named = _NAME.fullmatch(file.name)
            if named is None:
                raise MigrationError(f"{file.name} must be named like 001_tables.sql")
            content = file.read_bytes()
            found.append(Migration(int(named[1]), file.name, _sha256(content), tuple(statements(content.decode()))))
    for expected, migration in enumerate(found, 1):
        if migration.number != expected:
            what = "is there twice" if migration.number < expected else f"follows {expected - 1:03}"
            raise MigrationError(
                f"{migration.name}: {migration.number:03} {what}; number the files 001, 002, … once each"
            )
    return found


def replicated(statement: str) -> str:
    """A statement of the files for tables whose rows are on several servers; what names no table's engine stays.

    ClickHouse then keeps tokens in Keeper, for an hour unless told otherwise: an outage may last longer.

    >>> replicated("CREATE TABLE t (a Int8) ENGINE = ReplacingMergeTree(a) ORDER BY a")
    'CREATE TABLE t (a Int8) ENGINE = ReplicatedReplacingMergeTree(a) ORDER BY a'
    """
    engine = re.sub(r"\bENGINE = (\w*MergeTree)\b", r"ENGINE = Replicated\1", statement)
    return re.sub(r"\bnon_(replicated_deduplication_window) = (\d+)", rf"\1 = \2, \1_seconds = {TOKENS_LAST_S}", engine)


class _Run:
    """One run of `migrate`."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._id = uuid.uuid4().hex

    def apply(self, migration: Migration) -> None:
        """Run the statements of a file that are not done."""
        rows = self._clickhouse.query_rows(
            "SELECT statement, state, any(sha256) AS sha256 FROM schema_migrations "
            "WHERE number = {number:UInt16} GROUP BY statement, state",
            {"number": migration.number},
        )
        done = {row["statement"]: row["sha256"] for row in rows if row["state"] == "done"}
        for number, statement in enumerate(migration.statements, 1):
            sha256 = _sha256(statement.encode())
            if number not in done:
                self._record(migration, number, "started", sha256)
                self._execute(migration, number, statement)
                self._record(migration, number, "done", sha256)
            elif done[number] != sha256:
                raise MigrationError(
                    f"{migration.name}: statement {number} was changed after it was applied: restore it, apply the "
                    "rest, and put the change into a new file"
                )
        self._record(migration, WHOLE, "done", migration.sha256)

    def _execute(self, migration: Migration, number: int, statement: str) -> None:
        try:
            # Once: when the answer is lost, a repetition could not tell its own table from a foreign one.
            asked = replicated(statement) if self._clickhouse.settings.clickhouse_replicated else statement
            self._clickhouse.command(asked, once=True)
        except UsageError as error:
            if "ALREADY_EXISTS" not in str(error):
                raise MigrationError(f"{migration.name}: statement {number}: {error}; correct it and repeat") from error
            if not self._started_before(migration, number):
                raise MigrationError(
                    f"{migration.name}: statement {number} would create what database {self._clickhouse.database} has "
                    f"already, though no migration made it: rename it there, or set DRIFTLINE_CLICKHOUSE_DATABASE "
                    f"({error})"
                ) from error

    def _started_before(self, migration: Migration, number: int) -> bool:
        """Whether another run, or an earlier one, began this statement."""
        (row,) = self._clickhouse.query_rows(
            "SELECT count() AS n FROM schema_migrations "
            "WHERE number = {number:UInt16} AND statement = {statement:UInt16} AND run != {run:String}",
            {"number": migration.number, "statement": number, "run": self._id},
        )
        return bool(row["n"])

    def _record(self, migration: Migration, number: int, state: str, sha256: str) -> None:
        values = {"number": migration.number, "name": migration.name, "statement": number, "state": state}
        self._clickhouse.command(_RECORD, values | {"sha256": sha256, "run": self._id})


def _pending(clickhouse: ClickHouse, files: Sequence[Migration]) -> list[Migration]:
    """The files that are not applied; those that are must be as they were."""
    applied = _applied(clickhouse)
    for number in applied:
        if number > len(files):
            raise MigrationError(
                f"database {clickhouse.database} has migration {number:03}, this Driftline only knows {len(files):03}: "
                "upgrade Driftline, or use another database"
            )
    for migration in files:
        if applied.get(migration.number, migration.sha256) != migration.sha256:
            raise MigrationError(
                f"{migration.name} was changed after it was applied to database {clickhouse.database}: "
                "restore it and put the change into a new file with the next number"
            )
    return [migration for migration in files if migration.number not in applied]


def _applied(clickhouse: ClickHouse) -> dict[int, str]:
    """Number → sha256 of the files that are wholly applied; empty when the database or the table is missing."""
    if not clickhouse.has_database() or not clickhouse.query_rows("SHOW TABLES LIKE 'schema_migrations'"):
        return {}
    rows = clickhouse.query_rows(
        "SELECT DISTINCT number, sha256 FROM schema_migrations WHERE statement = {whole:UInt16} ORDER BY number",
        {"whole": WHOLE},
    )
    return {row["number"]: row["sha256"] for row in rows}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
