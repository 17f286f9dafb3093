"""Inserts stand exactly once whatever the line does, mistakes are told apart from outages, and answers are plain."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError

from driftline_streams.errors import BrokenInvariant, DriftlineError, Overloaded, SettingsError, Unavailable, UsageError
from driftline_streams.kernel.effects import Coded, Rows
from driftline_streams.sinks import clickhouse as sink
from driftline_streams.sinks.clickhouse import INLINE_FROM, ClickHouse
from driftline_streams.sinks.failures import explained

EVENTS = """
CREATE TABLE {name} (id UInt64, model LowCardinality(String), at DateTime('UTC'))
ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY id SETTINGS non_replicated_deduplication_window = 10000
"""


def rows(first: int, n: int, *, table: str = "events", step_s: int = 0) -> Rows:
    ids = np.arange(first, first + n, dtype=np.uint64)
    at = (1_000_000_000 + ids * step_s).astype(np.uint32)
    return Rows(table, n, {"id": ids, "model": Coded.constant("m", n), "at": at})


def count(store: ClickHouse, table: str = "events") -> tuple[int, int]:
    """Rows and different ids."""
    (row,) = store.query_rows(f"SELECT count() AS n, uniqExact(id) AS ids FROM {table}")
    return row["n"], row["ids"]


@pytest.fixture
def tables(store: ClickHouse) -> ClickHouse:
    for name in ("events", "others"):
        store.command(EVENTS.format(name=name))
    return store


@pytest.fixture
def over(tables: ClickHouse, wire: Any) -> Iterator[Any]:
    """Make a `ClickHouse` that reaches the tables over the wire."""
    made: list[ClickHouse] = []

    def make(**given: Any) -> ClickHouse:
        changes = {"clickhouse_host": "127.0.0.1", "clickhouse_port": wire.port}
        made.append(ClickHouse(tables.settings.model_copy(update=changes), **given))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        await asyncio.sleep(0.01)


async def test_a_repeated_insert_changes_nothing(tables: ClickHouse) -> None:
    for _ in range(3):
        await tables.insert([rows(0, 10)], "p:0:0-9")
    assert count(tables) == (10, 10)
    await tables.insert([rows(0, 10)], "p:0:10-19")
    assert count(tables) == (20, 10)


async def test_a_batch_may_bring_several_blocks_for_several_tables(tables: ClickHouse) -> None:
    effects = [rows(0, 10), rows(100, 5, table="others"), rows(10, 10), rows(20, 0), rows(0, 0, table="nowhere")]
    for _ in range(2):
        await tables.insert(effects, "p:0:0-9")
    assert count(tables) == (20, 20)
    assert count(tables, "others") == (5, 5)


async def test_nothing_is_sent_for_nothing(settings: Any) -> None:
    nowhere = ClickHouse(settings(clickhouse_port=1))
    await nowhere.insert([], "p:0:0-0")
    nowhere.close()


async def test_late_events_may_reach_back_over_many_months(tables: ClickHouse) -> None:
    for _ in range(2):
        await tables.insert([rows(0, 150, step_s=40 * 86_400)], "p:0:0-149")
    assert count(tables) == (150, 150)


async def test_bodies_may_be_compressed(tables: ClickHouse) -> None:
    tables._compress = True  # as on hosts that are not this one
    await tables.insert([rows(0, 10_000)], "p:0:0-9999")
    assert count(tables) == (10_000, 10_000)


async def test_several_rows_of_one_table_are_one_insert(tables: ClickHouse) -> None:
    await tables.insert([rows(0, 10), rows(10, 5)], "p:0:0-14")  # two would have one name, and the second be dropped
    assert count(tables) == (15, 15)


async def test_an_outage_is_waited_for_and_told(tables: ClickHouse, wire: Any, over: Any) -> None:
    told: list[tuple[str, str]] = []
    store = over(on_retry=lambda table, reason: told.append((table, reason)))
    await store.insert([rows(0, 10)], "p:0:0-9")
    await wire.cut()
    waiting = asyncio.create_task(store.insert([rows(10, 10), rows(0, 3, table="others")], "p:0:10-19"))
    await until(lambda: store.availability.outage is not None and store.availability.outage.attempts >= 3)
    assert "does not answer" in store.availability.outage.reason
    assert {table for table, _ in told} == {"events", "others"}
    assert not waiting.done()
    await wire.mend()
    await waiting
    assert store.availability.outage is None
    assert count(tables) == (20, 20)
    assert count(tables, "others") == (3, 3)


async def test_the_first_connection_may_be_waited_for_too(tables: ClickHouse, wire: Any, over: Any) -> None:
    await wire.cut()
    store = over()
    waiting = asyncio.create_task(store.insert([rows(0, 10)], "p:0:0-9"))
    await until(lambda: store.availability.outage)
    await wire.mend()
    await waiting
    assert count(tables) == (10, 10)


async def test_an_insert_whose_answer_is_lost_stands_once(tables: ClickHouse, wire: Any, over: Any) -> None:
    store = over()
    await store.insert([rows(0, 1)], "p:0:0-0")
    wire.lose_answers = 2
    await store.insert([rows(1, 50_000)], "p:0:1-50000")
    assert wire.lose_answers == 0
    assert count(tables) == (50_001, 50_001)


async def test_an_insert_that_arrives_in_part_stands_once(tables: ClickHouse, wire: Any, over: Any) -> None:
    store = over()
    await store.insert([rows(0, 1)], "p:0:0-0")
    wire.lose_after = 60_000
    await store.insert([rows(1, 50_000)], "p:0:1-50000")
    assert wire.lose_after == 0
    assert count(tables) == (50_001, 50_001)


async def test_a_worker_that_stops_need_not_wait_for_the_end_of_an_outage(wire: Any, over: Any) -> None:
    await wire.cut()
    store = over()
    waiting = asyncio.create_task(store.insert([rows(0, 1)], "p:0:0-0"))
    await until(lambda: store.availability.outage)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_rows_that_do_not_fit_are_a_bug_and_not_repeated(tables: ClickHouse) -> None:
    with pytest.raises(BrokenInvariant, match="rows for table events do not fit it: column model has 1 rows"):
        await tables.insert([Rows("events", 2, {"model": ["a"]})], "p:0:0-1")
    with pytest.raises(BrokenInvariant, match="column height is not in the table, which has id, model, at"):
        await tables.insert([Rows("events", 1, {"height": ["a"]}), rows(0, 1, table="others")], "p:0:0-1")


async def test_a_refusal_of_the_server_is_a_bug_with_its_words(tables: ClickHouse) -> None:
    await tables.insert([rows(0, 1)], "p:0:0-0")
    tables.command("ALTER TABLE events MODIFY COLUMN model UInt8 SETTINGS mutations_sync = 0, alter_sync = 0")
    with pytest.raises(BrokenInvariant, match=r"refuses rows for table events \(code \d+\).*'m'"):
        await tables.insert([rows(1, 1)], "p:0:1-1")


async def test_a_missing_table_sends_one_to_migrate(tables: ClickHouse) -> None:
    with pytest.raises(UsageError, match="run `driftline migrate`"):
        await tables.insert([rows(0, 1, table="nowhere")], "p:0:0-0")


NASTY = ["", "it's", "\\", "a\0b", "%s", "{a:String}", "--", "/*", "\n", "日本", "\x01", "'); DROP TABLE events --"]


@pytest.mark.parametrize("more", [0, INLINE_FROM])
async def test_ids_of_any_kind_and_number_are_found(store: ClickHouse, more: int) -> None:
    store.command("CREATE TABLE texts (id String) ENGINE = Memory")
    await store.insert([Rows("texts", len(NASTY) + 1, {"id": [*NASTY, "another"]})], "p:0:0-9")
    ids = NASTY + [f"filler {i}" for i in range(more)]
    found = await store.columns(
        "SELECT id, {mark:UInt8} AS mark FROM texts WHERE id IN {ids:Array(String)}", {"ids": ids, "mark": 7}
    )
    assert sorted(found["id"]) == sorted(NASTY)
    assert set(found["mark"]) == {7}


async def test_40_000_ids_are_found_at_once(tables: ClickHouse) -> None:
    await tables.insert([rows(0, 40_000)], "p:0:0-39999")
    ids = [f"{i:036}" for i in range(40_000)]
    found = await tables.columns(
        "SELECT leftPad(toString(id), 36, '0') AS text FROM events WHERE text IN {ids:Array(String)}", {"ids": ids}
    )
    assert sorted(found["text"]) == ids


async def test_answers_are_plain_values_with_aware_times(tables: ClickHouse) -> None:
    await tables.insert([rows(0, 1)], "p:0:0-0")
    expected = {"id": 0, "at": dt.datetime(2001, 9, 9, 1, 46, 40, tzinfo=dt.UTC), "nothing": None, "map": {"a": 1}}
    sql = "SELECT id, at, NULL AS nothing, map('a', 1) AS map FROM events WHERE id = {id:UInt64}"
    assert await tables.query(sql, {"id": 0}) == [expected]
    assert await tables.query(sql, {"id": 1}) == []
    assert (await tables.columns(sql, {"id": 1}))["at"] == []


def test_a_mistake_in_a_query_is_told_in_the_servers_words(store: ClickHouse) -> None:
    with pytest.raises(UsageError, match=r"^ClickHouse cannot run this: .*nowhere.*UNKNOWN_TABLE\)$"):
        store.query_rows("SELECT * FROM nowhere")


def test_a_read_gives_up_when_nobody_would_wait_longer(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "PATIENCE_S", 0.2)
    store = ClickHouse(settings(clickhouse_port=1))
    with pytest.raises(Unavailable, match=r"ClickHouse at 127\.0\.0\.1:1 does not answer"):
        store.query_rows("SELECT 1")
    assert store.availability.outage is not None
    store.close()


def test_results_can_be_streamed_in_clickhouses_formats(store: ClickHouse) -> None:
    csv = b"".join(store.stream("SELECT number AS n FROM numbers(100000)", "CSVWithNames"))
    assert csv.splitlines()[0] == b'"n"'
    assert len(csv.splitlines()) == 100_001


@pytest.mark.parametrize(
    ("code", "table", "expected"),
    [
        (None, "", Unavailable),
        (241, "events", Overloaded),
        (252, "events", Unavailable),
        (999, "events", Unavailable),
        (202, "", Unavailable),
        (516, "", SettingsError),
        (81, "", UsageError),
        (60, "events", UsageError),
        (60, "", UsageError),
        (62, "", UsageError),
        (53, "events", BrokenInvariant),
        (16, "events", BrokenInvariant),
    ],
)
def test_errors_are_told_apart_by_their_code(code: int | None, table: str, expected: type[DriftlineError]) -> None:
    error = OperationalError("Code: 1. DB::Exception: words (NAME)", code=code)
    assert type(explained(error, "ch:8123", "driftline", table)) is expected


SLOW = "SELECT number + sleepEachRow(0.1) AS id FROM numbers({n}) SETTINGS max_block_size = 1"


async def test_what_takes_too_long_beside_the_walk_is_stopped_at_once_and_no_outage(
    tables: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "MOST_STATEMENT_S", 0.2)
    told: list[tuple[str, str]] = []
    store = ClickHouse(tables.settings, on_retry=lambda *failed: told.append(failed))
    for work in (
        store.execute("INSERT INTO events (id) " + SLOW.format(n=30)),
        store.query(SLOW.format(n=30)),
        store.query(f"SELECT sum(id) AS n FROM ({SLOW.format(n=30)})"),
    ):
        with pytest.raises(Overloaded, match="not enough time"):
            async with asyncio.timeout(sink.PATIENCE_S / 2):  # it is not tried again
                await work
    assert told == []
    assert store.availability.outage is None
    store.close()


async def test_what_the_walk_or_a_person_waits_for_may_take_its_time(
    tables: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "MOST_STATEMENT_S", 0.2)
    rows, columns = await asyncio.gather(
        asyncio.to_thread(tables.query_rows, SLOW.format(n=5)), tables.columns(SLOW.format(n=5))
    )
    assert len(rows) == len(columns["id"]) == 5


def test_a_mistake_of_the_driver_is_no_outage() -> None:
    error = ProgrammingError("Setting async_insert is readonly")
    assert type(explained(error, "ch:8123", "driftline", "events")) is BrokenInvariant
    assert type(explained(error, "ch:8123", "driftline")) is UsageError


@pytest.mark.parametrize(("status", "expected"), [(502, Unavailable), (429, Unavailable), (404, SettingsError)])
def test_what_is_not_clickhouse_is_told_apart_by_its_status(status: int, expected: type[DriftlineError]) -> None:
    error = DatabaseError(f"HTTP driver received HTTP status {status}, server response: <html>")
    assert type(explained(error, "ch:8123", "driftline")) is expected
