"""Two months of two versions of a plausible model, and a model whose names try to be code."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from random import Random

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client

from driftline_schemas.records import Moments
from driftline_schemas.spec import FairnessRules, FeatureSpec, ModelSpec, Objectives, Profile, Reference
from driftline_streams.kernel.histogram import BINS
from driftline_streams.kernel.sketch import bucket_index

MODEL = "card-fraud"
VERSIONS = ("2025.1", "2025.2")
START_S = int(dt.datetime(2025, 3, 1, tzinfo=dt.UTC).timestamp())
DAYS, HOURS = 60, 24 * 60
SECOND_FROM_H = 24 * 20  # the challenger starts after twenty days
END_S = START_S + HOURS * 3600

ODD_MODEL = "<script>alert(1)</script>"
ODD_FEATURE = "__proto__"
ODD_CATEGORY = ":constructor"

SEGMENT = ("country", "DE")
SIGNALS = ("feature:amount", "feature:age_days", "feature:country", "score", "prediction")


def seed(client: Client) -> None:
    """Fill a migrated database."""
    windows(client, MODEL, VERSIONS[0], range(HOURS))
    windows(client, MODEL, VERSIONS[1], range(SECOND_FROM_H, HOURS))
    predictions(client)
    drift(client)
    found(client)
    records(client)
    odd(client)


def windows(client: Client, model: str, version: str, hours: range) -> None:
    """One row an hour: about 20 events, slower since the fortieth day."""
    random, rows = Random(f"{model}{version}"), []  # noqa: S311
    for hour in hours:
        daily = 1 + 0.5 * math.sin(2 * math.pi * (hour % 24 - 8) / 24)
        n = max(1, round(20 * daily + random.gauss(0, 2)))
        slow = 1.6 if hour >= 40 * 24 and version == VERSIONS[0] else 1.0
        latencies = [slow * 9 * math.exp(random.gauss(0, 0.5)) for _ in range(n)]
        scores = [min(1.0, max(0.0, random.gauss(0.22 + 0.05 * daily, 0.1))) for _ in range(n)]
        errors = sum(random.random() < 0.004 for _ in range(n))
        rows.append(
            [
                model,
                version,
                _time(START_S + 3600 * hour),
                3600,
                "",
                "",
                n,
                errors,
                {int(k): v for k, v in Counter(bucket_index(np.array(latencies)).tolist()).items()},
                n,
                sum(latencies),
                max(latencies),
                n,
                sum(scores),
                n,
                sum(max(score, 1 - score) for score in scores),
                {"true": n // 4, "false": n - n // 4},
            ]
        )
    client.insert("windows", rows)


def predictions(client: Client) -> None:
    """The events of the last hours: they carry the roles, and are what alerts lead to."""
    for version, role in zip(VERSIONS, ("champion", "challenger"), strict=True):
        client.command(
            "INSERT INTO predictions (prediction_id, model, version, timestamp, latency_ms, status, score, role) "
            "SELECT concat({version:String}, '-', toString(number)), {model:String}, {version:String}, "
            "toDateTime64({end:Int64} - 60 - number * 60, 3, 'UTC'), 10 + number, 'ok', 0.5, {role:String} "
            "FROM numbers(120)",
            {"version": version, "role": role, "model": MODEL, "end": END_S},
        )


def drift(client: Client) -> None:
    """A test of each signal a day; the amount drifts from the fortieth day on."""
    rows = []
    for version in VERSIONS:
        random = Random(version)  # noqa: S311
        for day in range(0 if version == VERSIONS[0] else SECOND_FROM_H // 24, DAYS):
            for signal in SIGNALS:
                statistic = abs(random.gauss(0.05, 0.04))
                if signal == "feature:amount" and day >= 40:
                    statistic = 0.25 + 0.01 * (day - 40)
                n = 480 if day < DAYS - 1 else 120
                state = "insufficient data" if n < 200 else "drift" if statistic >= 0.2 else "ok"
                shift = 20 if signal == "feature:amount" and day >= 40 else 0
                bins = (
                    {"NL": n // 2, "DE": n - n // 2 - 5, "unseen": 5}
                    if signal == "feature:country"
                    else {f"{64 * b} to {64 * b + 64}": n // 10 + shift * b for b in range(10)}
                )
                rows.append(_drift(MODEL, version, day, signal, state, statistic, n, bins))
                if day >= DAYS - 10 and version == VERSIONS[0] and signal == "score":
                    rows.append(_drift(MODEL, version, day, signal, "drift", 0.5, n, bins, SEGMENT))
    _insert_drift(client, rows)


def found(client: Client) -> None:
    """Two findings and three alerts."""
    slower = _time(START_S + 40 * 86_400)
    client.insert(
        "detections",
        column_names=_DETECTION,
        data=[
            _detection("d1", VERSIONS[0], "latency_ms", "change", slower, 14.4, "Latency rose from 9.9 ms to 14.4 ms."),
            _detection("d2", VERSIONS[1], "score", "change", slower, 0.3, "Score rose from 0.25 to 0.30."),
        ],
    )
    query = (
        "SELECT prediction_id, timestamp, latency_ms FROM predictions\n"
        f"WHERE model = '{MODEL}' AND version = '{VERSIONS[0]}' AND latency_ms > 100\n"
        "ORDER BY latency_ms DESC\nLIMIT 1000"
    )
    rows = [
        ("a1", MODEL, VERSIONS[0], "WARNING", "change", "latency_ms", "rose", slower),
        ("a2", MODEL, VERSIONS[0], "CRITICAL", "objective", "latency_ms", "broke its objective", _time(END_S - 7200)),
        ("a3", MODEL, VERSIONS[1], "INFO", "drift", "feature:amount", "drifted", _time(END_S - 86_400)),
    ]
    client.insert(
        "alerts",
        [
            [
                *(alert, model, version, severity, kind, signal),
                f"{'Latency' if signal == 'latency_ms' else 'Feature amount'} of {model} {version} {what}",
                "The 99th percentile of latency was 62 ms; the objective is 30 ms. "
                "That is 2 times the objective or more.",
                "serving@example.com",
                start,
                start + dt.timedelta(hours=1),
                ["d1"],
                query,
                start,
            ]
            for alert, model, version, severity, kind, signal, what, start in rows
        ],
    )


def records(client: Client) -> None:
    """The spec and the references."""
    spec = ModelSpec(
        model=MODEL,
        description="Is this payment fraudulent? Asked before it is authorised.",
        window_s=3600,
        label_horizon_s=3 * 86_400,
        objectives=Objectives(latency_p99_ms=30, error_rate=0.01),
        features={"amount": FeatureSpec(type="numeric", importance=0.8)},
        segments=["country"],
        fairness=FairnessRules(attributes=["sex"], gap=0.05),
        worth={"tp": 40.0, "fp": -5.0, "fn": -100.0, "tn": 0.1},
        worth_unit="EUR",
    )
    rows = [[MODEL, "", "spec", _json(spec), 1, _time(START_S)]]
    rows += [[MODEL, version, "reference", _json(reference(MODEL, version)), 2, _time(START_S)] for version in VERSIONS]
    client.insert("models", rows)


def reference(model: str, version: str) -> Reference:
    """Uniform over the bins of amounts up to 640; a third of each country."""
    moments = Moments(n=6400, nulls=0, sum=6400 * 320.0, sum_squares=6400 * 137_000.0, min=0.0, max=640.0)
    numeric = Profile(
        type="numeric", moments=moments, edges=[10.0 * (i + 1) for i in range(BINS - 1)], counts=[100] * BINS
    )
    categorical = Profile(type="categorical", moments=moments, categories={"NL": 3000, "DE": 3000, ODD_CATEGORY: 400})
    return Reference(
        id="ref",
        model=model,
        version=version,
        n=6400,
        start_ms=(START_S - 30 * 86_400) * 1000,
        end_ms=START_S * 1000,
        description="February",
        signals={
            **{signal: categorical if signal == "feature:country" else numeric for signal in SIGNALS},
            f"feature:{ODD_FEATURE}": categorical,
        },
    )


def odd(client: Client) -> None:
    """A model, a feature and a category named by somebody who means no good."""
    windows(client, ODD_MODEL, "<b>1</b>", range(HOURS - 48, HOURS))
    client.insert(
        "models", [[ODD_MODEL, "<b>1</b>", "reference", _json(reference(ODD_MODEL, "<b>1</b>")), 3, _time(0)]]
    )
    bins = {ODD_CATEGORY: 300, "<img src=x onerror=alert(2)>": 100, "NL": 80}
    _insert_drift(client, [_drift(ODD_MODEL, "<b>1</b>", DAYS - 2, f"feature:{ODD_FEATURE}", "drift", 1.5, 480, bins)])


def _drift(  # noqa: PLR0917
    model: str,
    version: str,
    day: int,
    signal: str,
    state: str,
    statistic: float,
    n: int,
    bins: dict[str, int],
    segment: tuple[str, str] = ("", ""),
) -> list[object]:
    at = _time(START_S + day * 86_400)
    expected = dict.fromkeys(bins, n / len(bins))
    return [
        *(model, version, at, 86_400, *segment, signal, state, "psi", statistic, 0.2, statistic, 0.9 * statistic),
        *(1.1 * statistic, 0.001, n, 6400, "ref", 0, {"psi": statistic}, {"chi_square": 0.001}, bins, expected, at),
    ]


def _insert_drift(client: Client, rows: list[list[object]]) -> None:
    client.insert("drift", rows)


_DETECTION = (
    *("id", "model", "version", "signal", "kind", "method", "start", "end", "direction", "statistic", "threshold"),
    *("effect", "p_value", "before", "after", "n", "reference", "detail", "detected_at"),
)


def _detection(  # noqa: PLR0917
    id_: str, version: str, signal: str, kind: str, start: dt.datetime, after: float, detail: str
) -> list[object]:
    end = start + dt.timedelta(hours=1)
    return [
        *(id_, MODEL, version, signal, kind, "adwin", start, end, "up", 4.2, 1.0, 0.6, None, 0.9 * after, after),
        *(480, "ref", detail, end),
    ]


def _json(record: msgspec.Struct) -> str:
    return msgspec.json.encode(record).decode()


def _time(at_s: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_s, dt.UTC)
