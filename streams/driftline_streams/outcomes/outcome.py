"""Predictions and their truth become outcomes, in the terms of each model's kind, a column at a time.

In the walk: the last step of `join`; `published.py` makes rows and messages of them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel.catalog import Catalog, is_positive
from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.outcomes.served import Served
from driftline_streams.outcomes.truth import Objects, Truths

KINDS = ("binary", "multiclass", "regression", "ranking")
BINARY, MULTICLASS, REGRESSION, RANKING = range(4)

_BOOLEAN = frozenset({"true", "false", "1", "0"})

Bools = npt.NDArray[np.bool_]
_K = TypeVar("_K", bound=Hashable)


class Outcomes(NamedTuple):
    """Predictions with a truth, by column, each of shape `(n,)`; NaN where an outcome has no such number."""

    truths: Truths
    served: Served
    kind: Ints  # index into `KINDS`
    predicted_positive: Floats
    positive: Floats
    prediction_value: Floats
    label_value: Floats  # of a ranking its relevance
    label_probability: Floats
    position: Floats

    @property
    def n(self) -> int:
        """Number of outcomes."""
        return len(self.kind)

    def take(self, rows: Ints) -> Outcomes:
        """These rows, in this order."""
        columns = (column[rows] for column in self[2:])
        return Outcomes._make((self.truths.take(rows), self.served.take(rows), *columns))

    @property
    def wrong(self) -> Bools:
        """Whether the prediction was another class than the truth; false for outcomes that are not classes."""
        other: Bools = np.asarray(self.served.prediction != self.truths.label, np.bool_)
        opposite: Bools = self.predicted_positive != self.positive
        wrong: Bools = np.where(self.kind == BINARY, opposite, (self.kind == MULTICLASS) & other)
        return wrong


def outcomes(truths: Truths, served: Served, catalog: Catalog) -> Outcomes:
    """What came of answered predictions, each in the terms of its model's kind.

    Of a model that nobody described each pair is taken for what it looks like: true, false, 1 and 0 for binary, a label
    with a position for a ranking, other numbers for regression, the rest for classes.

    A binary model whose positive class is `true` but that speaks of other classes is compared by class as well: calling
    all of them negative would make it right every time.
    """
    n = truths.n
    made = Outcomes(truths, served, np.zeros(n, np.int64), *(np.full(n, np.nan) for _ in range(6)))
    described = catalog.described()
    for model, rows in by_key(truths.model.tolist()).items():
        spec = catalog.spec(model)
        made.kind[rows] = _kinds(truths.take(rows), served.take(rows), spec if model in described else None)
        binary = rows[made.kind[rows] == BINARY]
        made.predicted_positive[binary] = _positive(served.prediction[binary], spec.positive)
        made.positive[binary] = _positive(truths.label[binary], spec.positive)
    classes, numbers, items = (np.flatnonzero(made.kind == kind) for kind in (MULTICLASS, REGRESSION, RANKING))
    made.label_probability[classes] = [
        _given(*pair) for pair in zip(served.probabilities[classes], truths.label[classes], strict=True)
    ]
    made.prediction_value[numbers] = served.prediction_value[numbers]
    made.label_value[numbers] = truths.value[numbers]
    # A click may be told as a boolean or as a number, and is the same.
    relevance, said = truths.value[items], truths.label[items]
    made.label_value[items] = np.where(_among(said, _BOOLEAN), _positive(said, "true"), relevance)
    made.position[items] = truths.position[items]
    return made


def by_key(keys: Iterable[_K]) -> dict[_K, Ints]:
    """The rows of each key, ascending.

    >>> {key: rows.tolist() for key, rows in by_key("abba").items()}
    {'a': [0, 3], 'b': [1, 2]}
    """
    numbers: dict[_K, int] = {}
    codes = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
    if len(numbers) == 1:
        return {key: np.arange(len(codes)) for key in numbers}
    order = np.argsort(codes, kind="stable")
    if not numbers:
        return {}
    cuts = np.searchsorted(codes[order], np.arange(1, len(numbers)))
    return dict(zip(numbers, np.split(order, cuts), strict=True))


def _kinds(truths: Truths, served: Served, spec: ModelSpec | None) -> Ints:
    """The kind of each pair of one model; `spec` is `None` when nobody described it."""
    if spec is not None and (spec.kind != "binary" or spec.positive not in _BOOLEAN):
        return np.full(truths.n, KINDS.index(spec.kind))
    boolean = _among(truths.label, _BOOLEAN) & _among(served.prediction, _BOOLEAN)
    if spec is not None:
        return np.where(boolean, BINARY, MULTICLASS)
    numeric = ~(np.isnan(truths.value) | np.isnan(served.prediction_value))
    plain = np.where(boolean, BINARY, np.where(numeric, REGRESSION, MULTICLASS))
    return np.where(np.isnan(truths.position), plain, RANKING)


def _positive(names: Objects, positive: str) -> Bools:
    return _among(names, {name for name in set(names) if is_positive(name, positive)})


def _among(names: Objects, wanted: Collection[str]) -> Bools:
    return np.fromiter(map(wanted.__contains__, names), np.bool_, len(names))


def _given(probabilities: Mapping[str, float], label: str) -> float:
    """What the model gave a class, NaN if it gave none: one that it does not name has no more than others left."""
    if not probabilities:
        return math.nan
    named = probabilities.get(label)
    return max(0.0, 1.0 - math.fsum(probabilities.values())) if named is None else named
