"""How the numeric features of a reference go together.

In the walk: a step of `build`; `joint` compares samples of later windows with it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from driftline_schemas.spec import Joint
from driftline_streams.kernel import histogram, moments, scores, vectors
from driftline_streams.kernel.correlation import correlations
from driftline_streams.kernel.histogram import Floats, Ints
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

    Columns that are not features or whose quantiles are all the same are left out. Of the others those come first that
    are important (by signal), then those with the fewest missing values, then by name; whichever would leave fewer than
    half of the events with all features is passed over. `None` when fewer than two features or too few complete events
    remain.
    """
    n = max((len(column) for column in columns.values()), default=0)
    rows = np.random.default_rng(_SEED).permutation(n)[:MAX_EVENTS]
    edges = _choose(columns, rows, importance or {})
    names = sorted(edges)
    if len(names) < 2:
        return None
    values = np.stack([columns[name][rows] for name in names], axis=1)
    complete = score(values, [edges[name] for name in names])
    if len(complete) < LEAST_EVENTS:
        return None
    fitted, measured = complete[: len(complete) // 3], complete[len(complete) // 3 :]
    varied = fitted.max(axis=0) > fitted.min(axis=0)
    if not varied.all():  # where the others are there, a feature may always be the same
        return joint_of({name: columns[name] for name, yes in zip(names, varied, strict=True) if yes}, importance)
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


def _choose(columns: Mapping[str, Floats], rows: Ints, importance: Mapping[str, float]) -> dict[str, list[float]]:
    """The features that are compared, with the edges of their bins."""
    missing = {name: int((~np.isfinite(columns[name])).sum()) for name in columns if name.startswith(_FEATURE)}
    ranked = sorted(missing, key=lambda name: (-importance.get(name, 0.0), missing[name], name))
    complete, chosen = np.ones(len(rows), np.bool_), dict[str, list[float]]()
    for name in ranked:
        both = complete & np.isfinite(columns[name][rows])
        if both.sum() < max(_LEAST_COMPLETE * len(rows), _EVENTS_A_SIGNAL * (len(chosen) + 1)):
            continue
        edges = histogram.edges(columns[name]).tolist()
        if edges[0] < edges[-1]:
            complete, chosen[name] = both, edges
        if len(chosen) == MAX_SIGNALS:
            break
    return chosen


def _listed(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else value for value in _rounded(values).tolist()]


def _rounded(values: Floats) -> Floats:
    """Five digits: a fraction of what chance moves them by."""
    flat = [float(f"{value:.5g}") for value in values.ravel().tolist()]
    return np.array(flat, np.float64).reshape(values.shape)
