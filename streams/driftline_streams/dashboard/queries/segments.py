"""Segments of a model beside each other, and groups that are held against each other."""

from __future__ import annotations

from msgspec import Struct

from driftline_streams.dashboard.queries.performance import first_day
from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import Span

MOST_PARTS = 500
MOST_GAPS = 2_000


class Part(Struct, frozen=True):
    """A segment of the last four settled weeks against all other outcomes of its version and role."""

    role: str
    through_s: int  # the last day
    dim: str
    segment: str
    metric: str
    value: float
    rest: float
    difference: float  # of value and rest, with its 95 % interval
    low: float
    high: float
    effect: float  # how much worse it is: of means in deviations of the others
    q_value: float  # all that is compared is accounted for
    n: int


class Gap(Struct, frozen=True):
    """Two groups of a protected attribute in a month: how far a rate of the one is above that of the other."""

    role: str
    at_s: int
    settled: bool
    attribute: str
    metric: str
    lower_group: str
    higher_group: str
    lower_rate: float
    higher_rate: float
    gap: float
    low: float
    high: float
    lower_n: int
    higher_n: int
    allowed: float
    state: str  # beyond, within, not yet or insufficient data


async def parts(reader: Reader, model: str, version: str) -> list[Part]:
    """By metric, the worst first."""
    sql = (
        "SELECT role, toUnixTimestamp(toDateTime(through, 'UTC')) AS through_s, dim, segment, metric, value, rest, "
        "difference, low, high, effect, q_value, n FROM worst_segments "
        "WHERE model = {model:String} AND version = {version:String} "
        f"ORDER BY role, metric, place LIMIT {MOST_PARTS}"
    )
    return await reader.rows(Part, sql, {"model": model, "version": version})


async def gaps(reader: Reader, model: str, version: str, span: Span) -> list[Gap]:
    """By month, the widest first."""
    sql = (
        "SELECT role, toUnixTimestamp(toDateTime(month, 'UTC')) AS at_s, toBool(settled) AS settled, attribute, "
        "metric, lower_group, higher_group, lower_rate, higher_rate, gap, low, high, lower_n, higher_n, allowed, state "
        "FROM fairness_monthly WHERE model = {model:String} AND version = {version:String} "
        f"AND month >= {first_day('month')} ORDER BY month DESC, role, gap DESC LIMIT {MOST_GAPS}"
    )
    return await reader.rows(Gap, sql, {"model": model, "version": version, "start": span.start_s})
