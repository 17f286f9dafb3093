"""The ledger holds for what is right, and names the first thing that is wrong, whatever it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from driftline_streams.settings import Settings
from driftline_streams.sinks.account import check
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.ledger import Ledger, Position
from driftline_streams.sinks.migrations import migrate

NOW_MS = int(time.time() * 1000)
HOUR_MS = 3_600_000
Positions = dict[tuple[str, int], Position]


class Books:
    """A small pipeline's rows: 100 predictions on two partitions, of which 3 were rejected, and labels for some."""

    def __init__(self, store: ClickHouse) -> None:
        self.store = store
        self.seconds = NOW_MS // 1000 - 3600
        self.predictions = f"{store.settings.topic_prefix}.predictions"
        self.labels = f"{store.settings.topic_prefix}.labels"
        self.insert_predictions(0, range(58))
        self.reject(self.predictions, 0, 58, 59)
        self.insert_predictions(1, range(1000, 1039))
        self.reject(self.predictions, 1, 1039)
        self.window(97)
        self.insert_labels(0, range(20))
        self.insert_outcomes(range(20))
        self.reject(self.labels, 0, 20)
        self.positions: Positions = {
            (self.predictions, 0): Position(0, 60, 60),
            (self.predictions, 1): Position(1000, 1040, 1040),
            (self.labels, 0): Position(0, 21, 21),
        }

    def run(self, sql: str) -> None:
        self.store.command(sql)

    def insert_predictions(
        self,
        partition: int,
        places: range,
        *,
        status: str = "ok",
        at_ms: int = NOW_MS,
        taken_ms: int = NOW_MS - HOUR_MS,
    ) -> None:
        self.run(
            "INSERT INTO predictions (prediction_id, model, version, timestamp, status, topic, partition, offset, "
            f"ingested_at) SELECT concat('{partition}-', toString(number)), 'm', '1', "
            f"fromUnixTimestamp64Milli({at_ms}), '{status}', '{self.predictions}', {partition}, number, "
            f"fromUnixTimestamp64Milli({taken_ms}) FROM numbers({places.start}, {len(places)})"
        )

    def a_second(self) -> int:
        """Unix time, another each time: without a token, ClickHouse drops an insert that is like an earlier one."""
        self.seconds += 1
        return self.seconds

    def reject(self, topic: str, partition: int, *places: int) -> None:
        for place in places:
            self.run(
                "INSERT INTO rejected (topic, partition, offset, rejected_at) "
                f"VALUES ('{topic}', {partition}, {place}, {self.a_second()})"
            )

    def window(self, n: int, dim: str = "") -> None:
        self.run(
            "INSERT INTO windows (model, version, window, width_s, dim, value, n) "
            f"VALUES ('m', '1', {self.a_second()}, 10, '{dim}', 'x', {n})"
        )

    def insert_labels(self, partition: int, places: range, *, prefix: str = "0-", taken_ms: int = NOW_MS) -> None:
        self.run(
            "INSERT INTO labels (prediction_id, model, label, timestamp, topic, partition, offset, ingested_at) "
            f"SELECT concat('{prefix}', toString(number)), 'm', 'true', fromUnixTimestamp64Milli({NOW_MS}), "
            f"'{self.labels}', {partition}, number, fromUnixTimestamp64Milli({taken_ms}) "
            f"FROM numbers({places.start}, {len(places)})"
        )

    def insert_outcomes(self, places: range, *, label_ms: int = NOW_MS) -> None:
        self.run(
            "INSERT INTO outcomes (prediction_id, model, version, timestamp, label_timestamp, precedence) "
            f"SELECT concat('0-', toString(number)), 'm', '1', fromUnixTimestamp64Milli({NOW_MS}), "
            f"fromUnixTimestamp64Milli({label_ms}), bitOr(bitShiftLeft(toUInt128({label_ms}), 68), "
            f"toUInt128(number)) FROM numbers({places.start}, {len(places)})"
        )

    def delete(self, table: str, condition: str) -> None:
        self.run(f"ALTER TABLE {table} DELETE WHERE {condition} SETTINGS mutations_sync = 2")

    def move(self, topic: str, partition: int, **changes: Any) -> None:
        key = (topic, partition)
        self.positions[key] = replace(self.positions[key], **changes)

    def check(self) -> Ledger:
        return check(self.store, self.positions, join_within_s=0)


@pytest.fixture(scope="module")
def tables(clickhouse: Any) -> Iterator[ClickHouse]:
    given: dict[str, Any] = {"clickhouse_host": clickhouse.host, "clickhouse_port": clickhouse.port}
    store = ClickHouse(Settings(**given, clickhouse_database=clickhouse.database()))
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def books(tables: ClickHouse) -> Books:
    for table in ("predictions", "rejected", "windows", "labels", "outcomes", "models"):
        tables.command(f"TRUNCATE TABLE {table}")
    return Books(tables)


def test_what_is_right_holds(books: Books) -> None:
    found = books.check()
    assert found.discrepancy == ""
    assert found.holds
    assert [(line.read, line.stored, line.rejected) for line in found.lines] == [(60, 58, 2), (40, 39, 1), (21, 20, 1)]
    assert (found.windows.counted, found.windows.stored) == (97, 97)
    assert (found.labels.stored, found.labels.joined) == (20, 20)


def test_an_empty_pipeline_holds(store: ClickHouse) -> None:
    migrate(store)
    prefix = store.settings.topic_prefix
    assert check(store, {(f"{prefix}.{name}", 0): Position(0, 0, 0) for name in ("predictions", "labels")}).holds


def test_no_pipeline_at_all_does_not_hold(store: ClickHouse) -> None:
    migrate(store)
    assert "driftline topics" in check(store, {}).discrepancy
    topic = f"{store.settings.topic_prefix}.predictions"
    assert check(store, {(topic, 0): Position(0, 0, 7)}).holds


def missing(books: Books) -> None:
    books.delete("predictions", "partition = 1 AND offset = 1017")


def short_and_missing(books: Books) -> None:
    books.delete("predictions", "partition = 1 AND offset = 1017")
    books.delete("windows", "1")
    books.window(96)


BROKEN: list[tuple[Callable[[Books], None], str]] = [
    (missing, "predictions:1: 1 of 40 events are missing, the first at offset 1017"),
    (short_and_missing, "predictions:1: 1 of 40 events are missing, the first at offset 1017"),
    (lambda b: b.insert_predictions(0, range(7, 8)), "predictions:0: offset 7 is stored 2 times"),
    (lambda b: b.reject(b.predictions, 0, 58), "predictions:0: offset 58 is rejected 2 times"),
    (lambda b: b.reject(b.predictions, 1, 1003), "predictions:1: offset 1003 is stored and rejected 2 times"),
    (lambda b: b.delete("rejected", "partition = 0 AND offset = 59"), "predictions:0: 1 of 60 events are missing"),
    (lambda b: b.move(b.predictions, 0, gaps=((3, 3),)), "are more than the 60 that were read"),
    (lambda b: b.move(b.predictions, 0, committed=50, end=50), "predictions:0 ends at 50, but 10 events beyond"),
    (lambda b: b.insert_predictions(5, range(1)), "predictions:5 is not on the broker, but 1 of its events"),
    (lambda b: b.window(1), "the windows sum up to 98 events, stored are 97"),
    (lambda b: b.delete("windows", "1"), "the windows sum up to 0 events, stored are 97"),
    (lambda b: b.delete("labels", "offset = 3"), "labels:0: 1 of 21 events are missing, the first at offset 3"),
    (lambda b: b.delete("outcomes", "prediction_id = '0-4'"), "1 labels have no outcome"),
    (lambda b: b.insert_outcomes(range(55, 56)), "1 outcomes have no label"),
]


@pytest.mark.parametrize(("damage", "complaint"), BROKEN, ids=[complaint for _, complaint in BROKEN])
def test_what_is_wrong_is_named(books: Books, damage: Callable[[Books], None], complaint: str) -> None:
    damage(books)
    found = books.check()
    assert not found.holds
    assert complaint in found.discrepancy


def frame(books: Books, place: int, positions: range, size: int, *, rejected: bool = False) -> None:
    """Rows of a frame at an offset of the first partition."""
    columns = "topic, partition, offset, position, frame_size"
    values = f"'{books.predictions}', 0, {place}, number, {size} FROM numbers({positions.start}, {len(positions)})"
    if rejected:
        books.run(f"INSERT INTO rejected ({columns}, rejected_at) SELECT {values[: values.index(' FROM')]}, "
                  f"{books.a_second()}{values[values.index(' FROM'):]}")  # fmt: skip
        return
    books.run(
        f"INSERT INTO predictions ({columns}, prediction_id, model, version, timestamp, status, ingested_at) SELECT "
        f"{values[: values.index(' FROM')]}, concat('f{place}-', toString(number)), 'm', '1', "
        f"fromUnixTimestamp64Milli({NOW_MS}), 'ok', {books.a_second()}{values[values.index(' FROM') :]}"
    )


@pytest.fixture
def framed(books: Books) -> Books:
    """Offsets 60 and 61 hold a frame of 100 events each, of which 3 were rejected."""
    frame(books, 60, range(100), 100)
    frame(books, 61, range(97), 100)
    frame(books, 61, range(97, 100), 100, rejected=True)
    books.window(197)
    books.move(books.predictions, 0, committed=62, end=62)
    return books


def test_frames_have_many_events_at_one_offset(framed: Books) -> None:
    found = framed.check()
    assert found.discrepancy == ""
    line = found.lines[0]
    assert (line.read, line.messages, line.stored, line.rejected, line.largest) == (62, 62, 58 + 197, 5, 100)


def beyond(books: Books) -> None:
    books.delete("predictions", "offset = 60 AND position = 7")
    frame(books, 60, range(100, 101), 100)


def exchanged(books: Books) -> None:
    books.delete("predictions", "offset = 60 AND position = 7")
    frame(books, 60, range(8, 9), 100)


TORN: list[tuple[Callable[[Books], None], str]] = [
    (lambda b: b.delete("predictions", "offset = 60 AND position = 7"), "offset 60 has 99 rows of the 100 events"),
    (lambda b: b.delete("rejected", "offset = 61 AND position = 97"), "offset 61 has 99 rows of the 100 events"),
    (lambda b: frame(b, 60, range(3, 4), 100), "offset 60, position 3, is stored 2 times"),
    (lambda b: frame(b, 60, range(3, 4), 100, rejected=True), "offset 60, position 3, is stored and rejected 2 times"),
    (lambda b: frame(b, 60, range(1), 1), "offset 60, position 0, is stored 2 times"),
    (lambda b: b.delete("predictions", "offset = 60"), "1 of 62 events are missing, the first at offset 60"),
    (beyond, "offset 60 has 100 rows of the 100 events"),
    (exchanged, "offset 60, position 8, is stored 2 times"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "complaint"), TORN, ids=[complaint for _, complaint in TORN])
def test_what_is_wrong_with_a_frame_is_named(framed: Books, damage: Callable[[Books], None], complaint: str) -> None:
    damage(framed)
    found = framed.check()
    assert complaint in found.discrepancy
    assert found.lines[0].wrong


def test_a_row_lost_behind_one_doubled_is_found_although_the_counts_agree(books: Books) -> None:
    books.delete("predictions", "partition = 0 AND offset = 30")
    books.insert_predictions(0, range(31, 32))
    assert "offset 31 is stored 2 times" in books.check().discrepancy


def test_gaps_are_not_missing(books: Books) -> None:
    books.move(books.predictions, 1, committed=1042, end=1042, gaps=((1040, 1041),))
    assert books.check().holds


def test_a_batch_in_flight_is_ahead_and_not_wrong(books: Books) -> None:
    books.move(books.predictions, 0, end=80)
    books.insert_predictions(0, range(60, 70))
    found = books.check()  # stored, its windows not yet
    assert found.holds
    assert found.lines[0].ahead == 10
    books.window(20)  # the windows of the whole batch, half of its rows
    assert books.check().holds
    books.window(1)  # one more than the topic has
    assert not books.check().holds


def test_what_was_produced_and_stored_after_the_offsets_were_read_is_not_wrong(books: Books) -> None:
    books.insert_predictions(0, range(60, 70), taken_ms=int(time.time() * 1000))
    books.window(10)
    assert books.check().holds


def test_segments_are_not_counted_twice(books: Books) -> None:
    books.window(97, dim="country")
    assert books.check().holds


def test_events_that_kafka_no_longer_has_are_left_out(books: Books) -> None:
    books.move(books.predictions, 0, begin=10)
    found = books.check()
    assert found.holds
    assert found.lines[0].stored == 48


def test_each_label_has_one_fate(books: Books) -> None:
    books.insert_predictions(0, range(60, 70), status="error")
    books.insert_predictions(0, range(70, 80), at_ms=NOW_MS - 40 * 24 * HOUR_MS)
    books.window(20)
    books.move(books.predictions, 0, committed=80, end=80)
    books.delete("predictions", "partition = 0 AND offset IN (58, 59)")
    books.insert_labels(0, range(21, 23), prefix="nobody ")
    books.insert_labels(0, range(23, 26), prefix="nobody ", taken_ms=NOW_MS - 31 * 24 * HOUR_MS)
    books.insert_labels(0, range(60, 64))  # of predictions that failed
    books.insert_labels(0, range(70, 75))  # of predictions beyond the horizon
    books.move(books.labels, 0, committed=75, end=75, gaps=((26, 59), (64, 69)))
    found = books.check()
    assert found.discrepancy == ""
    labels = found.labels
    assert (labels.stored, labels.joined, labels.unanswered) == (34, 20, 4)
    assert (labels.waiting, labels.orphaned) == (2 + 5, 3)


def test_a_spec_sets_the_horizon(books: Books) -> None:
    books.run(
        "INSERT INTO models (model, version, kind, record, offset) "
        """VALUES ('m', '', 'spec', '{"model": "m", "label_horizon_s": 3600}', 1)"""
    )
    books.insert_labels(0, range(21, 22), prefix="nobody ", taken_ms=NOW_MS - 2 * HOUR_MS)
    books.move(books.labels, 0, committed=22, end=22)
    assert books.check().labels.orphaned == 1


def test_a_label_just_taken_in_may_still_be_joined(books: Books) -> None:
    books.delete("outcomes", "prediction_id = '0-4'")
    found = check(books.store, books.positions)
    assert found.holds
    assert found.labels.waiting == 1


def test_a_corrected_label_is_joined_by_its_correction(books: Books) -> None:
    books.insert_outcomes(range(4, 5), label_ms=NOW_MS + 1000)
    books.delete("outcomes", f"prediction_id = '0-4' AND label_timestamp = fromUnixTimestamp64Milli({NOW_MS})")
    found = books.check()
    assert found.labels.joined == 20
    assert found.labels.unfounded == 1  # the correction itself is not stored as a label


def test_what_a_ttl_deleted_is_told_of_and_what_else_is_missing_is_found(books: Books) -> None:
    old = NOW_MS - 100 * 24 * HOUR_MS
    books.insert_predictions(0, range(60, 70), at_ms=old)
    books.run(
        f"INSERT INTO windows (model, version, window, width_s, n) VALUES ('m', '1', {old // 10_000 * 10}, 10, 10)"
    )
    books.move(books.predictions, 0, committed=70, end=70)
    assert books.check().holds
    books.run("ALTER TABLE predictions MODIFY TTL toDateTime(timestamp) + INTERVAL 90 DAY SETTINGS mutations_sync = 2")
    try:
        books.run("ALTER TABLE predictions MATERIALIZE TTL SETTINGS mutations_sync = 2")
        found = books.check()
        assert (found.discrepancy, found.lines[0].deleted) == ("", 10)
        books.delete("predictions", "partition = 0 AND offset = 30")
        assert "1 of 70 events are missing, the first at offset 30" in books.check().discrepancy
    finally:
        books.run("ALTER TABLE predictions REMOVE TTL")


def test_what_was_lost_is_told_of_and_breaks_no_sum(books: Books) -> None:
    books.run(
        "INSERT INTO rejected (topic, partition, offset, n, reason, rejected_at) "
        f"VALUES ('{books.predictions}', 1, 400, 600, 'lost', {books.a_second()})"
    )
    found = books.check()
    assert found.holds
    assert [line.lost for line in found.lines] == [0, 600, 0]


def test_a_recent_account_finds_what_is_wrong_lately_and_reads_nothing_else(books: Books) -> None:
    long_ago = NOW_MS - 30 * 24 * HOUR_MS
    books.insert_predictions(0, range(60, 70), at_ms=long_ago)
    books.move(books.predictions, 0, begin=20, committed=70, end=70)

    def recent() -> Ledger:
        return check(books.store, books.positions, join_within_s=0, recent=True)

    assert books.check().windows.wrong == 10
    found = recent()
    assert found.discrepancy == ""
    assert [line.stored for line in found.lines] == [48, 39, 20]
    books.delete("predictions", "partition = 0 AND offset = 19")
    books.delete("outcomes", "prediction_id = '0-4'")
    assert recent().labels.overdue == 1
    books.delete("predictions", "partition = 0 AND offset = 20")
    assert recent().lines[0].wrong == 1
