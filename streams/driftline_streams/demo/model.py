"""The demo's models: gradient-boosted trees that say, before departure, how likely a flight is to arrive late.

In the walk: before it. A model is trained on the months before its service, and then called once an hour, as a model
server would be; the time that each call took is the latency of the events that come from it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import precision_recall_curve
from sklearn.model_selection import GroupKFold, cross_val_predict
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from driftline_streams.demo.features import CATEGORIES
from driftline_streams.demo.flights import Flights, Floats

SEED = 2013
FOLDS = 3


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model and the score from which on it calls a flight late."""

    version: str
    classifier: HistGradientBoostingClassifier
    threshold: float
    rows: npt.NDArray[np.int64]  # of the training flights, shape (n,)
    out_of_sample: Floats  # their scores by models that did not see their day, shape (n,)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answered for the flights `rows`: all arrays have shape `(n,)`."""

    rows: npt.NDArray[np.int64]
    score: Floats  # probability of being late
    latency_ms: Floats  # of the call that answered


def train(version: str, flights: Flights, months: range) -> Model:
    """Train on the flights of `months` that arrived; the cancelled and the diverted have no truth to learn from.

    The threshold is the one with the best F1 among out-of-sample scores of the same flights: at the base rate of
    24 % late flights, a threshold of 0.5 would hardly ever call one late. Folds are whole days, because flights of one
    day share its weather.
    """
    rows = np.flatnonzero(flights.known & np.isin(flights.month, np.array(months)))
    matrix, late = flights.matrix[rows], flights.late[rows]
    days = GroupKFold(FOLDS, shuffle=True, random_state=SEED)
    with _one_thread():
        scores = cross_val_predict(
            _classifier(), matrix, late, groups=flights.day[rows], cv=days, method="predict_proba"
        )[:, 1]
        classifier = _classifier().fit(matrix, late)
    precision, recall, thresholds = precision_recall_curve(late, scores)
    with np.errstate(invalid="ignore"):
        f1 = np.nan_to_num(2 * precision * recall / (precision + recall))[:-1]
    threshold = round(float(thresholds[f1.argmax()]), 3)
    return Model(version, classifier, threshold, rows, scores)


def call_hourly(model: Model, flights: Flights, rows: npt.NDArray[np.int64]) -> Answers:
    """Ask the model at every full hour, in one call, about all flights in `rows` (ascending) that are due then."""
    matrix = flights.matrix[rows]
    asked = flights.predicted_ms[rows]
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(asked)) + 1, [len(rows)]]) if len(rows) else np.zeros(1, int)
    score, latency_ms = np.empty(len(rows)), np.empty(len(rows))
    # The first calls of a process are slower than all that follow. That is true of model servers as well, so nothing
    # is warmed up.
    with _one_thread():
        for first, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            started = time.perf_counter()
            answer = model.classifier.predict_proba(matrix[first:end])
            latency_ms[first:end] = (time.perf_counter() - started) * 1e3
            score[first:end] = answer[:, 1]
    return Answers(rows, score, latency_ms)


def _one_thread() -> threadpool_limits:
    # Threads of OpenMP wait for each other in busy loops: while Kafka and ClickHouse start on the other core, two of
    # them trained twenty times as long as one (93 s), and a call has some fifty rows, too few to share.
    return threadpool_limits(1, "openmp")


def _classifier() -> HistGradientBoostingClassifier:
    # Slow learning, small trees: January alone is 26,000 flights, and they share 31 days of weather.
    return HistGradientBoostingClassifier(
        learning_rate=0.08,
        max_iter=80,
        max_leaf_nodes=15,
        min_samples_leaf=60,
        l2_regularization=1.0,
        early_stopping=False,
        categorical_features=list(range(len(CATEGORIES))),
        random_state=SEED,
    )
