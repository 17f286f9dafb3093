"""How the numeric features of a reference go together.

In the walk: a step of `build`; `joint` compares samples of later windows with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from driftline_schemas.spec import Days, Joint, Level
from driftline_streams.kernel import histogram, moments, scores, vectors
from driftline_streams.kernel.correlation import correlations, fisher
from driftline_streams.kernel.histogram import Floats, Ints
from driftline_streams.kernel.joint import NEAR, TINY, score
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.signals import FEATURE
from driftline_streams.kernel.vectors import Directions

MAX_SIGNALS = 50  # of which a record has at most 90 kB
MAX_EVENTS = 30_000  # then what the reference leaves uncertain is little beside the sample of a day
MAX_DAYS = 35
MAX_EVENTS_OF_DAY = 2_000
LEAST_DAYS = 4  # that are measured
LEAST_EVENTS = 100  # complete ones: of a day, and of those that give the directions
_EVENTS_A_SIGNAL = 10
_LEAST_COMPLETE = 0.5  # of the events that were looked at
_SEED = 5


def joint_of(
    columns: Mapping[str, Floats],
    importance: Mapping[str, float] | None = None,
    times_ms: Ints | None = None,
) -> Joint | None:
    """How the features among `columns` go together: by signal, shape `(n,)` each, NaN where there is no value.

    Columns that are not features or whose quantiles are all the same are left out. Of the others those come first that
    are important (by signal), then those with the fewest missing values, then by name; whichever would leave fewer than
    half of the events with all features is passed over.

    With `times_ms`, the time of each event, it knows how the days of the reference differ. `None` when fewer than two
    features, too few complete events, or fewer than six days remain: how days differ cannot be known then.
    """
    n = max((len(column) for column in columns.values()), default=0)
    fitted, measured = _split(n) if times_ms is None else _split_by_day(times_ms)
    if times_ms is not None and len(measured) < LEAST_DAYS:
        return None
    edges = _choose(columns, np.concatenate([fitted, *measured]), importance or {})
    names = sorted(edges)
    if len(names) < 2:
        return None

    def values_of(rows: Ints) -> Floats:
        return np.stack([columns[name][rows] for name in names], axis=1)

    vectors_of = [score(values_of(rows), [edges[name] for name in names]) for rows in (fitted, *measured)]
    first = vectors_of[0]
    enough = [len(found) >= LEAST_EVENTS for found in vectors_of]
    if not enough[0] or sum(enough[1:]) < (1 if times_ms is None else LEAST_DAYS):
        return None
    varied = first.max(axis=0) > first.min(axis=0)
    if not varied.all():  # where the others are there, a feature may always be the same
        kept = {name: columns[name] for name, yes in zip(names, varied, strict=True) if yes}
        return joint_of(kept, importance, times_ms)
    # What is kept is measured by what is kept: rounding must not look like a difference.
    by = Directions(*(_rounded(part) for part in vectors.directions(first, _SEED)))
    groups = [found for found, yes in zip(vectors_of[1:], enough[1:], strict=True) if yes]
    errors = [vectors.reconstruction_errors(found, by) for found in groups]
    waves = [vectors.waves(found, by) for found in groups]
    every = np.concatenate(waves)
    covariance = np.cov(every, rowvar=False)
    if times_ms is None:
        days, (r, variance) = None, _of_events(values_of(np.concatenate([fitted, *measured])))
    else:
        days = Days(
            n=len(groups),
            error=_level([error.mean() for error in errors]),
            distance=_level([NEAR + distance for distance in _distances(waves)]),
        )
        r, variance = _of_days([values_of(rows) for rows, yes in zip(measured, enough[1:], strict=True) if yes])
    return Joint(
        n=len(fitted) + sum(map(len, measured)),
        n_complete=len(every),
        signals=names,
        correlations=_listed(r),
        variances=_listed(variance),
        means=by.means.tolist(),
        deviations=by.deviations.tolist(),
        components=by.components.tolist(),
        error=moments.of_values(np.concatenate(errors)),
        frequencies=by.frequencies.tolist(),
        waves=every.mean(axis=0).tolist(),
        covariance=_rounded(covariance[np.triu_indices(len(covariance))]).tolist(),
        days=days,
    )


def _split(n: int) -> tuple[Ints, list[Ints]]:
    """A third of the events, for the directions, and the others."""
    rows = np.random.default_rng(_SEED).permutation(n)[:MAX_EVENTS]
    return rows[: len(rows) // 3], [rows[len(rows) // 3 :]]


def _split_by_day(times_ms: Ints) -> tuple[Ints, list[Ints]]:
    """The events of every third day from the first event on, and those of each of the others.

    Of the days with enough events at most `MAX_DAYS`, at equal distances. One with hardly an event, such as the last
    one, says little of what days are like.
    """
    day = (times_ms - times_ms.min(initial=2**62)) // DAY_MS
    counts = np.bincount(day)
    full = np.flatnonzero(counts >= max(LEAST_EVENTS, np.median(counts[counts > 0]) / 2)) if len(counts) else counts
    chosen = full[np.linspace(0, len(full) - 1, min(MAX_DAYS, len(full))).round().astype(np.int64)]
    dice = np.random.default_rng(_SEED)
    rows = [dice.permutation(np.flatnonzero(day == each))[:MAX_EVENTS_OF_DAY] for each in chosen.tolist()]
    return np.concatenate([np.empty(0, np.int64), *rows[::3]]), [each for i, each in enumerate(rows) if i % 3]


def _of_events(values: Floats) -> tuple[Floats, Floats]:
    """Correlation and variance of Fisher's z of each pair, when events are independent."""
    found, pairs = correlations(scores.by_rank(values)), np.triu_indices(values.shape[1], 1)
    return found.r[pairs], found.variance[pairs]


def _of_days(days: Sequence[Floats]) -> tuple[Floats, Floats]:
    """The same of one more day; NaN for a pair that has no correlation on some day."""
    z = np.stack([fisher(_of_events(values)[0]) for values in days])
    return np.tanh(z.mean(axis=0)), z.var(axis=0, ddof=1) * (1 + 1 / len(z))


def _distances(days: Sequence[Floats]) -> list[float]:
    """How far each day is from the others, in their waves."""
    n, total, products = sum(map(len, days)), np.sum([day.sum(axis=0) for day in days], axis=0), [d.T @ d for d in days]
    every = np.sum(products, axis=0)
    found = []
    for day, product in zip(days, products, strict=True):
        others = n - len(day)
        mean = (total - day.sum(axis=0)) / others
        covariance = (every - product - others * np.outer(mean, mean)) / (others - 1)
        found.append(vectors.difference(day, mean, covariance, others).distance)
    return found


def _level(values: Sequence[float]) -> Level:
    logarithms = np.log(np.maximum(values, TINY))
    return Level(float(logarithms.mean()), float(logarithms.std(ddof=1)))


def _choose(columns: Mapping[str, Floats], rows: Ints, importance: Mapping[str, float]) -> dict[str, list[float]]:
    """The features that are compared, with the edges of their bins."""
    missing = {name: int((~np.isfinite(columns[name])).sum()) for name in columns if name.startswith(FEATURE)}
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
    return [None if np.isnan(value) else value for value in _rounded(values, 4).tolist()]


def _rounded(values: Floats, digits: int = 5) -> Floats:
    """So many digits: a fraction of what chance moves them by."""
    flat = [float(f"{value:.{digits}g}") for value in values.ravel().tolist()]
    return np.array(flat, np.float64).reshape(values.shape)
