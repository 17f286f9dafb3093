"""How long each detector runs without a change before it raises a false alarm, by its threshold: measured, not assumed.

In the walk: `budget` turns the run length that a model's budget allows into a threshold. The table beside this module
comes from `python -m driftline_streams.detectors.calibrate`, which runs the detectors themselves on values as `watch`
and `errors` feed them. Between its rows the threshold is interpolated in the logarithm of the run length; beyond them
it follows the line through the last three, for the tails of these detectors are exponential: run lengths over the
longest of the table (`longest`) are extrapolated, not measured.
"""

from __future__ import annotations

import math
from functools import cache
from importlib import resources

import msgspec
import numpy as np

from driftline_streams.kernel.histogram import Floats

TABLE = "run_lengths.json"
# Methods whose threshold is a probability: the logarithm of the run length is linear in its logarithm.
PROBABILITIES = frozenset({"adwin", "hddm_a", "hddm_w"})
STREAM = 40_000  # outcomes of the streams that the detectors of errors were run on
SHARES = (0.01, 0.05, 0.2, 0.5)  # of errors, with which the detectors of errors were run
_LIMITS = {"ddm": (2.0, 10.0), "eddm": (0.3, 0.95), "hddm_a": (1e-15, 0.1), "hddm_w": (1e-15, 0.1)}


class Measured(msgspec.Struct, frozen=True, array_like=True):
    """One row: a threshold, the average run length with it in values, and the standard error of that average."""

    threshold: float
    run_length: float
    error: float


@cache
def table() -> dict[str, list[Measured]]:
    """Rows by method (for detectors of the error stream by method and rate, `ddm 0.1`), by ascending run length."""
    raw = resources.files(__package__).joinpath(TABLE).read_bytes()
    return msgspec.json.decode(raw, type=dict[str, list[Measured]])


def threshold(key: str, run_length: float) -> float:
    """The threshold with which detector `key` raises a false alarm once in `run_length` values on average.

    Run lengths under the shortest of the table get its threshold: such a detector raises fewer.

    Raises
    ------
    KeyError
        If the table has no such detector.
    """
    lengths, scaled, back = _lines(key)
    wanted = math.log(max(run_length, 1.0))
    if wanted <= lengths[-1]:
        found = float(np.interp(wanted, lengths, scaled))
    else:
        slope, start = _beyond(key)
        found = float(start + slope * wanted)
    return math.exp(found) if back else found


def key(method: str, share: float) -> str:
    """The name in the table of a detector of errors at a share of errors.

    >>> key("ddm", 0.05)
    'ddm 0.05'
    """
    return f"{method} {share:g}"


def for_errors(method: str, run_length: float, share: float) -> float:
    """The threshold of a detector of errors, interpolated in the logarithm of the share; outside, the nearest."""
    found = np.array([threshold(key(method, each), run_length) for each in SHARES])
    scaled = np.log(found) if method in PROBABILITIES else found
    at = float(np.interp(math.log(share), np.log(SHARES), scaled))
    least, most = _LIMITS[method]
    return max(least, min(most, math.exp(at) if method in PROBABILITIES else at))


def run_length(key: str, threshold: float) -> float:
    """The other way round: how many values detector `key` runs with a threshold (extrapolated on both sides)."""
    lengths, scaled, back = _lines(key)
    at = math.log(threshold) if back else threshold
    ascending = np.argsort(scaled)
    if scaled[ascending[0]] <= at <= scaled[ascending[-1]]:
        return math.exp(float(np.interp(at, scaled[ascending], lengths[ascending])))
    beyond = slice(-3, None) if abs(at - scaled[-1]) < abs(at - scaled[0]) else slice(0, 3)
    slope, start = np.polyfit(scaled[beyond], lengths[beyond], 1)
    return math.exp(min(700.0, float(start + slope * at)))


def longest(key: str) -> float:
    """The longest run length of detector `key` that was measured, in values."""
    return table()[key][-1].run_length


def _beyond(key: str) -> tuple[float, float]:
    """Slope and start of the line beyond the longest run length."""
    lengths, scaled, back = _lines(key)
    if len(lengths) < 3 and back:  # half the chance, twice the run length
        return -1.0, float(scaled[-1] + lengths[-1])
    slope, start = np.polyfit(lengths[-3:], scaled[-3:], 1)
    return float(slope), float(start)


@cache
def _lines(key: str) -> tuple[Floats, Floats, bool]:
    """Logarithms of run lengths, ascending, and thresholds (their logarithms for probabilities)."""
    rows = table()[key]
    logarithmic = key.split(maxsplit=1)[0] in PROBABILITIES
    at = np.array([row.threshold for row in rows])
    return np.log([row.run_length for row in rows]), np.log(at) if logarithmic else at, logarithmic
