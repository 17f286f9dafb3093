"""What was served, by column: predictions as far as their outcomes need them.

In the walk: `recent.py` and `lookup.py` give them, `outcome.py` holds them against their truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.outcomes.truth import SLACK_MS, Objects


class Served(NamedTuple):
    """Predictions by column, each of shape `(n,)`. Maps may be shared by rows, and are never changed."""

    version: Objects
    role: Objects
    timestamp_ms: Ints
    answered: npt.NDArray[np.bool_]  # False: the model failed, there is nothing to compare the truth with
    prediction: Objects
    prediction_value: Floats  # NaN when the prediction is no number
    score: Floats  # NaN without one
    confidence: Floats  # NaN without one
    request_id: Objects
    segment: Objects  # of dict[str, str]
    probabilities: Objects  # of dict[str, float], by class; empty without any

    @property
    def n(self) -> int:
        """Number of predictions."""
        return len(self.timestamp_ms)

    def take(self, rows: Ints) -> Served:
        """These rows, in this order."""
        return Served._make(column[rows] for column in self)

    @classmethod
    def joined(cls, parts: Sequence[Served]) -> Served:
        """Several (at least one) after each other."""
        return parts[0] if len(parts) == 1 else cls._make(map(np.concatenate, zip(*parts, strict=True)))

    @classmethod
    def nothing(cls) -> Served:
        """No predictions."""
        kinds: dict[str, Any] = {"timestamp_ms": np.int64, "answered": np.bool_}
        kinds |= dict.fromkeys(("prediction_value", "score", "confidence"), np.float64)
        return cls._make(np.empty(0, kinds.get(name, object)) for name in cls._fields)


def belongs(label_ms: Ints, served_ms: Ints, horizon_ms: Ints) -> npt.NDArray[np.bool_]:
    """Whether each label came neither too early nor more than the horizon after its prediction; shape `(n,)`."""
    return (label_ms - horizon_ms <= served_ms) & (served_ms <= label_ms + SLACK_MS)


def objects(values: Sequence[Any]) -> Objects:
    """Values as they are, one an element."""
    out = np.empty(len(values), object)
    out[:] = values
    return out
