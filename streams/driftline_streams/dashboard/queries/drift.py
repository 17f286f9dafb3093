"""Test windows against the reference."""

from __future__ import annotations

from msgspec import Struct

from driftline_streams.dashboard.reader import Reader
from driftline_streams.dashboard.spans import MOST_POINTS, Span

MOST_SIGNALS = 30  # rows of the heat map, those that drift most first
MOST_SEGMENTS = 50  # to choose from, those that drift most first


class Drift(Struct, frozen=True):
    """The worst test window of a signal in a stretch of time, with the strongest of its tests."""

    signal: str
    dim: str  # segment key; empty for all events
    value: str
    at_s: int
    window_s: int
    width_s: int
    method: str
    state: str
    statistic: float
    threshold: float
    effect: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n: int
    n_reference: int
    seasonal: bool

    @property
    def ratio(self) -> float:
        """The statistic in limits: 1 is at the limit."""
        return self.statistic / self.threshold if self.threshold > 0 else self.statistic


class Segment(Struct, frozen=True):
    """A part of a version's events whose drift is tested by itself; both are empty for all events."""

    dim: str = ""
    value: str = ""


class Histograms(Struct, frozen=True):
    """What a test window held, and what the reference led to expect of as many events; bars in order."""

    bins: dict[str, int] = {}
    expected: dict[str, float] = {}


class Detail(Struct, frozen=True):
    """What a finding says to a person."""

    detail: str


EVERYTHING = Segment()


async def segments(reader: Reader, model: str, version: str, span: Span) -> list[Segment]:
    """The segments that were tested, those that drift most first."""
    sql = (
        "SELECT dim, value FROM drift FINAL WHERE model = {model:String} AND version = {version:String} AND dim != '' "
        "AND window >= toDateTime({start:Int64}, 'UTC') AND window < toDateTime({end:Int64}, 'UTC') "
        f"GROUP BY dim, value ORDER BY countIf(state = 'drift') DESC, dim, value LIMIT {MOST_SEGMENTS}"
    )
    return await reader.rows(Segment, sql, {"model": model, "version": version, **span.bounds})


async def cells(  # noqa: PLR0917
    reader: Reader, model: str, version: str, span: Span, bucket_s: int, segment: Segment = EVERYTHING
) -> list[Drift]:
    """For each of the signals that drift most and each stretch of `bucket_s` the worst test window."""
    where = (
        "model = {model:String} AND version = {version:String} AND dim = {dim:String} AND value = {value:String} "
        "AND window >= toDateTime({start:Int64}, 'UTC') AND window < toDateTime({end:Int64}, 'UTC')"
    )
    worst = "if(threshold > 0, statistic / threshold, statistic)"
    sql = (
        "SELECT signal, dim, value, intDiv(toUnixTimestamp(window), {bucket:UInt32}) * {bucket:UInt32} AS at_s, "
        "toUnixTimestamp(window) AS window_s, width_s, method, state, statistic, threshold, effect, low, high, "
        "p_value, n, n_reference, toBool(seasonal) AS seasonal "
        f"FROM drift FINAL WHERE {where} AND signal IN (SELECT signal FROM drift FINAL WHERE {where} "
        f"GROUP BY signal ORDER BY countIf(state = 'drift') DESC, max({worst}) DESC, signal LIMIT {MOST_SIGNALS}) "
        f"ORDER BY at_s, signal, state = 'drift' DESC, state = 'ok' DESC, {worst} DESC LIMIT 1 BY at_s, signal "
        f"LIMIT {MOST_SIGNALS * MOST_POINTS}"
    )
    asked = {"model": model, "version": version, "bucket": bucket_s, "dim": segment.dim, "value": segment.value}
    return await reader.rows(Drift, sql, {**asked, **span.bounds})


async def histograms(reader: Reader, model: str, version: str, cell: Drift) -> Histograms:
    """What a cell compared; empty when the row is gone."""
    sql = (
        "SELECT bins, expected FROM drift FINAL WHERE model = {model:String} AND version = {version:String} "
        "AND window = toDateTime({window:Int64}, 'UTC') AND width_s = {width:UInt32} "
        "AND dim = {dim:String} AND value = {value:String} AND signal = {signal:String} LIMIT 1"
    )
    asked = {"window": cell.window_s, "width": cell.width_s, "signal": cell.signal, "dim": cell.dim}
    asked["value"] = cell.value
    found = await reader.rows(Histograms, sql, {"model": model, "version": version, **asked})
    return found[0] if found else Histograms()


async def detail(reader: Reader, model: str, version: str, cell: Drift) -> str:
    """The sentence of the finding behind a cell; empty without one."""
    sql = (
        "SELECT detail FROM detections FINAL WHERE model = {model:String} AND version = {version:String} "
        "AND kind = 'drift' AND dim = '' AND signal = {signal:String} "
        "AND start = toDateTime({start:Int64}, 'UTC') AND end = toDateTime({end:Int64}, 'UTC') LIMIT 1"
    )
    asked = {"signal": cell.signal, "start": cell.window_s, "end": cell.window_s + cell.width_s}
    found = await reader.rows(Detail, sql, {"model": model, "version": version, **asked})
    return found[0].detail if found else ""
