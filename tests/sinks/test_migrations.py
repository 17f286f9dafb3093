"""Migrations: once each, in order, never over a changed file, and taken up where they were cut off."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from driftline_streams.errors import MigrationError, UsageError
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.migrations import DIRECTORY, migrate, pending, read, replicated
from driftline_streams.sinks.statements import statements

ONE = "CREATE TABLE one (a UInt8) ENGINE = MergeTree ORDER BY a;"
TWO = "CREATE TABLE two (a UInt8) ENGINE = MergeTree ORDER BY a;"
VIEW = "CREATE VIEW both AS SELECT a FROM one UNION ALL SELECT a FROM two;"


def write(directory: Path, **files: str) -> Path:
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / f"{name.removeprefix('f')}.sql").write_text(text)
    return directory


def tables(store: ClickHouse) -> set[str]:
    rows = store.query_rows("SELECT name FROM system.tables WHERE database = {d:String}", {"d": store.database})
    return {row["name"] for row in rows} - {"schema_migrations"}


def test_the_contract_is_applied_once_and_its_views_answer(store: ClickHouse) -> None:
    names = [file.name for file in read()]
    assert pending(store) == names
    assert migrate(store) == names
    assert migrate(store) == []
    assert pending(store) == []
    assert {"predictions", "windows", "rejected", "latency_by_window", "feature_daily"} <= tables(store)
    assert store.query_rows("SELECT * FROM latency_daily") == []


def test_a_missing_database_is_created(settings: Any) -> None:
    given = settings()
    missing = f"{given.clickhouse_database}_missing"
    store = ClickHouse(given.model_copy(update={"clickhouse_database": missing}))
    with pytest.raises(UsageError, match="run `driftline migrate`"):
        store.query_rows("SELECT 1")
    assert pending(store) == migrate(store)
    assert "predictions" in tables(store)
    store.close()


def test_a_new_file_is_applied_alone(store: ClickHouse, tmp_path: Path) -> None:
    migrate(store, write(tmp_path / "sql", f001_one=ONE))
    assert migrate(store, write(tmp_path / "sql", f002_two=TWO)) == ["002_two.sql"]
    assert tables(store) == {"one", "two"}


def test_a_changed_file_is_refused_before_anything_is_applied(store: ClickHouse, tmp_path: Path) -> None:
    migrate(store, write(tmp_path / "sql", f001_one=ONE))
    changed = write(tmp_path / "sql", f001_one=ONE + "\n-- a comment is a change too", f002_two=TWO)
    with pytest.raises(MigrationError, match=r"001_one\.sql was changed.*restore it.*new file"):
        migrate(store, changed)
    assert tables(store) == {"one"}


def test_a_database_from_the_future_is_refused(store: ClickHouse, tmp_path: Path) -> None:
    migrate(store, write(tmp_path / "new", f001_one=ONE, f002_two=TWO))
    with pytest.raises(MigrationError, match="upgrade Driftline"):
        migrate(store, write(tmp_path / "old", f001_one=ONE))


def test_a_file_that_failed_in_its_middle_is_taken_up_there(store: ClickHouse, tmp_path: Path) -> None:
    broken = write(tmp_path / "sql", f001_all=f"{ONE}\nCREATE TABEL two (a UInt8);\n{VIEW}")
    with pytest.raises(MigrationError, match=r"001_all\.sql: statement 2.*correct it and repeat"):
        migrate(store, broken)
    assert tables(store) == {"one"}
    assert pending(store, broken) == ["001_all.sql"]
    corrected = write(tmp_path / "sql", f001_all=f"{ONE}\n{TWO}\n{VIEW}")
    assert migrate(store, corrected) == ["001_all.sql"]
    assert tables(store) == {"one", "two", "both"}


def test_what_was_applied_of_a_failed_file_must_stay_as_it_was(store: ClickHouse, tmp_path: Path) -> None:
    with pytest.raises(MigrationError):
        migrate(store, write(tmp_path / "sql", f001_all=f"{ONE}\nNONSENSE;"))
    changed = write(tmp_path / "sql", f001_all=f"{ONE.replace('UInt8', 'UInt16')}\n{TWO}")
    with pytest.raises(MigrationError, match="statement 1 was changed"):
        migrate(store, changed)


def test_a_statement_that_ran_before_a_crash_could_be_recorded_is_taken_for_done(
    store: ClickHouse, tmp_path: Path
) -> None:
    directory = write(tmp_path / "sql", f001_all=f"{ONE}\n{TWO}")
    migrate(store, directory)
    store.command(
        "ALTER TABLE schema_migrations DELETE WHERE state = 'done' AND statement IN (0, 2) SETTINGS mutations_sync = 2"
    )
    assert migrate(store, directory) == ["001_all.sql"]
    assert migrate(store, directory) == []


def test_a_foreign_table_in_the_way_stops_the_migration(store: ClickHouse, tmp_path: Path) -> None:
    store.command(ONE.replace("UInt8", "String"))
    with pytest.raises(MigrationError, match="no migration made it: rename it"):
        migrate(store, write(tmp_path / "sql", f001_one=ONE))


def test_runners_at_the_same_time_do_no_harm(settings: Any) -> None:
    given = settings()
    stores = [ClickHouse(given) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(migrate, stores))
    expected = sum(len(file.statements) for file in read())
    assert len(tables(stores[0])) == expected
    assert pending(stores[0]) == []
    for store in stores:
        store.close()


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"f001_a": ONE, "f003_c": TWO}, "003_c.sql: 003 follows 001"),
        ({"f001_a": ONE, "f001_b": TWO}, "001_b.sql: 001 is there twice"),
        ({"f002_a": ONE}, "002_a.sql: 002 follows 000"),
        ({"f1_a": ONE}, "1_a.sql must be named like"),
    ],
)
def test_wrong_numbers_are_refused(files: dict[str, str], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=complaint):
        read(write(tmp_path / "sql", **files))


def test_a_semicolon_ends_a_statement_only_where_it_does() -> None:
    whole = [
        "-- it's a comment; with a quote\nSELECT ';', \"a;b\", `c;d`, 'it''s; \\'quoted\\'; '",
        "/* one; two; */ SELECT $tag$ ; ' $tag$",
        "SELECT 1 -- no semicolon at the end; really",
    ]
    assert statements(f"{whole[0]};{whole[1]};;\n# only; a comment\n;\n{whole[2]}") == whole


def test_every_statement_of_the_contract_is_found() -> None:
    for file in DIRECTORY.iterdir():
        if file.name.endswith(".sql"):
            found = statements(file.read_text())
            assert sum(line.startswith("CREATE") for line in file.read_text().splitlines()) == len(found)


def test_every_table_of_the_contract_has_a_replicated_form() -> None:
    made = [replicated(text) for file in read() for text in file.statements if "ENGINE" in text]
    assert len(made) >= 11
    for text in made:
        assert "ENGINE = Replicated" in text, text
        assert " non_replicated" not in text, text
        assert "replicated_deduplication_window_seconds = 604800" in text, text
