"""Both on all cases, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..course import DidNotRun
from . import ours, theirs
from .cases import CHANGE, Case, Shift


@dataclass
class Line:
    """One case, or several of a kind (by their key before the dot): means over their chunks, by metric."""

    title: str
    shift: Shift
    frozen: dict[str, list[float]] = field(default_factory=dict)  # |estimate - truth|, from the same reference
    nannyml: dict[str, list[float]] = field(default_factory=dict)
    live: dict[str, list[float]] = field(default_factory=dict)  # as it runs; NaN where it abstains
    held: list[bool] = field(default_factory=list)  # whether the interval held the truth, as it runs
    said: int = 0  # chunks, as it runs
    abstained: int = 0
    late: list[int] = field(default_factory=list)  # of concept cases: matured chunks from the change to the finding
    missed: int = 0  # concept cases that were never found
    false: int = 0  # chunks that were said to contradict although no relation changed
    ours_s: float = 0.0  # CPU
    theirs_s: float = 0.0


def contest(
    cases: Sequence[Case],
    tell: Callable[[str], None],
    ask: Callable[[Sequence[Case]], list[theirs.Answer]] = theirs.ask,
) -> tuple[dict[str, Line], str]:
    """The lines by kind of case, and why NannyML did not run, if it did not (then published cases are left out)."""
    failed = ""
    try:
        answers = ask(cases)
    except DidNotRun as why:
        failed = str(why)
        answers = [theirs.Answer(case, {}, 0.0) for case in cases if not case.dataset]
    lines: dict[str, Line] = {}
    for answer in answers:
        case = answer.case
        tell(case.key)
        line = lines.setdefault(case.key.partition(".")[0], Line(case.title, case.shift))
        _add(line, case, answer, ours.say(case, live=False), ours.say(case, live=True))
    return lines, failed


def _add(line: Line, case: Case, answer: theirs.Answer, frozen: ours.Said, live: ours.Said) -> None:
    truths = ours.truths(case)
    for name, truth in truths.items():
        fixed, running = frozen.estimates[name], live.estimates[name]
        # What the reference cannot know is not held against whoever says so: frozen estimates never abstain for it.
        _extend(line.frozen, name, [each.value for each in fixed], truth)
        _extend(line.live, name, [each.value for each in running], truth)
        if name in answer.estimates:
            _extend(line.nannyml, name, answer.estimates[name], truth)
        line.held += [
            bool(each.low <= value <= each.high)
            for each, value in zip(running, truth.tolist(), strict=True)
            if not each.reason and np.isfinite(value)
        ]
    first = next(iter(truths))
    line.said += len(live.estimates[first])
    line.abstained += sum(bool(each.reason) for each in live.estimates[first])
    line.ours_s += frozen.cpu_s
    line.theirs_s += answer.cpu_s
    if case.shift == "concept":
        found = [chunk - CHANGE + 1 for chunk in live.contradicted if chunk >= CHANGE]
        line.late += found[:1]
        line.missed += not found
        line.false += sum(chunk < CHANGE for chunk in live.contradicted)
    else:
        line.false += len(live.contradicted)


def _extend(into: dict[str, list[float]], name: str, estimates: Any, truth: Any) -> None:
    into.setdefault(name, []).extend(np.abs(np.asarray(estimates, np.float64) - truth).tolist())


def mean(errors: dict[str, list[float]], where: dict[str, list[float]] | None = None) -> float:
    """The mean over metrics of the mean over chunks, of chunks of which `where` has a number; NaN without any."""
    found = []
    for name, each in errors.items():
        values = np.array(each)
        if where is not None:
            values = np.where(np.isfinite(where[name]), values, np.nan)
        if np.isfinite(values).any():
            found.append(float(np.nanmean(values)))
    return float(np.mean(found)) if found else float("nan")
