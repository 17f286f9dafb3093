"""Everybody on every stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..course import DidNotRun
from . import evidently
from .cost import Level
from .field import COMMON, EVIDENTLY, FIELD, WHOLE_KEY, Contestant
from .flights import Told, flights, months, shuffled, told
from .judge import Verdict
from .streams import DAY_MS, Alarm, Case

Tell = Callable[[str], None]


@dataclass(slots=True)
class Results:
    """All that was found: by case and contestant; of the flights by contestant, in their order and in none."""

    verdicts: dict[str, dict[str, Verdict]] = field(default_factory=dict)
    flights: dict[str, tuple[Told, Told]] = field(default_factory=dict)
    levels: list[Level] = field(default_factory=list)
    evidently_us: float | None = None  # of CPU for a value
    evidently_failed: str = ""  # why it did not run


def contest(results: Results, cases: Sequence[Case], tell: Tell, contestants: Sequence[Contestant] = FIELD) -> None:
    """Judge everybody on the streams of the cases."""
    for case in cases:
        verdicts = results.verdicts.setdefault(case.key, {})
        for seed in range(case.seeds):
            stream = case.make(seed)
            for each in contestants:
                verdicts.setdefault(each.key, Verdict()).add(stream, each.run(stream))
        tell(f"{case.key:18} " + " ".join(f"{key} {_short(verdict)}" for key, verdict in verdicts.items()))


def year(results: Results, tell: Tell) -> None:
    """What everybody finds in the flights, and in the same without their order."""
    real, mixed = flights(), shuffled(0)
    for each in FIELD:
        if each.key == COMMON:  # there are days of a hundred flights an hour, and nights of none
            continue
        results.flights[each.key] = told(real, each.run(real)), told(mixed, each.run(mixed))
        tell(f"flights {each.key}: {results.flights[each.key][0].cells} {results.flights[each.key][1].cells}")


def ask_evidently(results: Results, cases: Sequence[Case], seeds: int, tell: Tell) -> None:
    """The same of Evidently: a window is a day, of the flights a month; fewer streams, for it takes its time."""
    streams = [(case, case.make(seed)) for case in cases for seed in range(min(seeds, case.seeds))]
    real, mixed = flights(), shuffled(0)
    jobs = [evidently.windows_of(stream, DAY_MS) for _, stream in streams]
    jobs += [evidently.Job(stream, months(stream)) for stream in (real, mixed)]
    try:
        answers = evidently.ask(jobs)
    except DidNotRun as reason:
        results.evidently_failed = str(reason)
        return
    for (case, stream), answer in zip(streams, answers, strict=False):
        for key, alarms in _both(answer.alarms).items():
            results.verdicts.setdefault(case.key, {}).setdefault(key, Verdict()).add(stream, alarms)
    first, second = (told(s, _both(a.alarms)[EVIDENTLY]) for s, a in zip((real, mixed), answers[-2:], strict=True))
    results.flights[EVIDENTLY] = first, second
    results.evidently_us = sum(each.cpu_s for each in answers) / sum(each.values for each in answers) * 1e6
    tell(f"evidently: {sum(each.cpu_s for each in answers):.0f} s")


def _both(alarms: Sequence[Alarm]) -> dict[str, list[Alarm]]:
    """Its verdicts on columns, and those on all of them together."""
    return {
        EVIDENTLY: [each for each in alarms if each.signal != evidently.WHOLE],
        WHOLE_KEY: [each for each in alarms if each.signal == evidently.WHOLE],
    }


def _short(verdict: Verdict) -> str:
    return f"{verdict.median_delay:g}/{verdict.missed}" if verdict.delays else f"{verdict.false_in_budget:.1f}"
