"""The views of bad data count what is there, and no more."""

from __future__ import annotations

import pytest

from driftline_streams.kernel.catalog import Catalog
from driftline_streams.performance.cohorts import Cohorts
from driftline_streams.sinks.clickhouse import ClickHouse


async def test_issues_are_counted_by_day_segment_and_signal(database: ClickHouse) -> None:
    database.command(
        "INSERT INTO features (model, version, window, width_s, dim, value, n, issues) VALUES"
        " ('m', '1', '2025-01-01 00:00:00', 300, '', '', 60, {'mistyped\x1ffeature:x': 2, 'duplicate': 3}),"
        " ('m', '1', '2025-01-01 23:55:00', 300, '', '', 40, {'mistyped\x1ffeature:x': 3}),"
        " ('m', '1', '2025-01-01 23:55:00', 300, 'c', 'DE', 10, {'outside\x1ffeature:a b': 1}),"
        " ('m', '1', '2025-01-02 00:00:00', 300, '', '', 10, {})"
    )
    rows = await database.query("SELECT * EXCEPT (model, version, day) FROM quality_daily ORDER BY ALL")
    assert [tuple(row.values()) for row in rows] == [
        ("", "", "duplicate", "", 100, 3, 0.03),
        ("", "", "mistyped", "feature:x", 100, 5, 0.05),
        ("c", "DE", "outside", "feature:a b", 10, 1, 0.1),
    ]


async def test_an_id_counts_as_duplicate_in_whichever_batch_it_comes(database: ClickHouse) -> None:
    for place, ids in enumerate((("a", "b"), ("a", "c"), ("a", "d"))):
        values = ", ".join(f"('{id_}', 'm', '{place}', '2025-01-01 00:00:00')" for id_ in ids)
        database.command(f"INSERT INTO predictions (prediction_id, model, version, timestamp) VALUES {values}")
    (row,) = await database.query(
        "SELECT n, distinct, duplicates, share FROM duplicate_ids_daily WHERE day = '2025-01-01'"
    )
    assert list(row.values()) == [6, 4, 2, pytest.approx(1 / 3)]


async def test_confident_answers_that_were_wrong_are_counted_with_their_interval(database: ClickHouse) -> None:
    cases = [(1, 1, 0.99), (1, 0, 0.97), (0, 0, 0.01), (0, 1, 0.2), (1, 0, 0.6), (1, 1, 0.95)]
    values = ", ".join(
        f"('binary', 'p{i}', 'm', '1', 'champion', '2025-01-01 00:00:00', '2025-01-02', {said}, {true}, {score})"
        for i, (said, true, score) in enumerate(cases)
    )
    database.command(
        "INSERT INTO outcomes (kind, prediction_id, model, version, role, timestamp, label_timestamp,"
        f" predicted_positive, positive, score) VALUES {values},"
        " ('binary', 'q', 'm', '1', 'champion', '2025-01-01 00:00:00', '2025-01-02', 1, 0, NULL)"
    )
    await Cohorts(Catalog(), database.query, database.execute)()
    (row,) = await database.query("SELECT * FROM confident_and_wrong_daily")
    assert (row["n"], row["confident"], row["wrong"], row["share"]) == (6, 4, 1, 0.25)
    assert (row["share_low"], row["share_high"]) == (pytest.approx(0.0456, abs=1e-3), pytest.approx(0.6994, abs=1e-3))
