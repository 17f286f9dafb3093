"""Simulate how long each detector runs without a change: `make calibrate` renews the table of `run_lengths`.

Standardised values are N(0, 1), because that is what `watch` makes of the means of windows; the detectors are those of
`online` and `binary`, that is river's own classes. It takes about ten minutes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from driftline_streams.detectors.changes.binary import BinaryDetector, Ddm, Eddm, HddmA, HddmW
from driftline_streams.detectors.changes.online import Adwin, PageHinkley
from driftline_streams.detectors.run_lengths import SHARES, STREAM, TABLE, Measured, key

SEED = 20
MOST_VALUES = 50_000_000  # of one row
ENOUGH = 600  # false alarms of one row: a standard error of 4 %
ENOUGH_OF_ERRORS = 100
_FEWEST = 4  # false alarms that make a row: of fewer, the run length is not known to a factor of two
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

    for delta in (0.5, 0.2, 0.06, 0.02, 0.006, 0.002, 0.0006):
        yield Adwin.method, Measured(delta, *simulate(Adwin(delta).update, normal, MOST_VALUES, ENOUGH))
    for limit in (10.0, 15.0, 20.0, 26.0, 32.0, 38.0, 44.0, 50.0):
        yield PageHinkley.method, Measured(limit, *simulate(PageHinkley(limit).update, normal, MOST_VALUES, ENOUGH))


def outcomes() -> Iterator[tuple[str, Measured]]:
    """The rows of the detectors of errors, for each share of errors.

    They raise most of their false alarms soon after they were armed, and the run length grows with the length of the
    stream. So it is that of streams of `STREAM` outcomes; in longer ones it is longer.
    """
    random = np.random.default_rng(SEED)
    for share, (make, most, thresholds) in itertools.product(SHARES, _GRID):
        for threshold in thresholds:
            alarms = streams = 0
            while streams < most and alarms < ENOUGH_OF_ERRORS:
                detector = make(threshold)
                detector.arm(threshold, share)
                alarms += sum(map(detector.update, (random.random(STREAM) < share).tolist()))
                streams += 1
            if alarms >= _FEWEST:
                length = STREAM * streams / alarms
                yield key(detector.method, share), Measured(threshold, round(length), round(length / alarms**0.5))


# Detector, streams at most (both HDDM take ten times as long), thresholds.
_GRID: tuple[tuple[Callable[[float], BinaryDetector], int, tuple[float, ...]], ...] = (
    (Ddm, 150, (2.0, 2.5, 3.0, 3.5)),
    (Eddm, 150, (0.95, 0.9, 0.85, 0.8, 0.75, 0.7)),
    (HddmA, 30, (0.1, 0.03, 0.01)),
    (HddmW, 30, (0.1, 0.03, 0.01, 0.003)),
)


def main() -> None:
    """Write the table."""
    table: dict[str, list[Measured]] = {}
    for name, row in itertools.chain(standardised(), outcomes()):
        table.setdefault(name, []).append(row)
        print(f"{name:14} {row.threshold:8g} {row.run_length:12.0f} ± {row.error:.0f}", flush=True)
    Path(__file__).with_name(TABLE).write_text(as_text(table))


def as_text(table: dict[str, list[Measured]]) -> str:
    """JSON with a row a line."""
    parts = [f'"{name}": [\n' + ",\n".join(f"  {_json(row)}" for row in rows) + "\n]" for name, rows in table.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _json(row: Measured) -> str:
    return msgspec.json.encode(row).decode()


if __name__ == "__main__":
    main()
