"""One event of each kind that a model service writes, as the AsyncAPI document and the documentation show it."""

from __future__ import annotations

import datetime as dt

from driftline_schemas.records import Label, Prediction, PredictionError

EXAMPLES: dict[str, Prediction | Label] = {
    "an answer": Prediction(
        prediction_id="01980f6e-4a2b-7c1d-8e5f-3a9b6c7d8e9f",
        model="late-flights",
        version="v3",
        timestamp=dt.datetime(2026, 7, 15, 8, 30, 0, 250_000, tzinfo=dt.UTC),
        latency_ms=3.8,
        prediction="late",
        score=0.83,
        confidence=0.83,
        features={"carrier": "UA", "hour": 17, "wind_speed": None, "distance": 1400},
        segment={"origin": "EWR"},
        request_id="r-20260715-0042",
    ),
    "a failure": Prediction(
        prediction_id="01980f6e-4a2c-7d3e-9f60-4bac7d8e9f01",
        model="late-flights",
        version="v3",
        timestamp=dt.datetime(2026, 7, 15, 8, 30, 1, tzinfo=dt.UTC),
        latency_ms=250,
        status="error",
        error=PredictionError(type="TimeoutError", message="feature store did not answer"),
    ),
    "the truth": Label(
        prediction_id="01980f6e-4a2b-7c1d-8e5f-3a9b6c7d8e9f",
        model="late-flights",
        label="on time",
        timestamp=dt.datetime(2026, 7, 15, 19, 12, tzinfo=dt.UTC),
        source="tower",
    ),
}
