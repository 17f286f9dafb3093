"""How the numeric features of a reference go together.

In the walk: a step of `build`; `joint` compares samples of later windows with it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from driftline_schemas.spec import Joint
from driftline_streams.kernel import histogram, moments, scores, vectors
from driftline_streams.kernel.correlation import correlations
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.joint import score
from driftline_streams.kernel.vectors import Directions

MAX_SIGNALS = 50  # of which a record has at most 90 kB
MAX_EVENTS = 30_000  # then what the reference leaves uncertain is little beside the sample of a window
LEAST_EVENTS = 300  # complete ones; a third of them gives the directions
_EVENTS_A_SIGNAL = 10
_LEAST_COMPLETE = 0.5  # of the events that were looked at
_SEED = 5
_FEATURE = "feature:"


def joint_of(columns: Mapping[str, Floats], importance: Mapping[str, float] | None = None) -> Joint | None:
    """How the features among `columns` go together: by signal, shape `(n,)` each, NaN where there is no value.

    Columns that are not features or do not vary are left out. Of the others those come first that are important (by
    signal), then those with the fewest missing values, then by name; whichever would leave fewer than half of the
    events with all features is passed over. `None` when fewer than two features or too few complete events remain.
    """
    importance = importance or {}
    named = sorted(name for name in columns if name.startswith(_FEATURE) and _varies(columns[name]))
    if len(named) < 2:
        return None
    values = np.stack([columns[name] for name in named], axis=1)
    edges = [histogram.edges(column) for column in values.T]
    rows = np.random.default_rng(_SEED).permutation(len(values))[:MAX_EVENTS]
    values = values[rows]
    chosen = _choose(values, named, importance)
    names, values, edges = [named[i] for i in chosen], values[:, chosen], [edges[i] for i in chosen]
    complete = score(values, [edge.tolist() for edge in edges]) if len(names) > 1 else values
    third = len(complete) // 3
    fitted, measured = complete[:third], complete[third:]
    if len(names) < 2 or len(complete) < LEAST_EVENTS or not (fitted.std(axis=0) > 0).all():
        return None
    found = correlations(scores.by_rank(values))
    pairs = np.triu_indices(len(names), 1)
    # What is kept is measured by what is kept: rounding must not look like a difference.
    by = Directions(*(_rounded(part) for part in vectors.directions(fitted, _SEED)))
    waves = vectors.waves(measured, by)
    return Joint(
        n=len(values),
        n_complete=len(measured),
        signals=names,
        correlations=_listed(found.r[pairs]),
        variances=_listed(found.variance[pairs]),
        means=by.means.tolist(),
        deviations=by.deviations.tolist(),
        components=by.components.tolist(),
        error=moments.of_values(vectors.reconstruction_errors(measured, by)),
        frequencies=by.frequencies.tolist(),
        waves=waves.mean(axis=0).tolist(),
        covariance=_rounded(np.cov(waves, rowvar=False)[np.triu_indices(waves.shape[1])]).tolist(),
    )


def _varies(column: Floats) -> bool:
    finite = column[np.isfinite(column)]
    return bool(len(finite)) and bool(finite.min() < finite.max())


def _choose(values: Floats, names: list[str], importance: Mapping[str, float]) -> list[int]:
    """The columns that are compared, in the order of their names."""
    present = np.isfinite(values)
    missing = (~present).sum(axis=0)
    ranked = sorted(range(len(names)), key=lambda i: (-importance.get(names[i], 0.0), missing[i], names[i]))
    complete, chosen = np.ones(len(values), np.bool_), list[int]()
    for i in ranked:
        both = complete & present[:, i]
        n = int(both.sum())
        if n < _LEAST_COMPLETE * len(values) or n < _EVENTS_A_SIGNAL * (len(chosen) + 1):
            continue
        complete, chosen = both, [*chosen, i]
        if len(chosen) == MAX_SIGNALS:
            break
    return sorted(chosen)


def _listed(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else value for value in _rounded(values).tolist()]


def _rounded(values: Floats) -> Floats:
    """Five digits: a fraction of what chance moves them by."""
    flat = [float(f"{value:.5g}") for value in values.ravel().tolist()]
    return np.array(flat, np.float64).reshape(values.shape)
