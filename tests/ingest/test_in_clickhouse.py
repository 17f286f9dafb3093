"""What analysts get of it: the real ClickHouse, fed with what the stage made, says what numpy says of the events."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from driftline_schemas.spec import ModelSpec
from driftline_streams.ingest import Ingest
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.sinks.clickhouse import ClickHouse

from .batches import NOW_MS, batch_of, event


def sent(n: int) -> list[dict[str, Any]]:
    """`n` events of two versions over two days, some failed, some with nulls."""
    random = np.random.default_rng(7)
    return [
        event(
            prediction_id=f"p{i}",
            version=str(1 + i % 2),
            timestamp=NOW_MS - int(random.integers(0, 2 * 86_400_000)),
            latency_ms=None if i % 50 == 0 else float(random.lognormal(3, 1)),
            **({"status": "error", "prediction": None} if i % 10 == 0 else {"prediction": bool(i % 3)}),
            score=float(random.random()),
            features={"distance": None if i % 7 == 0 else float(random.normal()), "carrier": "UA" if i % 4 else "DL"},
            segment={"origin": ["JFK", "EWR", "LGA"][i % 3]},
        )
        for i in range(n)
    ]


async def test_views_say_what_numpy_says_of_the_events(database: ClickHouse) -> None:
    catalog = Catalog()
    catalog.update(ModelSpec(model="delays", segments=["origin"], window_s=60))
    stage, events = Ingest(catalog, "driftline"), sent(3_000)
    for first in range(0, len(events), 1_000):
        batch = batch_of(*events[first : first + 1_000], b"broken", first=first * 2)
        for _ in range(2):  # a batch that is carried out again changes nothing
            await database.insert(
                stage(batch, NOW_MS).effects.rows, f"driftline.predictions:3:{batch.first}-{batch.last}"
            )

    total = database.query_rows("SELECT count() AS n, uniqExact(offset) AS offsets FROM predictions")[0]
    assert total == {"n": 3_000, "offsets": 3_000}
    assert database.query_rows("SELECT count() AS n FROM rejected") == [{"n": 3}]

    daily = database.query_rows("SELECT * FROM latency_daily")
    assert sum(row["n"] for row in daily if row["dim"] == "") == 3_000
    assert sum(row["n"] for row in daily if row["dim"] == "origin") == 3_000
    assert sum(row["errors"] for row in daily if row["dim"] == "") == 300
    whole = database.query_rows(
        "SELECT version, toDate(timestamp) AS day, segment['origin'] AS origin, groupArray(latency_ms) AS latency_ms "
        "FROM predictions GROUP BY version, day, origin"
    )
    for row in whole:
        (found,) = (
            found for found in daily
            if (found["version"], found["day"], found["value"]) == (row["version"], row["day"], row["origin"])
        )  # fmt: skip
        for q, name in ((0.5, "p50_ms"), (0.95, "p95_ms"), (0.99, "p99_ms")):
            true = np.quantile(row["latency_ms"], q, method="inverted_cdf")
            assert found[name] == pytest.approx(true, rel=0.0101)
        assert found["mean_ms"] == pytest.approx(np.mean(row["latency_ms"]))

    distances = [e["features"]["distance"] for e in events if e["version"] == "1"]
    there = [distance for distance in distances if distance is not None]
    (feature,) = database.query_rows(
        "SELECT sum(present) AS there, sum(nulls) AS missing, sum(mean * present) / there AS average, "
        "min(min) AS least FROM feature_daily WHERE dim = '' AND version = '1' AND signal = 'feature:distance'"
    )
    assert (feature["there"], feature["missing"]) == (len(there), len(distances) - len(there))
    assert (feature["average"], feature["least"]) == (pytest.approx(np.mean(there)), min(there))

    carriers = database.query_rows(
        "SELECT bin, toUInt64(sum(count)) AS n FROM feature_bins_daily WHERE dim = '' AND signal = 'feature:carrier' "
        "GROUP BY bin ORDER BY bin"
    )
    assert carriers == [{"bin": "DL", "n": 750}, {"bin": "UA", "n": 2_250}]


async def test_odd_events_are_stored_as_they_are(database: ClickHouse) -> None:
    odd = event(
        prediction_id="Ω",
        model="模型",
        prediction="\x00",
        features={"": 1.0, "a\x1fb": "\x1e", "😀": None, "big": 1e308},
        segment={"": ""},
        probabilities={"a": 1.0},
        odd={"deep": [1, None]},
    )
    result = Ingest(Catalog(), "driftline")(batch_of(odd, b"\xff\x00", None), NOW_MS)
    await database.insert(result.effects.rows, "odd")
    (row,) = database.query_rows("SELECT * FROM predictions")
    assert (row["prediction_id"], row["model"], row["prediction"]) == ("Ω", "模型", "\x00")
    assert (row["nums"]["big"], row["nums"][""], row["cats"]) == (1e308, 1.0, {"a\x1fb": "\x1e"})
    assert (row["segment"], row["probabilities"]) == ({"": ""}, {"a": 1.0})
    assert msgspec.json.decode(row["context"]) == {"odd": {"deep": [1, None]}}
    rejected = database.query_rows("SELECT offset, reason, payload FROM rejected ORDER BY offset")
    assert rejected == [
        {"offset": 101, "reason": "malformed_json", "payload": "\ufffd\x00"},
        {"offset": 102, "reason": "empty", "payload": ""},
    ]
