"""Ten signals as models have them, and one of them changed in a known way at a known event; or none, for months."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .streams import DAY_MS, HOUR_MS, START_MS, STEP_MS, Column, Stream, Table, rows, times

Random = np.random.Generator
Floats = npt.NDArray[np.float64]
Change = Callable[
    [Random, Column, Floats], Column
]  # values after the change, and how much of it there is at each (0-1)

A_DAY = DAY_MS // STEP_MS
N_REFERENCE = 5_000
BEFORE, AFTER = 2 * A_DAY, 2 * A_DAY
HISTORY_DAYS = 28  # for those who learn what hours of the week are like
COUNTRIES, SHARES = np.array(["US", "DE", "FR", "GB", "IN", "BR"]), np.array([0.4, 0.2, 0.15, 0.12, 0.08, 0.05])


def draw(r: Random, n: int) -> Table:
    """`n` events without drift: symmetric, skewed, heavy-tailed, bounded, counted and categorical signals."""
    return {
        "amount": r.normal(100, 20, n),
        "age": r.gamma(4, 10, n),
        "price": r.lognormal(3, 1, n),
        "error_term": r.standard_t(3, n),
        "share": r.uniform(0, 1, n),
        "rating": r.beta(2, 5, n),
        "items": r.poisson(3, n).astype(np.float64),
        "flag": (r.random(n) < 0.1).astype(np.float64),
        "country": r.choice(COUNTRIES, n, p=SHARES),
        "device": r.choice(np.array(["phone", "desktop", "tablet"]), n, p=[0.6, 0.3, 0.1]),
    }


def null(days: int) -> Callable[[int], Stream]:
    """Nothing changes."""

    def make(seed: int) -> Stream:
        r = np.random.default_rng([1, seed])
        n = days * A_DAY
        return Stream(draw(r, n), times(n), draw(r, N_REFERENCE))

    return make


def changed(signal: str, change: Change, *, over: int = 0) -> Callable[[int], Stream]:
    """One signal changes after two days and a part of a third, at once or over so many events."""

    def make(seed: int) -> Stream:
        r = np.random.default_rng([2, seed])
        at = BEFORE + int(r.integers(A_DAY))
        n = at + AFTER
        columns, reference = draw(r, n), draw(r, N_REFERENCE)
        _alter(r, columns, signal, change, at=at, over=over)
        return Stream(columns, times(n), reference, at, frozenset({signal}))

    return make


def rhythm(days: int, shift: float | None = None) -> Callable[[int], Stream]:
    """Days and weeks move every signal by up to a deviation; `shift` moves one of them by so many on top of it."""

    def make(seed: int) -> Stream:
        r = np.random.default_rng([3, seed])
        history = HISTORY_DAYS * A_DAY
        at = None if shift is None else 7 * A_DAY + int(r.integers(A_DAY))
        n = days * A_DAY if at is None else at + AFTER
        time_ms = times(history + n)
        table = _in_rhythm(r, draw(r, history + n), time_ms)
        columns = rows(table, slice(history, None))
        if at is not None and shift is not None:
            _alter(r, columns, "amount", moved(shift * 20), at=at)
        return Stream(
            columns,
            time_ms[history:],
            rows(table, slice(0, history)),
            at,
            frozenset() if at is None else frozenset({"amount"}),
            time_ms[:history],
        )

    return make


def _in_rhythm(r: Random, table: Table, time_ms: npt.NDArray[np.int64]) -> Table:
    hour = (time_ms - START_MS) % DAY_MS / HOUR_MS
    weekend = (time_ms - START_MS) // DAY_MS % 7 >= 5
    level = np.sin(2 * np.pi * (hour - 8) / 24) - 0.5 * weekend
    for name in ("amount", "age", "price", "error_term", "share", "rating", "items"):
        table[name] = table[name] + level * table[name].std()
    table["flag"] = (r.random(len(hour)) < 0.1 + 0.08 * level).astype(np.float64)
    abroad = r.random(len(hour)) < 0.15 * (1 + level)
    table["country"] = np.where(abroad, "IN", table["country"])
    table["device"] = np.where((r.random(len(hour)) < 0.3) & weekend, "tablet", table["device"])
    return table


def _alter(r: Random, columns: Table, signal: str, change: Change, *, at: int, over: int = 0) -> None:
    column = columns[signal].copy()
    n = len(column) - at
    column[at:] = change(r, column[at:], np.clip((np.arange(n) + 1) / over, 0, 1) if over else np.ones(n))
    columns[signal] = column


def moved(by: float) -> Change:
    """All values by as much."""
    return lambda _, values, share: values + by * share


def spread(factor: float) -> Change:
    """Around the mean."""
    return lambda _, values, share: values.mean() + (values - values.mean()) * (1 + (factor - 1) * share)


def reshaped(mean: float, deviation: float) -> Change:
    """To an exponential distribution of that mean and deviation."""
    return lambda r, values, _: mean + deviation * (r.exponential(1, len(values)) - 1)


def missing(rate: float) -> Change:
    """So many values are gone."""
    return lambda r, values, share: np.where(r.random(len(values)) < rate * share, np.nan, values)


def renamed(rate: float, to: str) -> Change:
    """So many values are another category."""
    return lambda r, values, share: np.where(r.random(len(values)) < rate * share, to, values)
