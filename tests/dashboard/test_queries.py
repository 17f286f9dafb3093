"""The questions of the dashboard agree with the views that analysts read, and only ever read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from driftline_streams.dashboard import queries, state
from driftline_streams.dashboard.charts import comparison
from driftline_streams.dashboard.queries.comparison import Pairs
from driftline_streams.dashboard.queries.performance import Headline
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import DAY_S, HOUR_S, Span
from driftline_streams.errors import UsageError
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse

from . import seed

SPAN = Span(seed.START_S, seed.END_S)


@pytest.fixture
async def reader(seeded: Settings) -> AsyncIterator[Reader]:
    sink = ClickHouse(seeded)
    yield Reader(sink)
    sink.close()


async def test_percentiles_of_whole_days_are_those_of_the_view(reader: Reader, sql: Client) -> None:
    rows = await queries.traffic.load(reader, seed.MODEL, SPAN, DAY_S)
    view = sql.query(
        "SELECT version, toUnixTimestamp(toDateTime(day, 'UTC')), n, errors, p50_ms, p95_ms, p99_ms, mean_score, "
        f"mean_confidence FROM latency_daily WHERE model = '{seed.MODEL}' AND dim = '' ORDER BY version, day"
    ).result_rows
    assert len(rows) == len(view) > seed.DAYS
    for row, expected in zip(rows, view, strict=True):
        ours = (row.n, row.errors, row.p50_ms, row.p95_ms, row.p99_ms, row.mean_score, row.mean_confidence)
        assert (row.version, row.at_s) == expected[:2]
        assert ours == pytest.approx(expected[2:])


async def test_the_paired_interval_is_that_of_the_view_on_each_day(reader: Reader, sql: Client) -> None:
    view = sql.query(
        "SELECT both_right, only_champion_right, only_challenger_right, both_wrong, difference, difference_low, "
        f"difference_high, n FROM champion_challenger WHERE model = '{seed.MODEL}'"
    ).result_rows
    assert len(view) > 30
    for both, first, second, neither, *expected, _ in view:
        pairs = Pairs("a", "b", "challenger", 0, both + first + second + neither, both, first, second, 0, 0.0, 0.0)
        assert comparison.difference(pairs) == pytest.approx(tuple(expected))
    weeks = await queries.comparison.pairs(reader, seed.MODEL, SPAN, "week")
    assert sum(week.compared for week in weeks) == sum(row[-1] for row in view)


async def test_a_stretch_shows_the_worst_test_in_it(reader: Reader) -> None:
    rows = await queries.drift.cells(reader, seed.MODEL, seed.VERSIONS[0], SPAN, 10 * DAY_S)
    amounts = [row for row in rows if row.signal == "feature:amount"]
    assert [row.state for row in amounts][-2:] == ["drift", "drift"]
    assert amounts[-1].statistic == pytest.approx(0.25 + 0.01 * 18)  # the last day had too few events
    assert len({(row.signal, row.at_s) for row in rows}) == len(rows)


async def test_a_segment_has_a_map_of_its_own(reader: Reader) -> None:
    (segment,) = await queries.drift.segments(reader, seed.MODEL, seed.VERSIONS[0], SPAN)
    assert (segment.dim, segment.value) == seed.SEGMENT
    rows = await queries.drift.cells(reader, seed.MODEL, seed.VERSIONS[0], SPAN, DAY_S, segment)
    assert [(row.signal, row.dim, row.value, row.state) for row in rows] == [("score", *seed.SEGMENT, "drift")] * 10
    assert (await queries.drift.histograms(reader, seed.MODEL, seed.VERSIONS[0], rows[0])).bins
    assert await queries.drift.segments(reader, seed.MODEL, seed.VERSIONS[1], SPAN) == []


async def test_cohorts_without_a_label_count_in_the_coverage(reader: Reader, sql: Client) -> None:
    rows = await queries.performance.coverage(reader, seed.MODEL, SPAN, "day")
    total = sql.query(f"SELECT sum(n) - sum(errors) FROM windows WHERE model = '{seed.MODEL}'").result_rows[0][0]
    assert sum(row.predictions for row in rows) == total


async def test_a_version_knows_its_role_and_state(reader: Reader) -> None:
    first, second = await state.states(reader, seed.MODEL)
    assert first.latest is not None
    assert second.latest is not None
    assert (first.latest.role, second.latest.role) == ("champion", "challenger")
    assert first.latest.at_ms == (seed.END_S - 60) * 1000
    assert first.drift is not None
    assert first.drift.drifting == ["feature:amount"]
    assert first.alerts == {"CRITICAL": 1}
    assert {stat.label: stat.tone for stat in first.stats}["Latency p99"] == "bad"


def test_the_newest_month_that_says_something_is_the_one_shown() -> None:
    def month(at_s: int, labelled: int) -> Headline:
        return Headline("m", "v", "champion", at_s, labelled, 1.0, "final", *(None,) * 9)

    assert state.telling([month(1, 500), month(2, 300), month(3, 12)]) == month(2, 300)
    assert state.telling([month(1, 20), month(2, 12)]) == month(1, 20)
    assert state.telling([]) is None


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE alerts",
        "SELECT 1) LIMIT 0; DROP TABLE alerts; SELECT (1",
        "INSERT INTO alerts SELECT * FROM alerts",
    ],
)
async def test_evidence_can_only_read(reader: Reader, sql: Client, query: str) -> None:
    before = sql.query("SELECT count() FROM alerts").result_rows
    with pytest.raises(UsageError):
        await queries.alerts.evidence(reader, query)
    assert sql.query("SELECT count() FROM alerts").result_rows == before


async def test_evidence_is_bounded_and_takes_a_comment_at_its_end(reader: Reader) -> None:
    assert (
        len(await queries.alerts.evidence(reader, "SELECT number FROM numbers(1000) -- all\n;"))
        == queries.alerts.EVIDENCE_ROWS
    )


async def test_names_that_are_code_are_asked_for_as_names(reader: Reader) -> None:
    (odd,) = await queries.models.versions(reader, seed.ODD_MODEL)
    assert await queries.traffic.load(reader, odd.model, SPAN, HOUR_S)
    (cell,) = await queries.drift.cells(reader, odd.model, odd.version, SPAN, DAY_S)
    assert cell.signal == f"feature:{seed.ODD_FEATURE}"
    assert (await queries.drift.histograms(reader, odd.model, odd.version, cell)).bins[seed.ODD_CATEGORY] == 300
    assert await queries.models.versions(reader, "' OR 1 --") == []


async def test_many_pages_ask_once(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    clickhouse: Any = reader._clickhouse
    query = clickhouse.query

    async def counting(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        return await query(*args)

    monkeypatch.setattr(clickhouse, "query", counting)
    first = await queries.models.versions(reader, seed.MODEL)
    assert await queries.models.versions(reader, seed.MODEL) == first
    assert asked == 1
