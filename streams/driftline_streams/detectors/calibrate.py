"""Simulate how long each detector runs without a change: `make calibrate` renews the table of `run_lengths`.

Standardised values are N(0, 1), because that is what `watch` makes of the means of windows; the detectors are those of
`online`, that is river's own classes. It takes about ten minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from driftline_streams.detectors.online import Adwin, PageHinkley
from driftline_streams.detectors.run_lengths import TABLE, Measured

SEED = 20
MOST_VALUES = 150_000_000  # of one row
ENOUGH = 1_000  # false alarms of one row: a standard error of 3 %
_CHUNK = 50_000


def simulate(
    update: Callable[[float], bool], values: Callable[[int], list[float]], most: int, enough: int
) -> tuple[float, float]:
    """The average run length and its standard error, from `enough` false alarms or `most` values.

    `values` draws as many values as it is asked for. With fewer than two alarms both are infinite.
    """
    runs: list[int] = []
    run = seen = 0
    while len(runs) < enough and seen < most:
        for x in values(_CHUNK):
            run += 1
            if update(x):
                runs.append(run)
                run = 0
        seen += _CHUNK
    if len(runs) < 2:
        return math.inf, math.inf
    # The unfinished run counts as observed time, so that stopping early is no bias (exponential run lengths).
    mean = (sum(runs) + run) / len(runs)
    return float(round(mean)), float(round(np.std(runs, ddof=1) / math.sqrt(len(runs))))


def standardised() -> Iterator[tuple[str, Measured]]:
    """The rows of the detectors of levels."""
    random = np.random.default_rng(SEED)

    def normal(n: int) -> list[float]:
        return random.standard_normal(n).tolist()  # type: ignore[no-any-return]

    for delta in (0.8, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001):
        yield Adwin.method, Measured(delta, *simulate(Adwin(delta).update, normal, MOST_VALUES, ENOUGH))
    for limit in (10.0, 15.0, 20.0, 26.0, 32.0, 38.0, 44.0, 50.0):
        yield PageHinkley.method, Measured(limit, *simulate(PageHinkley(limit).update, normal, MOST_VALUES, ENOUGH))


def main() -> None:
    """Write the table."""
    table: dict[str, list[Measured]] = {}
    for key, row in standardised():
        table.setdefault(key, []).append(row)
        print(f"{key:14} {row.threshold:8g} {row.run_length:12.0f} ± {row.error:.0f}", flush=True)
    Path(__file__).with_name(TABLE).write_text(as_text(table))


def as_text(table: dict[str, list[Measured]]) -> str:
    """JSON with a row a line."""
    parts = [f'"{key}": [\n' + ",\n".join(f"  {_json(row)}" for row in rows) + "\n]" for key, rows in table.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _json(row: Measured) -> str:
    return msgspec.json.encode(row).decode()


if __name__ == "__main__":
    main()
