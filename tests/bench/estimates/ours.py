"""Driftline on the same chunks: from the same reference alone, and as it runs, where chunks mature later."""

from __future__ import annotations

import datetime as dt
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from driftline_schemas.spec import ModelSpec
from driftline_streams.estimation import expected, features, losses, relation, support, table
from driftline_streams.estimation.calibration import Calibration, learn
from driftline_streams.estimation.expected import Estimate
from driftline_streams.estimation.history import Verdict
from driftline_streams.estimation.losses import Losses, Sample
from driftline_streams.estimation.matured import DAY_S, Matured
from driftline_streams.estimation.support import Drifted
from driftline_streams.estimation.version import Version
from driftline_streams.kernel import budget

from ...estimation.conftest import START_S, matured, unlabelled
from .cases import Case, Side

CLASSES = ("accuracy", "precision", "recall", "f1", "specificity", "roc_auc")
MATURE = 5  # chunks
NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)
SPEC = ModelSpec(model="bench")
ALPHA = budget.alpha(SPEC.drift, budget.CONCEPT, 1)


@dataclass
class Said:
    """What was said of the chunks of one case, by metric, and which of them contradicted what was learned before."""

    estimates: dict[str, list[Estimate]] = field(default_factory=dict)
    contradicted: list[int] = field(default_factory=list)
    cpu_s: float = 0.0


def chunks(side: Side, width: int) -> list[Side]:
    """As NannyML cuts them: what is left over at the end is a chunk as well."""
    starts = range(0, len(side["truth"]), width)
    return [{name: column[at : at + width] for name, column in side.items()} for at in starts]


def truths(case: Case) -> dict[str, Any]:
    """The real number of each chunk, by metric."""
    rows: dict[str, list[float]] = {}
    for each in chunks(case.analysis, case.chunk):
        for name, value in _truth(each).items():
            rows.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in rows.items()}


def say(case: Case, *, live: bool) -> Said:
    """The estimates of all chunks of a case."""
    started, kind = time.process_time(), _Classes() if "score" in case.reference else _Numbers()
    said = Said()
    days = [kind.day(each, number) for number, each in enumerate(chunks(case.reference, case.chunk))]
    first = len(days)
    ready = [
        Matured(START_S + i * DAY_S, START_S + first * DAY_S, NEVER, True, 0, day, 0) for i, day in enumerate(days)
    ]
    version = Version(SPEC, "1", ready, [], 0)
    for number, each in enumerate(chunks(case.analysis, case.chunk), first):
        now_s = START_S + number * DAY_S
        if live and number - MATURE >= first:
            old = number - MATURE
            day = Matured(START_S + old * DAY_S, now_s, NEVER, True, 0, days[old], 0)
            lessons, _ = version.lessons(now_s, day.start_s)
            state = kind.judge([lesson.scores for lesson in lessons if lesson.start_s < day.start_s], days[old])
            version.verdicts.append(Verdict(day.start_s, day.start_s + DAY_S, now_s, state))
            ready.append(day)
            if state == "drift":
                said.contradicted.append(old - first)
        days.append(kind.day(each, number))
        lessons, doubted_s = version.lessons(now_s, now_s)
        found = kind.estimate([lesson.scores for lesson in lessons], each, number, doubted=doubted_s is not None)
        for name, estimate in found.items():
            said.estimates.setdefault(name, []).append(estimate)
    said.cpu_s = time.process_time() - started
    return said


class _Classes:
    def __init__(self) -> None:
        self._learned: tuple[list[int], Calibration] | None = None

    def day(self, chunk: Side, number: int) -> Any:
        return matured(*(chunk[name].astype(np.float64) for name in ("score", "truth", "answer")), day=number)

    def judge(self, lessons: list[Any], day: Any) -> Any:
        if support.enough(lessons):
            return "insufficient data"
        return relation.judge(self._learn(lessons), day, SPEC.drift, ALPHA).result.state

    def estimate(self, lessons: list[Any], chunk: Side, number: int, *, doubted: bool) -> dict[str, Estimate]:
        given = unlabelled(chunk["score"].astype(np.float64), chunk["answer"].astype(np.float64))
        if doubted or support.enough(lessons) or support.known(given, self._learn(lessons), Drifted()):
            return dict.fromkeys(CLASSES, Estimate.abstaining("abstains"))
        return expected.of_day(given, self._learn(lessons), CLASSES, number)

    def _learn(self, lessons: list[Any]) -> Calibration:
        numbers = [lesson.start_s for lesson in lessons]
        if self._learned is None or self._learned[0] != numbers:
            self._learned = numbers, learn(lessons)
        return self._learned[1]


class _Numbers:
    def __init__(self) -> None:
        self._learned: Losses | None = None

    def day(self, chunk: Side, number: int) -> Any:
        return Sample(number, _table(chunk), np.abs(chunk["answer"] - chunk["truth"]).astype(np.float64))

    def judge(self, lessons: list[Any], day: Any) -> Any:
        if len(lessons) < relation.LEAST_DAYS:
            return "insufficient data"
        learned = self._learn(lessons)
        threshold = SPEC.drift.min_effect * learned.deviation
        return features.held_against(learned, learned.expect(day.events), day.errors, threshold, ALPHA).result.state

    def estimate(self, lessons: list[Any], chunk: Side, _: int, *, doubted: bool) -> dict[str, Estimate]:
        if doubted or len(lessons) < features.LEAST_DAYS:
            return dict.fromkeys(losses.NUMBERS, Estimate.abstaining("abstains"))
        events, learned = _table(chunk), self._learn(lessons)
        if learned.strange(events):
            return dict.fromkeys(losses.NUMBERS, Estimate.abstaining("abstains"))
        return losses.of_day(learned, events, events.n)

    def _learn(self, lessons: list[Sample]) -> Losses:
        numbers = [lesson.start_s for lesson in lessons]
        if self._learned is None or features.stale(self._learned.days, numbers, 1):
            self._learned = losses.learn(lessons)
        return self._learned


def _table(chunk: Side) -> table.Table:
    columns = {name: column for name, column in chunk.items() if name not in {"answer", "truth"}}
    texts = {name: column.astype(str).tolist() for name, column in columns.items() if column.dtype.kind not in "fiub"}
    numbers = {name: column.astype(np.float64) for name, column in columns.items() if name not in texts}
    return table.Table(len(chunk["truth"]), {table.ANSWER: chunk["answer"].astype(np.float64), **numbers}, texts)


def _truth(chunk: Side) -> dict[str, float]:
    if "score" not in chunk:
        error = np.abs(chunk["answer"] - chunk["truth"]).astype(np.float64)
        return {"mae": float(error.mean()), "rmse": math.sqrt(float(np.square(error).mean()))}
    score, truth, answer = (chunk[name].astype(np.float64) for name in ("score", "truth", "answer"))
    given = unlabelled(score, answer)
    place = np.unique(score, return_inverse=True)
    counts = np.array([np.bincount(place[1], answer == each, len(place[0])) for each in (0, 1)], np.float64)
    came = np.array([np.bincount(place[1], truth * (answer == each), len(place[0])) for each in (0, 1)], np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found, _ = expected.measures(came, counts, place[0])
    return {name: float(found[name]) for name in CLASSES} if given.n else {}
