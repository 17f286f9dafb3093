"""Everybody's runs, interleaved, so that what slows the machine down slows all of them down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .course import Course, DidNotRun, Run
from .field import Contestant
from .measure import Spread

LEAST = 10_000  # events of the slowest, when there are as many


@dataclass(slots=True)
class Outcome:
    """What became of one contestant: a run for each round, or why it did not run."""

    contestant: Contestant
    runs: list[Run] = field(default_factory=list)
    failed: str = ""

    def spread(self, figure: Callable[[Run], float]) -> Spread:
        """A figure over the rounds."""
        return Spread.of([figure(run) for run in self.runs])


def contest(
    course: Course,
    field: Sequence[Contestant],
    *,
    events: int,
    rounds: int,
    tell: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Let everyone run once a round, one after the other, and `tell` of each run; who failed does not run again."""
    outcomes = [Outcome(contestant) for contestant in field]
    for _ in range(rounds):
        for outcome in outcomes:
            if not outcome.failed:
                _run(course, outcome, events)
                tell(outcome)
    return outcomes


def _run(course: Course, outcome: Outcome, events: int) -> None:
    contestant = outcome.contestant
    try:
        outcome.runs.append(contestant.run(course, max(min(events, LEAST), int(events * contestant.share))))
    except DidNotRun as reason:
        outcome.runs.clear()
        outcome.failed = str(reason)
