"""A cohort: the sums over the outcomes of the predictions of one day, or of any days together.

In the walk: `performance/cohorts.py` has ClickHouse compute them as rows of the table `performance`; who judges,
estimates or compares asks for them with `SELECT` and merges them. Attributes are the columns of the table, which say in
`001_tables.sql` what each of them sums. Sums weigh each outcome by the weight of its label, counts do not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """A row of `performance`. Without outcomes every count is 0 and every map empty."""

    model: str
    version: str
    role: str
    day: dt.date
    dim: str = ""
    segment: str = ""
    stage: str = "latest"
    n: int
    weight: float
    weight_squares: float
    newest_label: dt.datetime
    delays: Mapping[str, int]
    classified: int
    classified_weight: float
    binaries: int
    correct: float
    confusion: Mapping[str, float]
    scored: int
    positives: Mapping[int, float]
    negatives: Mapping[int, float]
    band_n: Mapping[int, int]
    band_weight: Mapping[int, float]
    band_score: Mapping[int, float]
    band_positive: Mapping[int, float]
    band_wrong: Mapping[int, float]
    squared_errors: float
    squared_errors2: float
    surprise: float
    surprise2: float
    surprised: float
    confident: int
    confident_wrong: int
    measured: int
    measured_weight: float
    residuals: float
    absolute_errors: float
    squared_residuals: float
    fourth_powers: float
    truths: float
    truth_squares: float
    truth_cubes: float
    truth_fourths: float
    cross_cubes: float
    cross_fourths: float
    relative: float
    relative_errors: float
    relative_errors2: float
    residual_buckets: Mapping[int, int]
    lists: int
    shown: Mapping[int, float]
    clicked: Mapping[int, float]
    reciprocal_ranks: float
    reciprocal_ranks2: float
    ndcg: float
    ndcg2: float
    ndcg_lists: int
    computed_at: dt.datetime


_COLUMNS = tuple(field.name for field in fields(Cohort))
_NAMES = frozenset({"model", "version", "role", "dim", "segment", "stage"})

# To be followed by what narrows it down, such as "WHERE model = {model:String} AND stage = 'latest' AND dim = ''".
SELECT = f"SELECT {', '.join(_COLUMNS)} FROM performance FINAL"


def of(row: Mapping[str, Any]) -> Cohort:
    """The cohort of a row that `SELECT` gives; other columns are left out.

    Raises
    ------
    KeyError
        If a column is missing.
    """
    return Cohort(**{name: row[name] for name in _COLUMNS})


def merge(a: Cohort, b: Cohort) -> Cohort:
    """Both together: associative, commutative, and exact but for the rounding of floating-point sums.

    Names in which they differ become empty. The day is the earlier one; the newest label is that of both; what was
    joined before the earlier `computed_at` is in it. They must be of different outcomes, as different days are.
    """
    merged: dict[str, Any] = {}
    for name in _COLUMNS:
        one, other = getattr(a, name), getattr(b, name)
        if name in _NAMES:
            merged[name] = one if one == other else ""
        elif name == "newest_label":
            merged[name] = max(one, other)
        elif name in {"day", "computed_at"}:
            merged[name] = min(one, other)
        elif isinstance(one, Mapping):
            merged[name] = {key: one.get(key, 0) + other.get(key, 0) for key in sorted(one.keys() | other.keys())}
        else:
            merged[name] = one + other
    return Cohort(**merged)
