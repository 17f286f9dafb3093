"""The rates of classes from how many outcomes of each there are: as they stand, and the least and most they can be.

In the walk: `nowcast.py` asks for them.

References
----------
Manski (1989), Anatomy of the selection problem, Journal of Human Resources 24, 343-360.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from driftline_streams.kernel.histogram import Floats

BINARY = ("tp", "fp", "tn", "fn")
_RIGHT, _WRONG = ("tp", "tn", "right"), ("fp", "fn", "wrong")
_SPLITS = 1_001  # of the missing labels between two classes

Counts = Mapping[str, npt.NDArray[np.float64] | float]


def rates(counts: Counts) -> dict[str, Floats]:
    """Each rate by its name, in the shape of the counts of the classes; NaN where it is undefined.

    Accuracy of any classes; the others where there are counts of positives and negatives.

    >>> {name: round(float(rate), 2) for name, rate in rates({"tp": 3, "fp": 1, "tn": 5, "fn": 1}).items()}
    {'accuracy': 0.8, 'precision': 0.75, 'recall': 0.75, 'f1': 0.75, 'specificity': 0.83, 'balanced_accuracy': 0.79}
    """
    right, wrong = (
        sum((np.asarray(counts.get(name, 0.0)) for name in side), np.zeros(())) for side in (_RIGHT, _WRONG)
    )
    out = {"accuracy": _share(right, wrong)}
    if any(name in counts for name in BINARY):
        tp, fp, tn, fn = (np.asarray(counts.get(name, 0.0), np.float64) for name in BINARY)
        out["precision"] = _share(tp, fp)
        out["recall"] = _share(tp, fn)
        out["f1"] = _share(2 * tp, fp + fn)
        out["specificity"] = _share(tn, fp)
        out["balanced_accuracy"] = (out["recall"] + out["specificity"]) / 2
    return out


def bounds(counts: Mapping[str, float], missing: float) -> dict[str, tuple[float, float]]:
    """The least and the most each rate can become while `missing` more outcomes of any class may come.

    Sharp, but for how finely those of balanced accuracy are looked for. (0, 1) where nothing is known of the rate.

    >>> bounds({"tp": 3, "fp": 1, "tn": 5, "fn": 1}, 2)["precision"]
    (0.5, 0.8333333333333334)
    """
    every = ("right", "wrong") if not any(name in counts for name in BINARY) else BINARY
    split = np.linspace(0.0, missing, _SPLITS) if missing > 0 else np.zeros(1)
    lows: dict[str, list[float]] = {}
    highs: dict[str, list[float]] = {}
    for first in every:
        for second in every:
            more = dict(counts)
            given = {name: np.full(len(split), more.get(name, 0.0)) for name in every}
            given[first] = given[first] + split
            given[second] = given[second] + (missing - split)
            for name, rate in rates(given).items():
                if np.isfinite(rate).any():
                    lows.setdefault(name, []).append(float(np.nanmin(rate)))
                    highs.setdefault(name, []).append(float(np.nanmax(rate)))
    return {
        name: (min(lows.get(name, [0.0])), max(highs.get(name, [1.0]))) for name in rates(dict.fromkeys(every, 0.0))
    }


def _share(one: Floats, other: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        out: Floats = np.asarray(one / (one + other), np.float64)
        return out
