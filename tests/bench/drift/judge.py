"""What somebody's alarms are worth: how late the right one came, and how many came where nothing had changed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from scipy import stats

from .evidently import WHOLE
from .streams import Alarm, Stream

BUDGET_DAYS = 30.0  # of stream time for a false alarm: the default of `spec.drift.false_alarm_days`


@dataclass(slots=True)
class Verdict:
    """Of one contestant on the streams of one case."""

    delays: list[int | None] = field(default_factory=list)  # in events, of each stream with a change; `None` is missed
    false: int = 0  # alarms on streams without one
    days: float = 0.0  # of stream time without one

    def add(self, stream: Stream, alarms: Sequence[Alarm]) -> None:
        """Judge the alarms on one more stream."""
        if stream.change is None:
            self.false += len(alarms)
            self.days += stream.days
        else:
            self.delays.append(delay(stream, alarms))

    @property
    def false_in_budget(self) -> float:
        """False alarms in 30 days; NaN when there was no stream without a change."""
        return self.false / self.days * BUDGET_DAYS if self.days else math.nan

    @property
    def at_most(self) -> float:
        """The upper end of the 95 % interval of the same (Poisson, exact)."""
        return float(stats.chi2.ppf(0.975, 2 * self.false + 2)) / 2 / self.days * BUDGET_DAYS if self.days else math.nan

    @property
    def missed(self) -> int:
        """Changes without an alarm in the right signal."""
        return sum(each is None for each in self.delays)

    @property
    def median_delay(self) -> float:
        """In events, where a missed change takes for ever."""
        return (
            statistics.median(math.inf if each is None else each for each in self.delays) if self.delays else math.nan
        )


def delay(stream: Stream, alarms: Sequence[Alarm]) -> int | None:
    """Events from the change to the first alarm in a signal that changed; `None` without one until the stream ends."""
    if stream.change is None:
        raise ValueError("the stream does not change")
    return next(
        (a.at - stream.change for a in sorted(alarms) if a.at > stream.change and a.signal in {*stream.changed, WHOLE}),
        None,
    )


def ratios(ours: Verdict, theirs: Verdict) -> list[float]:
    """Our delay in theirs, on each stream where both found the change."""
    pairs = zip(ours.delays, theirs.delays, strict=True)
    return [mine / other for mine, other in pairs if mine is not None and other]
