"""The query of an alert returns the rows behind it, on the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from driftline_schemas.records import Detection
from driftline_schemas.spec import FeatureSpec, ModelSpec
from driftline_streams.alerts.evidence import query, quoted
from driftline_streams.reference.build import build

from .findings import DAY, HOUR, START, drift, finding, quality, verdict

SPEC = ModelSpec(
    model="flights", features={"carrier": FeatureSpec(type="categorical"), "seats": FeatureSpec(min=50, max=500)}
)


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
    known: dict[str, Any] = {"feature:distance": [1.0], "feature:carrier": ["AA"], "prediction": ["x"]}
    reference = build("flights", "1", known, n=1, start_ms=0, end_ms=1)
    return [str(row[0]) for row in client.query(query(found, SPEC, reference)).result_rows]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (finding(), ["c", "b"]),  # over the objective, slowest first
        (finding(signal="error_rate"), ["c"]),
        (finding(kind="change"), ["a", "b", "c"]),
        (finding(kind="change", signal="score"), ["a", "b"]),
        (drift(signal="prediction"), ["a", "b", "c"]),
        (drift(signal="label"), ["a", "b"]),
        (drift("distance"), ["a", "b"]),
        (drift("carrier"), ["a", "c"]),
        (drift(signal="features", method="correlation"), ["a", "b", "c"]),
        (drift(method="nulls"), ["c"]),
        (drift(signal="score", method="nulls"), ["c"]),
        (drift("carrier", method="unseen"), ["a"]),  # the reference has AA
        (drift(signal="prediction", method="unseen"), ["b", "c"]),  # and x
        (drift("nobody's \\ feature", before=None), []),
        (finding(kind="performance", signal="f1"), ["b"]),
        (quality("confident", "confidence", start_ms=START + 5 * HOUR, end_ms=START + 6 * HOUR), ["b"]),
        (finding(kind="change", signal="error", start_ms=START + 5 * HOUR, end_ms=START + 6 * HOUR), ["b"]),
        (quality("confident", "confidence"), []),  # its labels came later
    ],
    ids=lambda value: f"{value.kind}-{value.signal}" if isinstance(value, Detection) else "",
)
def test_the_query_returns_the_events_of_the_finding(client: Client, found: Detection, expected: list[str]) -> None:
    assert rows(client, found) == expected


@pytest.fixture(scope="module")
def bad(client: Client) -> Client:
    """The same, with five events of bad data; two of them have one id."""
    client.command(
        "INSERT INTO predictions"
        " (prediction_id, model, version, timestamp, status, prediction, probabilities, nums, cats, segment) VALUES "
        "('k', 'quality', '1', '2013-06-01 00:01:00', 'ok', 'x', {}, {'seats': 10}, {}, {'airport': 'JFK'}),"
        "('k', 'quality', '1', '2013-06-01 00:02:00', 'ok', 'x', {}, {'seats': 100}, {}, {'airport': 'JFK'}),"
        "('l', 'quality', '1', '2013-06-01 00:03:00', 'ok', 'x', {'x': 0.5, 'y': 0.1}, {'seats': 999}, {}, {}),"
        "('m', 'quality', '1', '2013-06-01 00:04:00', 'ok', 'x', {'x': 0.5, 'y': 0.5}, {'seats': nan}, {}, {}),"
        "('n', 'quality', '1', '2013-06-01 00:05:00', 'ok', 'x', {}, {}, {'seats': 'many'}, {'airport': 'EWR'})"
    )
    return client


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (quality("vanished", "feature:seats"), ["m"]),
        (drift("seats", method="nulls"), ["m"]),
        (quality("new", "feature:seats"), ["k", "k", "l", "m", "n"]),
        (quality("outside", "feature:seats"), ["k", "l"]),
        (quality("outside", "feature:unknown"), []),
        (quality("outside", "feature:seats", direction="up"), ["k", "l"]),
        (quality("constant", "feature:seats"), ["k", "k", "l", "m", "n"]),
        (quality("duplicate", "prediction_id"), ["k", "k"]),
        (quality("improper", "prediction"), ["l"]),
        (quality("skew", "features"), ["k", "k", "l", "m", "n"]),
        (quality("volume", "volume"), ["k", "k", "l", "m", "n"]),
        (quality("silent", "volume", start_ms=START + HOUR, end_ms=START + DAY), ["n", "m", "l", "k", "k"]),
        (quality("speaking", "volume", start_ms=START - HOUR, end_ms=START), []),
        (quality("constant", "feature:seats", dim="airport", value="JFK"), ["k", "k"]),
        (quality("duplicate", "prediction_id", dim="airport", value="EWR"), []),
        (quality("constant", "feature:seats", dim="airport", value="other"), ["k", "k", "n"]),
    ],
    ids=lambda value: f"{value.method}-{value.signal}-{value.value}" if isinstance(value, Detection) else "",
)
def test_the_query_returns_the_events_with_bad_data(bad: Client, found: Detection, expected: list[str]) -> None:
    of_model = msgspec.structs.replace(found, model="quality")
    assert [str(row[0]) for row in bad.query(query(of_model, SPEC, None)).result_rows] == expected


@pytest.fixture(scope="module")
def paired(client: Client) -> Client:
    """The same, with four requests that a champion and a challenger have answered, and one of numbers."""
    at = "'2013-06-01 00:00:00', '2013-06-01 05:00:00'"
    client.command(
        "INSERT INTO outcomes (prediction_id, model, version, role, kind, timestamp, label_timestamp, request_id,"
        " prediction, label, predicted_positive, positive, prediction_value, label_value, segment) VALUES "
        + ", ".join(
            f"('{id_}', 'pairs', '{version}', '{role}', 'binary', {at}, '{request}', '', '', {said}, 1, NULL, NULL,"
            f" {{'sex': '{id_[0]}'}})"
            for id_, version, role, request, said in (
                *(("c1", "1", "champion", "r1", 1), ("c2", "1", "champion", "r2", 0), ("c3", "1", "champion", "r3", 1)),
                *(("d1", "2", "challenger", "r1", 1), ("d2", "2", "challenger", "r2", 1)),
                *(("d3", "2", "challenger", "r3", 0), ("s3", "2", "shadow", "r3", 0), ("d4", "2", "challenger", "", 0)),
            )
        )
    )
    client.command(
        "INSERT INTO outcomes (prediction_id, model, version, role, kind, timestamp, label_timestamp, request_id,"
        f" prediction_value, label_value) SELECT x.1, 'numbers', x.2, x.3, 'regression', {at}, 'r', x.4, 1 FROM (SELECT"
        " arrayJoin([('c', '1', 'champion', 1.), ('d', '2', 'challenger', 2.), ('e', '2', 'challenger', 5.)]) AS x)"
    )
    return client


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (verdict(), ["d2", "d3"]),  # where only one was right
        (verdict(role="shadow"), ["s3"]),
        (verdict(signal="mae", model="numbers"), ["e", "d"]),  # the largest error first
        (finding(kind="performance", signal="mae", model="numbers", version="2", role="challenger"), ["e", "d"]),
        (finding(kind="performance", signal="recall", method="segment", dim="sex", value="c"), ["c2"]),
        (finding(kind="performance", signal="recall", version="2", role="shadow"), ["s3"]),
        (finding(kind="fairness", signal="positive_rate", dim="sex", value="d", version="2"), ["d1", "d2", "d3", "d4"]),
    ],
    ids=lambda value: f"{value.kind}-{value.signal}-{value.role}" if isinstance(value, Detection) else "",
)
def test_the_query_returns_the_outcomes_that_tell_versions_or_groups_apart(
    paired: Client, found: Detection, expected: list[str]
) -> None:
    of_model = found if found.model == "numbers" else msgspec.structs.replace(found, model="pairs")
    assert [str(row[0]) for row in paired.query(query(of_model, SPEC, None)).result_rows] == expected


@pytest.mark.parametrize(("kind", "expected"), [("numeric", ["n"]), ("categorical", ["k", "k", "l", "m"])])
def test_the_query_of_a_change_of_type_returns_what_has_the_other_one(
    bad: Client, kind: Literal["numeric", "categorical"], expected: list[str]
) -> None:
    spec = ModelSpec(model="quality", features={"seats": FeatureSpec(type=kind)})
    for method in ("type", "mistyped"):
        text = query(quality(method, "feature:seats", model="quality", before=None), spec, None)
        assert [str(row[0]) for row in bad.query(text).result_rows] == expected


def test_an_extreme_is_looked_for_beyond_the_learned_limit(bad: Client) -> None:
    found = quality("outside", "feature:seats", model="quality", direction="up", threshold=500.0)
    rows = bad.query(query(found, ModelSpec(model="quality"), None)).result_rows
    assert [(row[0], row[2]) for row in rows] == [("l", 999.0)]


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
