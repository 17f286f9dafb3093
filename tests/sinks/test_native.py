"""What is written is what is read: every type, through the real engine, and equal to the driver's own slow path."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from driftline_streams.kernel.effects import ArrayColumn, Coded, Column, MapColumn, Rows
from driftline_streams.kernel.joined import Joined
from driftline_streams.sinks import native
from driftline_streams.sinks.forms import length

LC = "LowCardinality(String)"
TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
UINT64 = st.integers(0, 2**64 - 1)
FLOAT = st.floats()
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "String": TEXT,
    LC: TEXT,
    "UInt8": st.integers(0, 255),
    "UInt16": st.integers(0, 2**16 - 1),
    "UInt32": st.integers(0, 2**32 - 1),
    "UInt64": UINT64,
    "Int32": st.integers(-(2**31), 2**31 - 1),
    "Int64": st.integers(-(2**63), 2**63 - 1),
    "Float64": FLOAT,
    "DateTime('UTC')": st.integers(0, 2**32 - 1),
    "DateTime64(3, 'UTC')": st.integers(-2_000_000_000_000, 9_000_000_000_000),
    "Nullable(Float64)": st.none() | st.floats(allow_nan=False),
    "Nullable(UInt8)": st.none() | st.integers(0, 255),
    f"Map({LC}, Float64)": st.dictionaries(TEXT, FLOAT, max_size=5),
    f"Map({LC}, {LC})": st.dictionaries(TEXT, TEXT, max_size=5),
    "Map(String, UInt64)": st.dictionaries(TEXT, UINT64, max_size=5),
    "Map(String, Float64)": st.dictionaries(TEXT, FLOAT, max_size=5),
    "Map(Int32, UInt64)": st.dictionaries(st.integers(-(2**31), 2**31 - 1), UINT64, max_size=5),
    "Array(String)": st.lists(TEXT, max_size=5),
}


def column(kind: str, values: Sequence[Any], *, coded: bool = False) -> Column:
    """Plain Python values in the fast form that stages use."""
    if kind.startswith("Map"):
        key, value = kind.removeprefix("Map(").removesuffix(")").split(", ", 1)
        keys, inner = [k for row in values for k in row], [v for row in values for v in row.values()]
        return MapColumn(ends(values), column(key, keys, coded=coded), column(value, inner, coded=coded))
    if kind.startswith("Array"):
        return ArrayColumn(ends(values), [text for row in values for text in row])
    if "String" in kind:
        return coded_column(values) if coded else list(values)
    if kind.startswith("Nullable"):
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return np.array(values, native.NUMBERS[kind.partition("(")[0]])


def coded_column(values: Sequence[str]) -> Coded:
    names = sorted(set(values))
    return Coded(names, np.array([names.index(value) for value in values], np.int64))


def ends(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return np.cumsum([len(row) for row in values]).astype(np.uint64)


def plain(kind: str, value: Any) -> Any:
    """A value as the driver takes and gives it."""
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    if kind.startswith("DateTime64"):
        return epoch + dt.timedelta(milliseconds=value)
    if kind.startswith("DateTime"):
        return epoch + dt.timedelta(seconds=value)
    return value


@pytest.fixture(scope="module")
def client(clickhouse: Any) -> Iterator[Client]:
    with clickhouse.client(clickhouse.database()) as found:
        yield found


def written(client: Client, kind: str, column: Column) -> list[Any]:
    """What ClickHouse holds after `column` was inserted as a Native block."""
    n = length(column)
    body = native.block(Rows("fast", n, {"i": np.arange(n), "value": column}), {"i": "UInt32", "value": kind})
    client.command("DROP TABLE IF EXISTS fast")
    client.command(f"CREATE TABLE fast (i UInt32, value {kind}) ENGINE = Memory")
    client.raw_insert("fast", None, body, fmt="Native")
    return read(client, "fast")


def read(client: Client, table: str) -> list[Any]:
    rows = client.query(f"SELECT value FROM {table} ORDER BY i", tz_mode="aware").result_rows
    return [value for (value,) in rows]


@pytest.mark.parametrize("kind", VALUES)
def test_every_type_is_read_as_it_was_written_and_as_the_driver_writes_it(client: Client, kind: str) -> None:
    @limits(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
    @given(st.lists(VALUES[kind], min_size=1, max_size=20), st.booleans())
    def check(values: list[Any], coded: bool) -> None:
        expected = [plain(kind, value) for value in values]
        fast = written(client, kind, column(kind, values, coded=coded))
        client.command("DROP TABLE IF EXISTS slow")
        client.command(f"CREATE TABLE slow (i UInt32, value {kind}) ENGINE = Memory")
        client.insert("slow", list(enumerate(expected)), column_names=["i", "value"])
        # repr, because NaN is not equal to itself
        assert repr(fast) == repr(expected)
        assert repr(fast) == repr(read(client, "slow"))

    check()


@pytest.mark.parametrize("kind", VALUES)
def test_no_rows_are_no_block(kind: str) -> None:
    assert native.block(Rows("t", 0, {"value": column(kind, [])}), {"value": kind}) == b""


@pytest.mark.parametrize("distinct", [1, 255, 256, 257, 65_535, 65_536, 65_537, 70_000])
@pytest.mark.parametrize("coded", [True, False])
def test_a_dictionary_may_have_any_size(client: Client, distinct: int, coded: bool) -> None:
    values = [f"value {i}" for i in range(distinct)]
    assert written(client, LC, Coded(values, np.arange(distinct)) if coded else values) == values


def test_a_few_rows_do_not_carry_the_dictionary_of_a_whole_batch(client: Client) -> None:
    whole = [f"value {i}" for i in range(10_000)]
    few = Rows("t", 3, {"value": Coded(whole, np.array([9_999, 5, 9_999]))})
    assert len(native.block(few, {"value": LC})) < 200
    assert written(client, LC, few.columns["value"]) == ["value 9999", "value 5", "value 9999"]


def test_long_and_foreign_strings_survive(client: Client) -> None:
    values = ["", "a" * 127, "a" * 128, "é" * 127, "\0", "x" * 300_000, "日本語", "🛫", "it's \\ fine\n"]
    assert written(client, "String", values) == values
    assert written(client, "String", Coded(values, np.arange(len(values)))) == values


@pytest.mark.parametrize(
    "values",
    [["ab", "cd"], ["a", "bc"], ["", ""], ["é", "e"], ["\ud800"], ["x" * 127] * 2, ["x" * 128] * 2, ["\0a", "a\0"]],
)
def test_strings_that_are_joined_are_written_as_one_by_one(values: list[str]) -> None:
    types = {"value": "String"}
    expected = native.block(Rows("t", len(values), {"value": values}), types)
    assert native.block(Rows("t", len(values), {"value": Joined(values)}), types) == expected


def test_a_lone_surrogate_stops_nothing_and_stays_visible(client: Client) -> None:
    assert written(client, "String", ["a\ud800b"]) == ["a\\ud800b"]


def test_masked_values_are_null(client: Client) -> None:
    masked = np.ma.MaskedArray([1, 2, 3], mask=[False, True, False])
    assert written(client, "Nullable(UInt8)", masked) == [1, None, 3]


def test_several_blocks_are_one_insert_and_missing_columns_get_their_defaults(client: Client) -> None:
    client.command("DROP TABLE IF EXISTS blocks")
    client.command(f"CREATE TABLE blocks (i UInt8, name {LC}, note String DEFAULT 'none') ENGINE = Memory")
    types = {"i": "UInt8", "name": LC, "note": "String"}
    blocks = [
        Rows("blocks", 1, {"i": np.array([1]), "name": Coded.constant("a", 1)}),
        Rows("blocks", 0, {"i": np.array([])}),
        Rows("blocks", 2, {"name": ["b", "c"], "note": ["x", "y"], "i": np.array([2, 3])}),
    ]
    client.raw_insert("blocks", None, b"".join(native.block(part, types) for part in blocks), fmt="Native")
    rows = client.query("SELECT i, name, note FROM blocks ORDER BY i").result_rows
    assert rows == [(1, "a", "none"), (2, "b", "x"), (3, "c", "y")]


def test_an_aggregate_is_written_as_what_it_aggregates(client: Client) -> None:
    client.command("DROP TABLE IF EXISTS sums")
    kind = "SimpleAggregateFunction(sumMap, Map(Int32, UInt64))"
    client.command(f"CREATE TABLE sums (k UInt8, v {kind}) ENGINE = AggregatingMergeTree ORDER BY k")
    maps = MapColumn(np.array([1, 3], np.uint64), np.array([-5, -5, 7]), np.array([1, 2, 3]))
    body = native.block(Rows("sums", 2, {"k": np.array([1, 1]), "v": maps}), {"k": "UInt8", "v": kind})
    client.raw_insert("sums", None, body, fmt="Native")
    assert client.query("SELECT v FROM sums FINAL").result_rows == [({-5: 3, 7: 3},)]


TWO_ENDS = np.array([1, 2], np.uint64)


@pytest.mark.parametrize(
    ("kind", "column", "complaint"),
    [
        ("UInt8", np.array([1, 256]), "256 in row 1 does not fit UInt8"),
        ("UInt64", np.array([1, -1]), "-1 in row 1 does not fit UInt64"),
        ("Int64", np.array([1, 2**63], np.uint64), "does not fit Int64"),
        ("UInt8", np.array([1, 1.5]), "1.5 in row 1 does not fit UInt8"),
        ("UInt32", np.array([1, np.nan]), "nan in row 1 does not fit UInt32"),
        ("UInt64", np.array([1, 2.0**64]), "does not fit UInt64"),
        ("Int64", np.array([1, np.inf]), "does not fit Int64"),
        ("UInt8", np.ma.MaskedArray([1, 2], mask=[True, False]), "has no NULL"),
        ("Float64", ["1", "2"], "numbers come as a one-dimensional numpy array, not as list"),
        ("Float64", np.zeros((2, 2)), "with shape"),
        ("String", np.array([1, 2]), "strings come as a sequence of str"),
        ("String", Coded(["a"], np.array([0, 1])), "codes from 0 to 1 do not fit a dictionary of 1 values"),
        (LC, Coded(["a"], np.array([-1, 0])), "codes from -1 to 0"),
        (LC, Coded(["a"], np.array([0.0, 0.0])), "codes are one-dimensional integers"),
        ("String", ["only one"], "has 1 rows instead of 2"),
        ("Map(String, UInt64)", ["a", "b"], "takes a MapColumn, not list"),
        ("Array(String)", ["a", "b"], "takes an ArrayColumn, not list"),
        ("Map(String, UInt64)", MapColumn(TWO_ENDS, ["a"], np.array([1, 2])), "1 keys instead of the 2"),
        ("Map(String, UInt64)", MapColumn(TWO_ENDS, ["a", "b"], np.array([1])), "1 values instead of the 2"),
        ("Array(String)", ArrayColumn(TWO_ENDS[::-1], ["a"]), "do not ascend"),
        ("Tuple(String)", ["a", "b"], "type Tuple.String. is not one that Driftline writes"),
        ("Nullable(String)", ["a", "b"], "type Nullable.String. is not one that Driftline writes"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_columns_name(kind: str, column: Column, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^column value.*{complaint}"):
        native.block(Rows("t", 2, {"value": column}), {"value": kind})


def test_a_column_that_the_table_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="column height is not in the table, which has width"):
        native.block(Rows("t", 1, {"height": np.array([1])}), {"width": "UInt8"})
