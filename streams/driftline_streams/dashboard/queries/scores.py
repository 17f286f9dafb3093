"""Months of a version: whether scores came true, which classes were taken for which, how far numbers were off.

Of a version in several roles each answer names the role; a month is given by its first second.
"""

from __future__ import annotations

from msgspec import Struct

from driftline_streams.dashboard.queries.performance import first_day
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import Span

MOST_CELLS = 2_000  # of a confusion matrix
MOST_POSITIONS = 30


class Month(Struct, frozen=True):
    """A month with labels."""

    role: str
    at_s: int
    labelled: int


class Band(Struct, frozen=True):
    """The outcomes with a score from `band_start` up to `band_end`; intervals are of 95 %."""

    band_start: float
    band_end: float
    n: int
    mean_score: float | None
    observed: float | None  # share that came true
    low: float | None
    high: float | None
    wrong: float | None  # share of wrong answers
    wrong_low: float | None
    wrong_high: float | None


class Cell(Struct, frozen=True):
    """Outcomes of a true class that a class was predicted for, by weight."""

    predicted: str
    actual: str
    n: float


class Residuals(Struct, frozen=True):
    """Quantiles of prediction minus truth in a month."""

    role: str
    at_s: int
    n: int
    p05: float
    p25: float
    p50: float
    p75: float
    p95: float


class Position(Struct, frozen=True):
    """Items that were shown in a position, and the share that was clicked, with its 95 % interval."""

    position: int
    shown: float
    ctr: float | None
    low: float | None
    high: float | None


async def months(reader: Reader, model: str, version: str, span: Span) -> list[Month]:
    """With labels, the newest first."""
    sql = (
        "SELECT role, toUnixTimestamp(toDateTime(toStartOfMonth(day), 'UTC')) AS at_s, sum(p.n) AS labelled "
        "FROM performance AS p FINAL WHERE model = {model:String} AND version = {version:String} AND dim = '' "
        f"AND stage = 'latest' AND day >= {first_day('month')} GROUP BY role, at_s HAVING labelled > 0 "
        "ORDER BY at_s DESC, role"
    )
    return await reader.rows(Month, sql, {"model": model, "version": version, "start": span.start_s})


_OF = (
    "model = {model:String} AND version = {version:String} AND role = {role:String} "
    "AND month = toDate(toDateTime({month:Int64}, 'UTC'))"
)


async def bands(reader: Reader, model: str, version: str, month: Month) -> list[Band]:
    """By score, ascending."""
    sql = (
        "SELECT band_start, band_end, n, mean_score, positive_rate AS observed, positive_rate_low AS low, "
        "positive_rate_high AS high, error_rate AS wrong, error_rate_low AS wrong_low, error_rate_high AS wrong_high "
        f"FROM (SELECT * FROM calibration WHERE {_OF}) AS come INNER JOIN (SELECT band_start, error_rate, "
        f"error_rate_low, error_rate_high FROM score_bands WHERE {_OF}) AS missed USING (band_start) "
        "ORDER BY band_start"
    )
    return await reader.rows(Band, sql, _asked(model, version, month))


async def confusion(reader: Reader, model: str, version: str, month: Month) -> list[Cell]:
    """The most frequent cells."""
    order = f"ORDER BY n DESC, actual, predicted LIMIT {MOST_CELLS}"
    sql = f"SELECT predicted, actual, n FROM confusion WHERE {_OF} {order}"
    return await reader.rows(Cell, sql, _asked(model, version, month))


async def residuals(reader: Reader, model: str, version: str, span: Span) -> list[Residuals]:
    """By month, ascending."""
    sql = (
        "SELECT role, toUnixTimestamp(toDateTime(month, 'UTC')) AS at_s, n, p05, p25, p50, p75, p95 FROM residuals "
        f"WHERE model = {{model:String}} AND version = {{version:String}} AND month >= {first_day('month')} "
        "ORDER BY role, month"
    )
    return await reader.rows(Residuals, sql, {"model": model, "version": version, "start": span.start_s})


async def positions(reader: Reader, model: str, version: str, month: Month) -> list[Position]:
    """From the top; 0 is unknown."""
    sql = (
        "SELECT position, shown, ctr, ctr_low AS low, ctr_high AS high FROM ranking_positions "
        f"WHERE {_OF} ORDER BY position LIMIT {MOST_POSITIONS}"
    )
    return await reader.rows(Position, sql, _asked(model, version, month))


def _asked(model: str, version: str, month: Month) -> dict[str, str | int]:
    return {"model": model, "version": version, "role": month.role, "month": month.at_s}
