"""What watching a value costs, and how soon a change is found, with more and with less traffic in a window."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from . import ours, recipes
from .judge import delay
from .streams import Stream, times

SIGNALS = 10
WINDOW_MS = 300_000
LEVELS = (30, 300, 3_000)  # events in a feature window
WARM_WINDOWS, AFTER_WINDOWS = 30, 120
SHIFT = 0.3


@dataclass(frozen=True, slots=True)
class Level:
    """At so many events a window: µs of CPU a value, and the median delay after a step of 0.3 deviations, in events."""

    a_window: int
    ours_us: float
    from_events_us: float  # with decoding, validation and raw rows: the whole of `ingest`; NaN when it was not measured
    stock_us: float  # ADWIN and Page-Hinkley, as ours runs both
    delay: float
    stock_delay: float


def measure(a_window: int, *, events: int, rounds: int, seeds: int, whole: bool) -> Level:
    """Take turns, and count the best round of each."""
    stream = _stream(a_window, events, 0)
    model, encoded = ours.described(stream), ours.encoded(stream) if whole else []
    contestants: list[Callable[[], object]] = [
        lambda: ours.from_windows(stream, model),
        lambda: [recipes.every_value(stream, name, standardised=True) for name in ("ADWIN", "PageHinkley")],
        *([lambda: ours.from_events(stream, encoded, model)] if whole else []),
    ]
    spent = [[_cpu_s(run) for run in contestants] for _ in range(rounds)]
    best = [min(column) / (len(stream) * SIGNALS) * 1e6 for column in zip(*spent, strict=True)]
    delays, stock = [], []
    for seed in range(seeds):
        shifted = _shifted(a_window, seed)
        delays.append(delay(shifted, ours.from_windows(shifted)))
        stock.append(delay(shifted, recipes.every_value(shifted, "ADWIN", standardised=True)))
    return Level(a_window, best[0], best[2] if whole else np.nan, best[1], _median(delays), _median(stock))


def _cpu_s(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def _stream(a_window: int, events: int, seed: int) -> Stream:
    r = np.random.default_rng([5, seed])
    columns = {f"x{i}": r.normal(size=events) for i in range(SIGNALS)}
    return Stream(columns, times(events, WINDOW_MS // a_window), {name: r.normal(size=5_000) for name in columns})


def _shifted(a_window: int, seed: int) -> Stream:
    r = np.random.default_rng([6, seed])
    at = WARM_WINDOWS * a_window + int(r.integers(a_window))
    values = r.normal(size=at + AFTER_WINDOWS * a_window)
    values[at:] += SHIFT
    return Stream(
        {"x": values}, times(len(values), WINDOW_MS // a_window), {"x": r.normal(size=5_000)}, at, frozenset({"x"})
    )


def _median(delays: Sequence[int | None]) -> float:
    return statistics.median(np.inf if each is None else each for each in delays)
