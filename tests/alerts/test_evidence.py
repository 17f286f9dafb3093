"""The query of an alert returns the rows behind it, on the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from driftline_schemas.records import Detection
from driftline_schemas.spec import FeatureSpec, ModelSpec
from driftline_streams.alerts.evidence import query, quoted
from driftline_streams.reference.build import build

from .findings import HOUR, START, drift, finding

SPEC = ModelSpec(model="flights", features={"carrier": FeatureSpec(type="categorical")})


@pytest.fixture(scope="module")
def client(clickhouse: Any) -> Iterator[Client]:
    """A database with the contract's tables and five predictions, one of them outside of the window."""
    database = clickhouse.database()
    with clickhouse.client(database) as made:
        for statement in tables():
            made.command(statement)
        made.command(
            "INSERT INTO predictions"
            " (prediction_id, model, version, timestamp, latency_ms, status, error_type, prediction, score, nums, cats)"
            " VALUES "
            "('a', 'flights', '1', '2013-06-01 00:10:00', 50, 'ok', '', 'x', 0.7, {'distance': 10}, {'carrier': 'UA'}),"
            "('b', 'flights', '1', '2013-06-01 00:20:00', 150, 'ok', '', 'late', 0.6, {'distance': 200}, {}),"
            "('c', 'flights', '1', '2013-06-01 00:30:00', 170, 'error', 'Timeout', '', NULL, {}, {'carrier': 'AA'}),"
            "('d', 'flights', '1', '2013-06-01 01:00:00', 900, 'error', 'Timeout', '', NULL, {'distance': 1}, {}),"
            "('e', 'flights', '2', '2013-06-01 00:30:00', 900, 'error', 'Timeout', '', NULL, {'distance': 1}, {})"
        )
        made.command(
            "INSERT INTO outcomes"
            " (prediction_id, model, version, timestamp, label_timestamp, prediction, label) VALUES "
            "('a', 'flights', '1', '2013-06-01 00:10:00', '2013-06-01 05:00:00', 'late', 'late'),"
            "('b', 'flights', '1', '2013-06-01 00:20:00', '2013-06-01 05:00:00', 'late', 'on time')"
        )
        yield made


def tables() -> list[str]:
    from importlib.resources import files

    text = files("driftline_schemas").joinpath("sql", "001_tables.sql").read_text()
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return [statement for statement in bare.split(";\n") if statement.strip()]


def rows(client: Client, found: Detection) -> list[str]:
    reference = build("flights", "1", {"feature:distance": [1.0]}, n=1, start_ms=0, end_ms=1)
    return [str(row[0]) for row in client.query(query(found, SPEC, reference)).result_rows]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (finding(), ["c", "b"]),  # over the objective, slowest first
        (finding(signal="error_rate"), ["c"]),
        (finding(kind="change"), ["a", "b", "c"]),
        (finding(kind="change", signal="score"), ["a", "b"]),
        (drift(signal="prediction"), ["a", "b", "c"]),
        (drift("distance"), ["a", "b"]),
        (drift("carrier"), ["a", "c"]),
        (drift("nobody's \\ feature", before=None), []),
        (finding(kind="performance", signal="f1"), ["b"]),
    ],
    ids=lambda value: f"{value.kind}-{value.signal}" if isinstance(value, Detection) else "",
)
def test_the_query_returns_the_events_of_the_finding(client: Client, found: Detection, expected: list[str]) -> None:
    assert rows(client, found) == expected


def test_a_feature_of_unknown_kind_is_looked_for_in_both_maps(client: Client) -> None:
    text = query(drift("carrier", before=None), ModelSpec(model="flights"), None)
    assert client.query(text).result_rows[0][2] == "UA"


@pytest.mark.parametrize("name", ["it's", "back\\slash", "'; DROP TABLE predictions; --"])
def test_names_are_quoted_whatever_they_hold(client: Client, name: str) -> None:
    assert client.query(f"SELECT {quoted(name)}").result_rows == [(name,)]
    assert rows(client, finding(model=name)) == []


def test_a_query_is_bounded_by_the_window_to_the_millisecond() -> None:
    text = query(finding(start_ms=START + 1, end_ms=START + HOUR), SPEC, None)
    assert "timestamp >= toDateTime64('2013-06-01 00:00:00.001', 3, 'UTC')" in text
    assert "timestamp < toDateTime64('2013-06-01 01:00:00.000', 3, 'UTC')" in text
    assert text.endswith("LIMIT 1000")
