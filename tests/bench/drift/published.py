"""Streams of the generators that the literature on concept drift uses, as river has them.

SEA, Agrawal, Sine and Hyperplane change what is true and leave the inputs alone: a model that was trained before the
change is wrong more often, and that is the signal. LED and RBF change inputs, Friedman the number that is predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import numpy as np
from river.datasets import synth
from sklearn.tree import DecisionTreeClassifier

from .streams import ERRORS, Column, Stream, Table, rows, times

TRAINING, REFERENCE, BEFORE, AFTER = 5_000, 5_000, 12_000, 20_000
AT = TRAINING + REFERENCE + BEFORE  # of the change, in what the generator gives
TOTAL = AT + AFTER
MOVED = 0.1  # deviations between the means: an input that moved less did not change
_SYNTH: Any = synth  # without annotations


def sea(seed: int) -> Stream:
    """Another threshold at once; a tenth of the labels is noise."""
    before = _SYNTH.SEA(variant=2, noise=0.1, seed=seed)
    return _with_errors(_joined(before, _SYNTH.SEA(variant=3, noise=0.1, seed=seed + 1)), AT)


def agrawal(seed: int) -> Stream:
    """Another rule for credit, over 2,000 events (`ConceptDriftStream`)."""
    width = 2_000
    both = _SYNTH.ConceptDriftStream(
        stream=_SYNTH.Agrawal(classification_function=0, seed=seed),
        drift_stream=_SYNTH.Agrawal(classification_function=1, seed=seed + 1),
        position=AT,
        width=width,
        seed=seed,
    )
    return _with_errors(both.take(TOTAL), AT - width // 2)


def sine(seed: int) -> Stream:
    """Another curve between the classes at once."""
    before = _SYNTH.Sine(classification_function=0, seed=seed)
    return _with_errors(_joined(before, _SYNTH.Sine(classification_function=2, seed=seed + 1)), AT)


def hyperplane(seed: int) -> Stream:
    """The plane between the classes turns with every event."""
    before = _SYNTH.Hyperplane(seed=seed, n_features=10, n_drift_features=0)
    after = _SYNTH.Hyperplane(seed=seed, n_features=10, n_drift_features=5, mag_change=0.01)
    return _with_errors(_joined(before, after), AT)


def led(seed: int) -> Stream:
    """Segments of the display swap places with bits that mean nothing."""
    before = _SYNTH.LED(seed=seed, noise_percentage=0.1, irrelevant_features=True)
    after = _SYNTH.LEDDrift(seed=seed + 1, noise_percentage=0.1, irrelevant_features=True, n_drift_features=5)
    return _with_inputs(_joined(before, after))


def rbf(seed: int) -> Stream:
    """Other centres at once."""
    before = _SYNTH.RandomRBF(seed_model=seed, seed_sample=seed, n_features=10)
    return _with_inputs(_joined(before, _SYNTH.RandomRBF(seed_model=seed + 1, seed_sample=seed + 2, n_features=10)))


def rbf_drift(seed: int) -> Stream:
    """The centres move with every event."""
    before = _SYNTH.RandomRBF(seed_model=seed, seed_sample=seed, n_features=10)
    after = _SYNTH.RandomRBFDrift(
        seed_model=seed, seed_sample=seed + 2, n_features=10, change_speed=0.0005, n_drift_centroids=50
    )
    return _with_inputs(_joined(before, after))


def friedman(seed: int) -> Stream:
    """The function changes in parts of its domain (`lea`), whose first part is entered at the change."""
    generator = _SYNTH.FriedmanDrift(drift_type="lea", position=(AT, AT + 1, AT + 2), seed=seed)
    table, truth = _columns(generator.take(TOTAL))
    return _stream({**table, "truth": truth.astype(np.float64)}, AT, frozenset({"truth"}))


def _joined(before: Any, after: Any) -> Iterable[Any]:
    yield from before.take(AT)
    yield from after.take(TOTAL - AT)


def _columns(events: Iterable[Any]) -> tuple[Table, Column]:
    features, truth = zip(*islice(events, TOTAL), strict=True)
    names = list(features[0])
    values = np.array([[event[name] for name in names] for event in features], np.float64)
    return {
        f"x{name}" if isinstance(name, int) else str(name): column for name, column in zip(names, values.T, strict=True)
    }, (np.array(truth))


def _with_errors(events: Iterable[Any], at: int) -> Stream:
    table, truth = _columns(events)
    inputs = np.column_stack(list(table.values()))
    model = DecisionTreeClassifier(max_depth=8, random_state=0).fit(inputs[:TRAINING], truth[:TRAINING])
    wrong = (model.predict(inputs) != truth).astype(np.float64)
    return _stream({**table, ERRORS: wrong}, at, frozenset({ERRORS}))


def _with_inputs(events: Iterable[Any]) -> Stream:
    table, _ = _columns(events)
    names = frozenset(name for name, column in table.items() if _distance(column) >= MOVED)
    return _stream(table, AT, names)


def _distance(column: Column) -> float:
    before, after = column[:AT], column[AT:]
    return abs(float(after.mean() - before.mean())) / (float(before.std()) or 1.0)


def _stream(table: Table, at: int, changed: frozenset[str]) -> Stream:
    begin = TRAINING + REFERENCE
    columns = rows(table, slice(begin, None))
    return Stream(columns, times(TOTAL - begin), rows(table, slice(TRAINING, begin)), at - begin, changed)


GENERATORS: dict[str, tuple[str, Callable[[int], Stream]]] = {
    "sea": ("SEA, errors of a model", sea),
    "agrawal": ("Agrawal over 2,000 events, errors", agrawal),
    "sine": ("Sine, errors", sine),
    "hyperplane": ("Hyperplane turning, errors", hyperplane),
    "led": ("LED, inputs swapped", led),
    "rbf": ("RBF, other centres", rbf),
    "rbf_drift": ("RBF, centres moving", rbf_drift),
    "friedman": ("Friedman (lea), truth", friedman),
}
