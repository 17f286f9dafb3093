"""How the tables lie on the disk: questions that people and workers ask often do not read what they do not need."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.client import Client

N = 240_000  # rows, 30 granules and more
START = "toDateTime64('2026-03-01 10:00:00', 3, 'UTC')"
MINUTE = f"timestamp >= {START} + 600 AND timestamp < {START} + 660"


@pytest.fixture
def stored(migrated: Client) -> Client:
    """An hour of two models, read from four partitions, merged into one part."""
    migrated.command(
        "INSERT INTO predictions (prediction_id, model, timestamp, partition, offset) "
        f"SELECT toString(number), ['a', 'b'][1 + intDiv(number, 4) % 2], {START} + number * 3600 / {N}, number % 4, "
        f"intDiv(number, 4) FROM numbers({N})"
    )
    migrated.command("OPTIMIZE TABLE predictions FINAL")
    return migrated


@pytest.mark.parametrize(
    ("where", "found", "granules"),
    [
        pytest.param(f"model = 'a' AND {MINUTE}", N // 120, 8, id="a minute of a model"),
        pytest.param("partition = 1 AND offset >= 49000 AND offset < 49200", 200, 4, id="offsets of a partition"),
        pytest.param("model = 'b' AND prediction_id = '4'", 1, 4, id="a prediction by its id"),
    ],
)
def test_a_question_reads_only_the_granules_around_its_answer(
    stored: Client, where: str, found: int, granules: int
) -> None:
    question = f"SELECT prediction_id FROM predictions WHERE {where}"
    assert len(stored.query(question).result_rows) == found
    (estimate,) = stored.query(f"EXPLAIN ESTIMATE {question}").named_results()
    assert estimate["marks"] <= granules
