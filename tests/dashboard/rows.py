"""Rows as ClickHouse would give them, and every chart of them."""

from __future__ import annotations

from typing import Any

from driftline_streams.dashboard import metrics
from driftline_streams.dashboard.charts import (
    comparison,
    confusion,
    drift,
    estimates,
    labels,
    load,
    performance,
    residuals,
    scores,
    segments,
    worth,
)
from driftline_streams.dashboard.charts.frame import Palette
from driftline_streams.dashboard.queries.comparison import Pairs, Verdict
from driftline_streams.dashboard.queries.drift import Drift, Histograms
from driftline_streams.dashboard.queries.estimates import Estimate
from driftline_streams.dashboard.queries.labels import Delay, Expected
from driftline_streams.dashboard.queries.performance import Cohort, Coverage
from driftline_streams.dashboard.queries.scores import Band, Cell, Position, Residuals
from driftline_streams.dashboard.queries.segments import Gap, Part
from driftline_streams.dashboard.queries.traffic import Finding, Load
from driftline_streams.dashboard.queries.worth import Count, Worth
from driftline_streams.dashboard.spans import DAY_S, HOUR_S, Span

SPAN = Span(0, 10 * HOUR_S)
ACCURACY = metrics.of("binary")["accuracy"]


def loads(version: str = "v1", hours: tuple[int, ...] = (0, 1, 2), p99: float | None = 30.0) -> list[Load]:
    return [Load(version, hour * HOUR_S, 60, 3, 10.0, 20.0, p99, 0.3, 0.7) for hour in hours]


def cohort(
    day: int,
    state: str,
    labelled: int = 100,
    value: float | None = 0.8,
    *,
    role: str = "champion",
    version: str = "v1",
) -> Cohort:
    low, high = (None, None) if value is None else (value - 0.1, value + 0.1)
    return Cohort(version, role, day * DAY_S, labelled, 100, 1.0, state, value, low, high)


def estimate(day: int, basis: str, value: float | None = 0.8, role: str = "champion") -> Estimate:
    low, high = (None, None) if value is None else (value - 0.1, value + 0.1)
    reason = "too little is known" if value is None else ""
    return Estimate(role, day * DAY_S, basis, value, low, high, 100, 0, 0.9, reason)


def pairs(both: int, champion: int, challenger: int, neither: int, name: str = "b") -> Pairs:
    compared = both + champion + challenger + neither
    return Pairs("a", name, "challenger", 0, compared, both, champion, challenger, 0, 0.0, 0.0)


def part(name: str, effect: float, q_value: float) -> Part:
    return Part("champion", 0, "country", name, "accuracy", 0.8 - effect, 0.8, -effect, -0.2, 0.2, effect, q_value, 100)


def gap(month: int, wide: float, state: str = "not yet", name: str = "f") -> Gap:
    ends = (wide, wide - 0.1, wide + 0.1)
    return Gap(
        *("champion", 31 * DAY_S * month, True, "sex", "positive_rate", "m", name, 0.2, 0.2 + wide, *ends, 100, 100),
        *(0.1, state),
    )


def cell(signal: str, at_s: int = 0, state: str = "ok", statistic: float = 0.1, **more: Any) -> Drift:
    given = {"p_value": 0.5, "n": 500, "n_reference": 5000, "seasonal": False, **more}
    return Drift(
        signal, "", "", at_s, at_s, DAY_S, "psi", state, statistic, 0.2, statistic, 0.0, 2 * statistic, **given
    )


def finding(signal: str, at_s: int, version: str = "v1") -> Finding:
    return Finding("id", version, signal, "change", "adwin", at_s, at_s + 10, "up", 4.0, 14.4, "a sentence")


def everything(palette: Palette, *, evil: str = "v1") -> list[dict[str, Any]]:
    """Every chart, with `evil` wherever somebody else chooses a name."""
    return [*_behaviour(palette, evil), *_truth(palette, evil), *_versions(palette, evil), *_parts(palette, evil)]


def _behaviour(palette: Palette, evil: str) -> list[dict[str, Any]]:
    drawn = {"versions": [evil], "span": SPAN, "bucket_s": HOUR_S, "palette": palette}
    rows, found = loads(evil), [finding("latency_ms", 60, evil), finding("score", 60, evil)]
    held = Histograms({evil: 4}, {evil: 4.0})
    return [
        load.latency(rows, found, log=True, **drawn),  # type: ignore[arg-type]
        load.latency(rows, found, log=False, **drawn),  # type: ignore[arg-type]
        load.traffic(rows, found, **drawn),  # type: ignore[arg-type]
        load.answers(rows, found, **drawn),  # type: ignore[arg-type]
        drift.heat_map([cell(f"feature:{evil}")], bucket_s=DAY_S, palette=palette),
        drift.distributions(drift.shares(held), shade="#000000", palette=palette),
    ]


def _truth(palette: Palette, evil: str) -> list[dict[str, Any]]:
    cohorts = [cohort(day, state, version=evil) for day, state in enumerate(("final", "restated", "provisional"))]
    covered = [Coverage(evil, 0, 100, 90)]
    said = [estimate(0, "labels"), estimate(0, "scores"), estimate(1, "scores", None)]
    band = Band(0.2, 0.25, 10, 0.22, 0.2, 0.1, 0.3, 0.1, 0.05, 0.2)
    plain = {"palette": palette, "shade": palette.versions[0]}
    asked = {"metric": ACCURACY, "palette": palette, "span": SPAN}
    return [
        performance.performance(cohorts, covered, versions=[evil], grain="day", **asked),  # type: ignore[arg-type]
        estimates.expected(said, cohorts, metric=ACCURACY, **plain),  # type: ignore[arg-type]
        estimates.without_labels(said, cohorts, shade=palette.versions[0], **asked),  # type: ignore[arg-type]
        scores.calibration([band], **plain),  # type: ignore[arg-type]
        scores.errors([band], **plain),  # type: ignore[arg-type]
        scores.positions([Position(1, 10.0, 0.2, 0.1, 0.3)], **plain),  # type: ignore[arg-type]
        confusion.confusion([Cell(evil, evil, 3.0), Cell("b", evil, 1.0)], palette=palette),
        residuals.residuals([Residuals("champion", 0, 9, -2.0, -1.0, 0.0, 1.0, 2.0)], span=SPAN, **plain),  # type: ignore[arg-type]
        labels.delay([Delay(evil, 1.0, 0.5)], palette=palette),
        labels.coverage(covered, [Expected(evil, 0, 0.9)], versions=[evil], span=SPAN, palette=palette),
    ]


def _versions(palette: Palette, evil: str) -> list[dict[str, Any]]:
    verdict = Verdict("a", evil, "shadow", 0, "accuracy", 10, 0.1, -0.1, None, "not yet")
    found = [pairs(5, 1, 2, 2, evil)]
    return [
        comparison.differences(found, versions=["a", evil], span=SPAN, grain="week", palette=palette),
        comparison.running([verdict], margin=0.01, versions=["a", evil], palette=palette),
    ]


def _parts(palette: Palette, evil: str) -> list[dict[str, Any]]:
    plain = {"palette": palette, "shade": palette.versions[0]}
    earned = Worth(evil, "champion", 0, 10, 5.0, 0.5, {evil: 3.0}, "provisional")
    return [
        segments.segments([part(evil, 0.1, 0.01)], metric=ACCURACY, **plain),  # type: ignore[arg-type]
        segments.gaps([gap(0, 0.2, "beyond", evil)], **plain),  # type: ignore[arg-type]
        segments.course([gap(0, 0.2, name=evil)], span=SPAN, **plain),  # type: ignore[arg-type]
        worth.worth([earned], unit=evil, versions=[evil], span=SPAN, grain="day", palette=palette),
        worth.counts([Count(0, evil, 3.0, 4.0)], span=SPAN, palette=palette),
    ]
