"""The embedded ClickHouse is a ClickHouse: its ordinary client works, and what a server refuses is refused alike."""

from __future__ import annotations

import gzip
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.client import IncompleteRead
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

from driftline_streams.embedded.clickhouse import server_name, start_clickhouse
from driftline_streams.embedded.services import Services
from driftline_streams.errors import Unavailable

TABLE = """
CREATE TABLE events (id UInt64, at DateTime64(3), name LowCardinality(String), nums Map(String, Float64))
ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100
"""


@pytest.fixture
def client(clickhouse: Any) -> Iterator[Client]:
    """A client on a fresh database with an empty table `events`."""
    with clickhouse.client(clickhouse.database()) as client:
        client.command(TABLE)
        yield client


def rows(count: int) -> list[list[Any]]:
    return [[n, datetime.fromtimestamp(n / 1000, UTC), "äöü" if n % 2 else "b", {"x": float(n)}] for n in range(count)]


def stored(client: Client) -> int:
    return int(client.query("SELECT count() FROM events").result_rows[0][0])


def http(clickhouse: Any, body: bytes = b"", **given: Any) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of a plain request; without a body it is a GET."""
    headers = given.pop("headers", {})
    request = urllib.request.Request(
        f"http://{clickhouse.host}:{clickhouse.port}/?{urlencode(given)}", data=body or None, headers=headers
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            return response.status, response.read().decode(), dict(response.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers)


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_a_hundred_thousand_rows_come_back_as_they_went(clickhouse: Any, compress: bool | str) -> None:
    sent = rows(100_000)
    with clickhouse_connect.get_client(
        host=clickhouse.host, port=clickhouse.port, database=clickhouse.database(), compress=compress
    ) as client:
        client.command(TABLE)
        summary = client.insert("events", sent, column_names=["id", "at", "name", "nums"])
        assert summary.written_rows == 100_000
        back = client.query("SELECT * FROM events ORDER BY id", tz_mode="aware").result_rows
    assert [list(row) for row in back] == sent


def test_an_insert_with_a_token_that_was_seen_is_stored_once(client: Client) -> None:
    token = {"insert_deduplication_token": "predictions:0:1-10"}
    for _ in range(2):
        client.insert("events", rows(10), column_names=["id", "at", "name", "nums"], settings=token)
    assert stored(client) == 10
    client.insert(
        "events",
        rows(10),
        column_names=["id", "at", "name", "nums"],
        settings={"insert_deduplication_token": "predictions:0:11-20"},
    )
    assert stored(client) == 20


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_native_blocks_go_in_as_bytes(client: Client, compression: str | None) -> None:
    block = client.raw_query(
        "SELECT number id, now64(3) at, 'a' name, map('x', 1.5) nums FROM numbers(9)", fmt="Native"
    )
    body = gzip.compress(block) if compression else block
    client.raw_insert("events", ["id", "at", "name", "nums"], body, fmt="Native", compression=compression)
    assert client.query("SELECT count(), sum(nums['x']) FROM events").result_rows == [(9, 13.5)]


def test_parameters_and_settings_of_a_query_reach_the_engine(client: Client) -> None:
    odd = "it's \\ a\ttest\nä"
    assert client.query("SELECT {text:String}", parameters={"text": odd}).first_row == (odd,)
    many = [f"id-{n}" for n in range(5_000)]
    found = client.query("SELECT length({ids:Array(String)})", parameters={"ids": many})
    assert found.first_row == (5_000,)
    with pytest.raises(DatabaseError, match="TOO_MANY_ROWS"):
        client.query("SELECT number FROM numbers(100)", settings={"max_result_rows": 10})


def test_one_request_leaves_nothing_to_the_next(client: Client) -> None:
    client.query("SELECT 1", settings={"max_threads": 1})
    assert client.command("SELECT value != '1' FROM system.settings WHERE name = 'max_threads'") == 1


@pytest.mark.parametrize(
    ("sql", "code", "status"),
    [
        ("SELECT * FROM nowhere", "60", 404),
        ("SELECT 1 FROM no_such_database.t", "81", 404),
        ("SELEC 1", "62", 400),
        ("SELECT no_such_function(1)", "46", 404),
        ("SELECT throwIf(1)", "395", 500),
        ('INSERT INTO events FORMAT JSONEachRow {"id":nope}', "27", 400),
        ("SELECT 1; DROP TABLE events", "62", 400),
        ("SET max_threads = 1", "48", 501),
        ("CREATE TEMPORARY TABLE t (a UInt8)", "48", 501),
    ],
)
def test_what_fails_has_clickhouses_code_and_status(
    clickhouse: Any, client: Client, sql: str, code: str, status: int
) -> None:
    got, text, headers = http(clickhouse, sql.encode(), database=str(client.database))
    assert (got, headers["X-ClickHouse-Exception-Code"]) == (status, code)
    assert text.startswith(f"Code: {code}. DB::Exception: ")


def test_settings_that_do_not_exist_are_refused(clickhouse: Any) -> None:
    assert http(clickhouse, b"SELECT 1", no_such_setting="1")[0] == 404
    assert http(clickhouse, b"SELECT 1", **{"max_threads=1, readonly": "0"})[0] == 404


def test_a_link_can_ask_but_not_change(clickhouse: Any, client: Client) -> None:
    assert http(clickhouse, query="SELECT 1")[:2] == (200, "1\n")
    status, text, _ = http(clickhouse, query="DROP TABLE events", database=client.database)
    assert (status, "READONLY" in text) == (500, True)
    assert stored(client) == 0


def test_web_pages_and_unknown_users_are_turned_away(clickhouse: Any) -> None:
    assert http(clickhouse, b"SELECT 1", headers={"Origin": "https://example.com"})[0] == 403
    assert (
        http(clickhouse, b"SELECT 1", headers={"X-ClickHouse-User": "default", "X-ClickHouse-Key": "guess"})[0] == 403
    )
    assert http(clickhouse, b"SELECT 1", user="admin")[0] == 403


def test_external_tables_are_refused_with_the_way_out(client: Client) -> None:
    external = ExternalData(file_name="ids.csv", data=b"1\n2\n", fmt="CSV", structure="id UInt64")
    with pytest.raises(DatabaseError, match="pass an Array parameter"):
        client.query("SELECT * FROM ids", external_data=external)


def test_statements_with_quotes_comments_and_their_own_format(clickhouse: Any, client: Client) -> None:
    database = str(client.database)
    insert = "/* a; comment */ INSERT INTO events (id, name) VALUES (1, 'x; FORMAT CSV y') -- ; end"
    assert http(clickhouse, insert.encode(), database=database)[0] == 200
    asked = http(clickhouse, b"SELECT name FROM events WHERE name = 'x; FORMAT CSV y' FORMAT CSV", database=database)
    assert asked[:2] == (200, '"x; FORMAT CSV y"\n')
    assert asked[2]["X-ClickHouse-Format"] == "CSV"
    assert client.command("DESCRIBE TABLE events")
    assert "MergeTree" in str(client.command("SHOW CREATE TABLE events"))


def test_the_statement_may_be_in_the_address_and_the_data_in_the_body(clickhouse: Any, client: Client) -> None:
    query = "INSERT INTO `events` (id, name) SETTINGS insert_null_as_default = 1 FORMAT CSV"
    assert http(clickhouse, b"7,a\n8,b\n", query=query, database=client.database)[0] == 200
    assert client.query("SELECT id, name FROM events ORDER BY id").result_rows == [(7, "a"), (8, "b")]


def test_a_failure_in_the_middle_of_a_long_answer_is_not_taken_for_its_end(clickhouse: Any, client: Client) -> None:
    failing = "SELECT throwIf(number = 30000000) FROM numbers(40000000)"
    with pytest.raises(StreamFailureError, match="FUNCTION_THROW_IF"):
        _ = client.query(failing).result_rows
    with pytest.raises(IncompleteRead):
        http(clickhouse, failing.encode())


def test_a_truncated_body_stores_nothing(clickhouse: Any, client: Client) -> None:
    block = gzip.compress(b"".join(b"%d,name\n" % n for n in range(50_000)))
    query = {"query": "INSERT INTO events (id, name) FORMAT CSV", "database": client.database}
    status, text, _ = http(clickhouse, block[:-100], headers={"Content-Encoding": "gzip"}, **query)
    assert (status, "ended before" in text) == (400, True)
    assert stored(client) == 0
    assert http(clickhouse, block, headers={"Content-Encoding": "gzip"}, **query)[0] == 200
    assert stored(client) == 50_000


def test_what_the_table_refuses_is_not_answered_as_stored(client: Client) -> None:
    client.command("ALTER TABLE events ADD CONSTRAINT positive CHECK id > 0")
    with pytest.raises(DatabaseError, match="VIOLATED_CONSTRAINT"):
        client.raw_insert("events", ["id"], b"5\n0\n", fmt="CSV")
    assert stored(client) == 0


def test_a_client_that_dies_while_it_inserts_stores_nothing(
    clickhouse: Any, client: Client, eventually: Callable[..., Any]
) -> None:
    query = urlencode({"query": "INSERT INTO events (id, name) FORMAT CSV", "database": client.database})
    with socket.create_connection((clickhouse.host, clickhouse.port)) as connection:
        head = f"POST /?{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n"
        connection.sendall(head.encode() + b"1,name\n" * 300_000)
        # The engine works on it before the connection is cut.
        eventually(lambda: client.query("SELECT count() FROM system.processes").result_rows[0][0] >= 1)
    eventually(lambda: client.query("SELECT count() FROM system.processes").result_rows[0][0] <= 1)
    assert stored(client) == 0


def test_queries_are_answered_while_rows_arrive(clickhouse: Any, client: Client) -> None:
    stop = threading.Event()
    failures: list[Exception] = []

    def insert(offset: int) -> None:
        try:
            with clickhouse.client(client.database) as own:
                for n in range(5):
                    own.insert(
                        "events",
                        [[offset + n, datetime.now(UTC), "a", {}]] * 2_000,
                        column_names=["id", "at", "name", "nums"],
                    )
        except Exception as error:
            failures.append(error)

    def ask() -> None:
        try:
            with clickhouse.client(client.database) as own:
                while not stop.is_set():
                    assert int(own.command("SELECT count() FROM events")) % 2_000 == 0
        except Exception as error:
            failures.append(error)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    inserting = [threading.Thread(target=insert, args=(n * 100,)) for n in range(3)]
    for thread in [*asking, *inserting]:
        thread.start()
    for thread in inserting:
        thread.join()
    stop.set()
    for thread in asking:
        thread.join()
    assert failures == []
    assert stored(client) == 30_000


def test_acknowledged_rows_survive_kill_9_on_the_same_port(own: Services) -> None:
    before = own.clickhouse_port
    with clickhouse_connect.get_client(host=own.clickhouse_host, port=before) as client:
        client.command("CREATE DATABASE kept ENGINE = Atomic")
        client.command(TABLE.replace("events", "kept.events"))
        client.insert("kept.events", rows(1000), column_names=["id", "at", "name", "nums"])

        own.clickhouse.kill()
        own.clickhouse.restart()

        assert own.clickhouse_port == before
        assert client.command("SELECT count() FROM kept.events") == 1000, "the old client finds it again"


def test_a_port_that_somebody_took_meanwhile_is_left_to_them(tmp_path: Path) -> None:
    first = start_clickhouse(tmp_path)
    first.process.stop()
    with socket.create_server(("127.0.0.1", first.port)):
        second = start_clickhouse(tmp_path)
        try:
            assert second.port != first.port
            assert str(server_name(second.port)).startswith("driftline-")
        finally:
            second.process.stop()
    assert not second.process.alive()


def test_two_engines_on_one_directory_are_refused_with_the_reason(own: Services) -> None:
    with pytest.raises(Unavailable, match="another process works on"):
        start_clickhouse(own.data_dir / "clickhouse")
    assert server_name(own.clickhouse_port), "the first one goes on"


def test_times_are_utc_wherever_the_machine_is(client: Client) -> None:
    assert client.command("SELECT timezone()") == "UTC"
