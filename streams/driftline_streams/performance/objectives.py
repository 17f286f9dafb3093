"""Whether a day's performance breaks the limits of the spec, beyond what chance and missing labels explain.

In the walk: `watch.py` gives it a row of `performance_daily` with what is expected of the day; what it finds goes the
way of every other detection.

A final day breaks a limit when its 95 % interval lies beyond it. A day that is not final is looked at again and again
while labels come, and each look is a chance of a false alarm. So its interval is wider: 1.96 / √t standard errors, t
being the share of the day's truth that is there (O'Brien and Fleming 1979): a day that is just at its limit alarms at
most twice as often as by one look at the end, however often one looks. Of a day that is not over nobody knows what it
will hold in the end, and 3.29 standard errors are asked for: while its outcomes become a thousand times as many, one in
50 days at the limit reaches them (Siegmund 1985). The interval holds two things: what the missing labels may still
change, and chance as large as it will be in the end; they add up as squares (Zou and Donner 2008).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec, PerformanceRules
from driftline_streams.kernel import findings, words
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.significance import Z_95

METRICS = tuple(each.name for each in msgspec.structs.fields(PerformanceRules))
UPPER = frozenset({"log_loss", "brier", "ece", "mae", "rmse", "mape"})  # limits that a value may not exceed
LEAST_KNOWN = 0.01  # share of a day's truth with which it is looked at: 20 standard errors
SURE = 3.29  # standard errors, of a day that is not over

_RESTS_ON = {  # counts that a metric is made of
    "precision": ("tp", "fp"),
    "recall": ("tp", "fn"),
    "specificity": ("tn", "fp"),
    "f1": ("tp", "fp", "fn"),
    **dict.fromkeys(("accuracy", "balanced_accuracy"), ("classified",)),
    **dict.fromkeys(("roc_auc", "average_precision", "log_loss", "brier", "ece"), ("scored",)),
    **dict.fromkeys(("mae", "rmse", "mape", "r2"), ("measured",)),
    "ndcg": ("lists",),
}


class Interval(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class Expectation(NamedTuple):
    """A row of `performance_expected`: what a value will be."""

    estimate: float | None  # `None` where only the worst cases are known
    low: float
    high: float
    coverage: float | None  # share of labels that will have come in the end
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A row of `performance_daily`, with what is expected of it; what is undefined is not there."""

    model: str
    version: str
    role: Literal["champion", "challenger", "shadow"]
    day_ms: int
    state: Literal["provisional", "final", "restated"]
    over: bool = True
    expected: int  # predictions that were answered
    labelled: int
    counts: Mapping[str, float]  # "tp", "classified", "measured", …
    metrics: Mapping[str, Interval]
    expectations: Mapping[str, Expectation] = field(default_factory=dict)

    def rests_on(self, metric: str) -> int:
        """How many outcomes a metric is made of."""
        return int(sum(self.counts.get(name) or 0 for name in _RESTS_ON[metric]))


class Judged(NamedTuple):
    """A metric of a day, and whether it breaks its limit."""

    metric: str
    limit: float
    shown: Interval  # of the final value; of worst cases the value is the running one
    method: Literal["interval", "expected", "bounds"]
    broken: bool
    holds: bool  # the value itself is within the limit, and final


def judge(day: Day, spec: ModelSpec) -> Iterator[Judged]:
    """Each metric that has a limit and enough outcomes, if anything can be said about it.

    Nothing of a metric that rests on fewer than `spec.objectives.min_window_n` outcomes. Of a day that is not final
    only rates of classes are judged: of others nobody knows what the missing labels may still change.
    """
    for metric in METRICS:
        limit: float | None = getattr(spec.performance, metric)
        now = day.metrics.get(metric)
        if limit is None or now is None or day.rests_on(metric) < spec.objectives.min_window_n:
            continue
        upper = metric in UPPER
        if day.state != "provisional":
            broken = now.low > limit if upper else now.high < limit
            yield Judged(metric, limit, now, "interval", broken, now.value <= limit if upper else now.value >= limit)
        elif (expectation := day.expectations.get(metric)) is not None:
            yield _provisional(day, metric, limit, now, expectation)


def _provisional(day: Day, metric: str, limit: float, now: Interval, expectation: Expectation) -> Judged:
    final = (expectation.coverage or 1.0) * day.expected
    come = min(1.0, day.labelled / final) if final else 1.0
    if expectation.estimate is None:
        shown, method = Interval(now.value, expectation.low, expectation.high), "bounds"
        middle = expectation.low if metric in UPPER else expectation.high
        open_ = 0.0
    else:
        shown, method = Interval(expectation.estimate, expectation.low, expectation.high), "expected"
        middle = expectation.estimate
        open_ = middle - expectation.low if metric in UPPER else expectation.high - middle
    chance = now.value - now.low if metric in UPPER else now.high - now.value
    if day.over:  # as narrow as it will be when all labels have come
        reach = math.hypot(open_, chance * math.sqrt(come)) / math.sqrt(max(come, LEAST_KNOWN))
    else:
        reach = math.hypot(open_, chance) * SURE / Z_95
    broken = come >= LEAST_KNOWN and (middle - reach > limit if metric in UPPER else middle + reach < limit)
    return Judged(metric, limit, shown, method, broken, holds=False)  # type: ignore[arg-type]


def cause(day: Day, metric: str, times: int) -> str:
    """The id of a finding about a metric of a day, which `times` findings came before."""
    whose = (day.model, day.version, day.role, metric, day.day_ms)
    return findings.id_of("performance", *whose, *((times,) if times else ()))


def broken(day: Day, judged: Judged, times: int) -> Detection:
    """That the day breaks a limit."""
    side = "above" if judged.metric in UPPER else "below"
    low, high = _text(judged.metric, judged.shown.low), _text(judged.metric, judged.shown.high)
    value, limit = _text(judged.metric, judged.shown.value), f"its limit of {judged.limit:g}"
    subject = _subject(day, judged.metric)
    labels = f"{day.labelled:,} of {day.expected:,} labels" if day.expected else f"{day.labelled:,} labels"
    if judged.method == "interval":
        why = "the day is final" if day.state == "final" else "labels came or were corrected after it was final"
        detail = f"{subject} was {value} (95 %: {low} to {high}), {side} {limit}, with {labels}; {why}"
    elif judged.method == "expected":
        coverage = day.expectations[judged.metric].coverage
        share = f", {words.share(coverage)} are expected" if coverage is not None else ""
        detail = (
            f"{subject} will be {value} (95 %: {low} to {high}), {side} {limit}, when all labels have come: {labels} "
            f"are there{share}, and the labels that came show {_text(judged.metric, day.metrics[judged.metric].value)}"
        )
    else:
        worst = low if judged.metric in UPPER else high
        detail = (
            f"{subject} is {value}, {side} {limit}, with {labels}; it stays so whatever the missing labels say: "
            f"{worst} is the best it can become ({day.expectations[judged.metric].reason})"
        )
    return _finding(day, judged, times, judged.method, f"{detail}.")


def withdrawn(day: Day, judged: Judged, times: int) -> Detection:
    """That a day which was found to break a limit does not."""
    side = "above" if judged.metric in UPPER else "below"
    low, high = _text(judged.metric, judged.shown.low), _text(judged.metric, judged.shown.high)
    detail = (
        f"{_subject(day, judged.metric)} is {_text(judged.metric, judged.shown.value)} (95 %: {low} to {high}) now "
        f"that labels have come or were corrected, and not {side} its limit of {judged.limit:g} as was found before."
    )
    return _finding(day, judged, times, "withdrawn", detail)


def _finding(day: Day, judged: Judged, times: int, method: str, detail: str) -> Detection:
    metric, limit, shown = judged.metric, judged.limit, judged.shown
    ends = sorted(
        ((shown.low - limit), (shown.high - limit)) if metric in UPPER else (limit - shown.high, limit - shown.low)
    )
    down = (metric in UPPER) == (method == "withdrawn")
    return Detection(
        id=cause(day, metric, times),
        model=day.model,
        version=day.version,
        role=day.role,
        signal=metric,
        kind="performance",
        method=method,
        start_ms=day.day_ms,
        end_ms=day.day_ms + DAY_MS,
        direction="down" if down else "up",
        statistic=shown.value,
        threshold=limit,
        effect=shown.value - limit if metric in UPPER else limit - shown.value,
        low=ends[0],
        high=ends[1],
        p_value=None,
        before=limit,
        after=shown.value,
        n=day.rests_on(metric),
        reference="",
        detail=detail,
    )


def _subject(day: Day, metric: str) -> str:
    so_far = "" if day.over else ", of the predictions so far,"
    return f"{words.subject(metric)} of {day.role} {day.version} {words.when(day.day_ms, day.day_ms + DAY_MS)}{so_far}"


def _text(metric: str, value: float) -> str:
    return words.number(value) if metric in {"mae", "rmse"} else f"{value:.3f}"
