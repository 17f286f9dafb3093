"""Whether a day's performance breaks the limits of the spec, beyond what chance and missing labels explain.

In the walk: `watch.py` gives it a row of `performance_daily`; what it finds goes the way of every other detection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec
from driftline_streams.kernel import findings
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.rates import wilson
from driftline_streams.kernel.words import when
from driftline_streams.performance.intervals import f1_interval, roc_auc_interval

_NAMES = {"accuracy": "Accuracy", "precision": "Precision", "recall": "Recall", "f1": "F1", "roc_auc": "ROC-AUC"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A row of `performance_daily`; what is undefined is `None`."""

    model: str
    version: str
    role: str
    day_ms: int
    final: bool
    expected: int  # predictions that were answered
    labelled: int
    classified: int
    tp: int | None
    fp: int | None
    fn: int | None
    scored: int
    scored_positives: int
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric with its interval and the number of predictions that it rests on."""

    name: str
    value: float
    low: float
    high: float
    n: int


def metrics(day: Day) -> Iterator[Metric]:
    """The metrics that are defined, with the upper ends that the labels still missing could lift them to.

    While labels are missing from a cohort, those that came are no sample of all: bad news is often late, or early. Each
    missing one is therefore counted as right. A day that is final has no missing labels: those that did not come
    by then will not. The area under the curve has no such bound and is given for final days only.
    """
    missing = 0 if day.final else max(0, day.expected - day.labelled)
    if day.accuracy is not None:
        yield _rate("accuracy", day.accuracy, day.classified, missing)
    if day.tp is not None and day.fp is not None and day.fn is not None:
        if day.precision is not None:
            yield _rate("precision", day.precision, day.tp + day.fp, missing)
        if day.recall is not None:
            yield _rate("recall", day.recall, day.tp + day.fn, missing)
        if day.f1 is not None:
            wrong = day.fp + day.fn
            low, _ = f1_interval(day.tp, wrong)
            _, high = f1_interval(day.tp + missing, wrong)
            yield Metric("f1", day.f1, low, high, day.tp + wrong)
    if day.roc_auc is not None and day.final:
        low, high = roc_auc_interval(day.roc_auc, day.scored_positives, day.scored - day.scored_positives)
        yield Metric("roc_auc", day.roc_auc, low, high, day.scored)


def judge(day: Day, spec: ModelSpec) -> list[Detection]:
    """A detection for each limit of `spec.performance` that the whole interval lies below.

    Nothing for a metric that rests on fewer than `spec.objectives.min_window_n` predictions. The id comes from model,
    version, role, metric and day: what is found again is the same detection.
    """
    found = []
    for metric in metrics(day):
        limit: float | None = getattr(spec.performance, metric.name)
        if limit is None or metric.n < spec.objectives.min_window_n or metric.high >= limit:
            continue
        labels = f"{day.labelled:,} of {day.expected:,} labels" if day.expected else f"{day.labelled:,} labels"
        state = "the day is final" if day.final else "it stays below even if every missing label shows it right"
        subject = f"{_NAMES[metric.name]} of {day.role} {day.version} {when(day.day_ms, day.day_ms + DAY_MS)}"
        found.append(
            Detection(
                id=findings.id_of("performance", day.model, day.version, day.role, metric.name, day.day_ms),
                model=day.model,
                version=day.version,
                signal=metric.name,
                kind="performance",
                method="interval",
                start_ms=day.day_ms,
                end_ms=day.day_ms + DAY_MS,
                direction="down",
                statistic=metric.value,
                threshold=limit,
                effect=limit - metric.value,
                p_value=None,
                before=limit,
                after=metric.value,
                n=metric.n,
                reference="",
                detail=(
                    f"{subject} was {metric.value:.3f} (95 %: {metric.low:.3f} to {metric.high:.3f}), below its limit "
                    f"of {limit:g}, with {labels}; {state}"
                ),
            )
        )
    return found


def _rate(name: str, value: float, n: int, missing: int) -> Metric:
    k = round(value * n)  # exact: the value is k / n
    low, _ = wilson(k, n)
    _, high = wilson(k + missing, n + missing)
    return Metric(name, value, low, high, n)
