"""The questions about late truth agree with the outcomes themselves, counted another way."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from clickhouse_connect.driver.client import Client

from driftline_streams.dashboard import metrics, queries
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import DAY_S, Span
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse

from . import seed, truth

SPAN = Span(seed.START_S, seed.END_S)
CHAMPION, CHALLENGER = seed.VERSIONS
ACCURACY = metrics.of("binary")["accuracy"]
OF = f"FROM outcomes FINAL WHERE model = '{seed.MODEL}' AND version = '{CHAMPION}'"
APRIL = f"{OF} AND toStartOfMonth(timestamp) = '2025-04-01'"


@pytest.fixture
async def reader(seeded: Settings) -> AsyncIterator[Reader]:
    sink = ClickHouse(seeded)
    yield Reader(sink)
    sink.close()


def test_every_metric_is_a_column_with_its_interval(sql: Client) -> None:
    for view in ("performance_daily", "performance_monthly"):
        columns = {row[0] for row in sql.query(f"DESCRIBE {view}").result_rows}
        assert columns >= {f"{metric.name}{end}" for metric in metrics.METRICS for end in ("", "_low", "_high")}


async def test_a_metric_lies_within_its_interval(reader: Reader, sql: Client) -> None:
    rows = await queries.performance.cohorts(reader, seed.MODEL, metrics.of("binary")["f1"], SPAN, "month")
    assert len(rows) == 4
    for row in rows:
        assert (row.low or 1) < (row.value or 0) < (row.high or 0)


async def test_cohorts_tell_what_is_final_provisional_and_restated(reader: Reader) -> None:
    rows = await queries.performance.cohorts(reader, seed.MODEL, ACCURACY, SPAN, "day")
    states = {(row.at_s - seed.START_S) // DAY_S: row.state for row in rows if row.version == CHAMPION}
    assert [day for day, state in states.items() if state == "restated"] == [truth.ALL_DAYS.index(truth.RESTATED)]
    assert {states[day] for day in range(truth.FIRST_OPEN + 2, seed.DAYS)} == {"provisional"}


async def test_bands_and_confusion_hold_every_outcome_of_their_month(reader: Reader, sql: Client) -> None:
    april, march = await queries.scores.months(reader, seed.MODEL, CHAMPION, SPAN)
    assert april.at_s > march.at_s
    bands = await queries.scores.bands(reader, seed.MODEL, CHAMPION, april)
    cells = await queries.scores.confusion(reader, seed.MODEL, CHAMPION, april)
    n, wrong = sql.query(f"SELECT count(), countIf(predicted_positive != positive) {APRIL}").result_rows[0]
    assert april.labelled == sum(band.n for band in bands) == sum(cell.n for cell in cells) == n
    assert sum(band.n * (band.wrong or 0) for band in bands) == pytest.approx(wrong)
    assert sum(cell.n for cell in cells if cell.predicted != cell.actual) == wrong


async def test_what_was_restated_stands_beside_what_was_reported(reader: Reader, sql: Client) -> None:
    (row,) = await queries.labels.restatements(reader, seed.MODEL, ACCURACY, SPAN)
    accuracy = sql.query(
        f"SELECT avg(predicted_positive = positive) {OF} AND toDate(timestamp) = '{truth.RESTATED}'"
    ).result_rows[0][0]
    assert (str(row["day"]), row["version"]) == (truth.RESTATED, CHAMPION)
    assert row["now"] == pytest.approx(accuracy) != row["reported"]


async def test_the_delay_curve_rises_to_all_labels(reader: Reader) -> None:
    rows = await queries.labels.delay(reader, seed.MODEL)
    for name in ("tp", "fp", "tn", "fn"):
        shares = [row.share for row in rows if row.class_ == name]
        assert shares == sorted(shares)
        assert shares[-1] == pytest.approx(1)
    (usual,) = await queries.labels.usual(reader, seed.MODEL)
    assert usual.p50_h == pytest.approx(5, rel=0.19)  # within its bucket


async def test_what_is_expected_of_open_days_is_there_beside_what_needs_no_labels(reader: Reader) -> None:
    rows = await queries.estimates.estimates(reader, seed.MODEL, CHAMPION, ACCURACY, SPAN)
    silent = [(row.at_s - seed.START_S) // DAY_S for row in rows if row.estimate is None]
    assert silent == list(truth.SILENT)
    assert sum(row.basis == queries.estimates.FINAL for row in rows) == seed.DAYS - truth.FIRST_OPEN
    assert {row.share for row in await queries.labels.expected(reader, seed.MODEL, SPAN)} == {0.9}


async def test_pairs_by_day_week_and_month_are_the_same_pairs(reader: Reader) -> None:
    sums = {
        grain: [
            sum(getattr(row, name) for row in await queries.comparison.pairs(reader, seed.MODEL, SPAN, grain))
            for name in ("compared", "both_right", "only_champion", "only_challenger")
        ]
        for grain in ("day", "week", "month")
    }
    assert sums["day"] == sums["week"] == sums["month"]
    assert sums["day"][0] > sums["day"][1] > 0


async def test_verdicts_come_day_by_day(reader: Reader) -> None:
    rows = await queries.comparison.verdicts(reader, seed.MODEL, SPAN)
    assert [row.at_s for row in rows] == sorted({row.at_s for row in rows})
    assert (rows[0].verdict, rows[-1].verdict) == ("not yet", "better")


async def test_segments_and_groups_are_compared_with_what_they_are(reader: Reader, sql: Client) -> None:
    rows = await queries.segments.parts(reader, seed.MODEL, CHAMPION)
    worst = [row for row in rows if row.metric == "accuracy"]
    assert {row.segment for row in worst} == {"f", "m", "NL", "DE", "FR"}
    assert [row.effect for row in worst] == sorted((row.effect for row in worst), reverse=True)
    gaps = await queries.segments.gaps(reader, seed.MODEL, CHAMPION, SPAN)
    (april,) = [row for row in gaps if row.at_s == SPAN.start_s + 31 * DAY_S and row.metric == "positive_rate"]
    found = sql.query(f"SELECT segment['sex'] AS sex, avg(predicted_positive) {APRIL} GROUP BY sex").result_rows
    rates: dict[str, float] = dict(found)  # type: ignore[arg-type]
    assert april.lower_rate == pytest.approx(rates[april.lower_group])
    assert april.higher_rate == pytest.approx(rates[april.higher_group])
    assert april.gap == pytest.approx(april.higher_rate - april.lower_rate)
    assert april.allowed == pytest.approx(0.05)


async def test_worth_is_what_the_spec_says_of_each_outcome(reader: Reader, sql: Client) -> None:
    expected = sql.query(
        "SELECT sum(multiIf(predicted_positive AND positive, 40, predicted_positive, -5, positive, -100, 0.1)) " + OF
    ).result_rows[0][0]
    for grain in ("day", "month"):
        rows = await queries.worth.worth(reader, seed.MODEL, SPAN, grain)
        assert sum(row.worth for row in rows if row.version == CHAMPION) == pytest.approx(expected)
    counts = await queries.worth.counts(reader, seed.MODEL, CHAMPION, SPAN)
    positives = sql.query(f"SELECT countIf(positive) {OF}").result_rows[0][0]
    assert sum(row.actual for row in counts if row.class_ == "1") == positives
