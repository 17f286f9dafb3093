"""The truth about the seeded model: outcomes, what is computed of them, and what is said before they come."""

from __future__ import annotations

import datetime as dt

import msgspec
from clickhouse_connect.driver.client import Client

from driftline_schemas.spec import ModelSpec
from driftline_streams.comparison import pairs
from driftline_streams.performance.sums import CLEAR, COMPUTE, REPORT

from .seed import DAYS, HOURS, MODEL, SECOND_FROM_H, START_S, VERSIONS, windows

SEGMENTS = ["country", "sex"]
RESTATED = "2025-04-02"  # a label of it was corrected after it was final
SILENT = range(30, 33)  # days on which the estimate abstains
FIRST_OPEN = 55  # the first day that is not final
KINDS = {"regression": "house-price", "multiclass": "animals", "ranking": "search"}
ALL_DAYS = [str(dt.date(2025, 3, 1) + dt.timedelta(days=day)) for day in range(DAYS)]


def truth(client: Client) -> None:
    """Fill a database that has windows and the spec."""
    outcomes(client)
    cells(client, ALL_DAYS, "2025-05-01 00:00:00")
    client.command(REPORT, parameters={"aside_models": [], "aside_days": []})
    restate(client)
    verdicts(client)
    estimates(client)
    others(client)


def outcomes(client: Client) -> None:
    """Labels for nine answers of ten, of the last three days for fewer; the challenger is a little better."""
    for version, role, wrong, first_h in (
        (VERSIONS[0], "champion", 16, 0),
        (VERSIONS[1], "challenger", 13, SECOND_FROM_H),
    ):
        client.command(
            """
            INSERT INTO outcomes
            (
                prediction_id, model, version, role, kind, timestamp, label_timestamp, prediction, label,
                predicted_positive, positive, score, weight, request_id, segment, precedence
            )
            WITH
                number % 18 AS place, intDiv(number, 18) + {first:UInt32} AS hour,
                toDateTime64({start:Int64} + hour * 3600 + place * 120, 3, 'UTC') AS at,
                cityHash64('truth', hour, place) % 100 < 25 AS truth,
                cityHash64({version:String}, hour, place) % 100 < {wrong:UInt32} AS missed,
                truth != missed AS said
            SELECT
                concat({version:String}, '-', toString(hour), '-', toString(place)), {model:String}, {version:String},
                {role:String}, 'binary', at, at + INTERVAL 5 HOUR,
                if(said, 'true', 'false'), if(truth, 'true', 'false'),
                said, truth, least(1., 0.2 + 0.5 * said + (cityHash64(hour, place) % 100) / 400), 1,
                concat(toString(hour), '-', toString(place)),
                map('country', ['NL', 'DE', 'FR'][1 + place % 3], 'sex', if(place % 2, 'f', 'm')), 1
            FROM numbers({n:UInt32})
            WHERE hour < 57 * 24 OR place < 6
            """,
            {
                "version": version,
                "role": role,
                "wrong": wrong,
                "first": first_h,
                "start": START_S,
                "model": MODEL,
                "n": 18 * (HOURS - first_h),
            },
        )


def cells(client: Client, days: list[str], at: str, model: str = MODEL) -> None:
    """Sums of days and pairs, as the round of the worker computes them."""
    for statement in (pairs.COMPUTE, COMPUTE, CLEAR):
        client.command(statement, {"model": model, "days": days, "at": at, "segments": SEGMENTS})


def restate(client: Client) -> None:
    """Correct twenty labels of a day that was final."""
    client.command(
        "INSERT INTO outcomes SELECT * REPLACE (NOT positive AS positive, if(positive, 'false', 'true') AS label, "
        "precedence + 1 AS precedence) FROM outcomes FINAL "
        "WHERE toDate(timestamp) = {day:Date} AND version = {version:String} ORDER BY prediction_id LIMIT 20",
        {"day": RESTATED, "version": VERSIONS[0]},
    )
    cells(client, [RESTATED], "2025-05-02 00:00:00")


def verdicts(client: Client) -> None:
    """A challenger that shows to be better in the end."""
    rows = []
    for day in range(SECOND_FROM_H // 24, FIRST_OPEN):
        n = 432 * (day - SECOND_FROM_H // 24 + 1)
        half = 1.2 / n**0.5
        verdict = "better" if half < 0.03 else "not yet"
        rows.append([MODEL, *VERSIONS, "challenger", _day(day), "accuracy", n, 0.03, 0.03 - half, 0.03 + half, verdict])
    client.insert("verdicts", [[*row, _time(END)] for row in rows])


def estimates(client: Client) -> None:
    """What the open days will be, and what all days would be without labels."""
    rows: list[list[object]] = []
    for day in range(8, DAYS):
        silent = day in SILENT
        said = (None, None, None) if silent else (0.84, 0.80, 0.88)
        reason = "the scores leave what was learned from" if silent else ""
        rows.append([day, "scores", *said, 480, 0, None, "calibrated", reason])
    rows += [[day, "labels", 0.83, 0.78, 0.87, 480, 300, 0.9, "weighted", ""] for day in range(FIRST_OPEN, DAYS)]
    client.insert(
        "estimates",
        [
            [MODEL, VERSIONS[0], "champion", _day(day), "accuracy", *rest, _time(END)]  # type: ignore[arg-type]
            for day, *rest in rows
        ],
    )


def others(client: Client) -> None:
    """Ten days of a model of numbers, one of several classes and one of lists."""
    for kind, model in KINDS.items():
        windows(client, model, "1", range(240))
        spec = ModelSpec(model=model, kind=kind)  # type: ignore[arg-type]
        client.insert("models", [[model, "", "spec", msgspec.json.encode(spec).decode(), 9, _time(START_S)]])
        client.command(
            """
            INSERT INTO outcomes
            (
                prediction_id, model, version, role, kind, timestamp, label_timestamp, prediction, label,
                prediction_value, label_value, confidence, label_probability, position, weight, request_id, precedence
            )
            WITH
                toDateTime64({start:Int64} + number * 360, 3, 'UTC') AS at,
                cityHash64(number) % 100 AS dice,
                ['cat', 'dog', 'horse'][1 + number % 3] AS animal
            SELECT
                toString(number), {model:String}, '1', 'champion', {kind:String}, at, at + INTERVAL 1 HOUR,
                animal, if(dice < 80, animal, 'dog'),
                100 + dice, if({kind:String} = 'ranking', dice < 30, 97 + dice % 7),
                0.8, 0.7, 1 + number % 5, 1, toString(intDiv(number, 5)), 1
            FROM numbers(2400)
            """,
            {"model": model, "kind": kind, "start": START_S},
        )
        cells(client, ALL_DAYS[:10], "2025-05-01 00:00:00", model)


END = START_S + DAYS * 86_400


def _day(day: int) -> dt.date:
    return dt.date(2025, 3, 1) + dt.timedelta(days=day)


def _time(at_s: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_s, dt.UTC)
