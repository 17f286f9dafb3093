"""The topics: their names, keys, records and compaction. They are created explicitly, never on demand."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from driftline_schemas.frame import Frame
from driftline_schemas.records import (
    Action,
    Alert,
    BinaryOutcome,
    ClassOutcome,
    Clock,
    Detection,
    Errors,
    Label,
    NumberOutcome,
    Partial,
    Prediction,
    RankingOutcome,
    Rejected,
)
from driftline_schemas.spec import ModelSpec, Reference


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the contract; its full name is `prefix.name`."""

    name: str
    records: tuple[type[msgspec.Struct], ...]
    key: str
    description: str
    compacted: bool = False
    partitions: int | None = None  # None: as many as the deployment says

    def full_name(self, prefix: str) -> str:
        """The name on the broker.

        >>> PREDICTIONS.full_name("driftline")
        'driftline.predictions'
        """
        return f"{prefix}.{self.name}"


PREDICTIONS = Topic("predictions", (Prediction, Frame), "prediction_id", "What models answered, from model servers.")
LABELS = Topic("labels", (Label,), "prediction_id", "What turned out to be true, from label sources.")
MODELS = Topic("models", (ModelSpec, Reference), "model or model@version", "Specs and references.", True, 1)
PARTIALS = Topic("partials", (Partial, Clock, Errors), "model", "Sums of batches and errors, for detect.")
OUTCOMES = Topic(
    "outcomes",
    (BinaryOutcome, ClassOutcome, NumberOutcome, RankingOutcome),
    "model",
    "Predictions with their truth, from join.",
)
DETECTIONS = Topic("detections", (Detection,), "model", "Findings, from detect to notify.")
ALERTS = Topic("alerts", (Alert,), "model", "What needs a person, from notify.")
ACTIONS = Topic("actions", (Action,), "model", "Proposals that another system may carry out.")
REJECTED = Topic(
    "rejected", (Rejected,), "topic:partition:offset:position", "Events that could not be read, with the reason."
)

ALL = (PREDICTIONS, LABELS, MODELS, PARTIALS, OUTCOMES, DETECTIONS, ALERTS, ACTIONS, REJECTED)
