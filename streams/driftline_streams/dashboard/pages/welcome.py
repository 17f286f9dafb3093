"""What a newcomer sees: nothing has arrived yet, and how to send the first event."""

from __future__ import annotations

from nicegui import ui

FIRST_EVENT = """from driftline import PredictionLogger

with PredictionLogger("my-model", "1", bootstrap="localhost:9092") as logger:
    features = {"amount": 120.0, "country": "NL"}
    logger.log(prediction=True, score=0.87, latency_ms=12.5, features=features)"""

WITHOUT_SDK = """date -u +'{"prediction_id": "1", "model": "my-model", "version": "1", "timestamp": "%FT%TZ",
  "prediction": true, "score": 0.87, "latency_ms": 12.5}' | tr -d '\\n' |
  kcat -P -b localhost:9092 -t driftline.predictions -k 1"""


def welcome(address: str, missing: str) -> None:
    """Say that there is no data, and what to do; `missing` is why ClickHouse refused the question, if it did."""
    with ui.element("section").classes("panel"), ui.element("div").classes("welcome"):
        ui.html("<h1>No predictions yet</h1>", sanitize=False)
        if missing:
            ui.label(missing).classes("lead")
        ui.label(
            f"The dashboard reads ClickHouse at {address} and shows a model as soon as its first event has gone "
            "through a worker."
        ).classes("lead")
        ui.label("See it with real data: a year of flights from New York, in a minute.")
        _code("driftline demo")
        ui.label("Or send your own. Start a worker:")
        _code("driftline up && driftline worker")
        ui.label("… and log a prediction where your model answers (driftline status prints the address of Kafka):")
        _code(FIRST_EVENT)
        ui.label("… or write it with any Kafka client:")
        _code(WITHOUT_SDK)
        ui.label("This page fills itself; there is no need to reload it.").classes("lead")


def _code(text: str) -> None:
    with ui.element("pre").classes("sql"):
        ui.label(text)
