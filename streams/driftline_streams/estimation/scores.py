"""Models that predict classes: estimates from scores, and what scores mean, day by day.

In the walk: `watch` asks for every day of a version, in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from driftline_streams.estimation import concept, expected, relation, rows, served, support
from driftline_streams.estimation.calibration import Calibration, learn, merge
from driftline_streams.estimation.concept import Judged
from driftline_streams.estimation.expected import BINARY, CLASSES, Estimate
from driftline_streams.estimation.matured import DAY_S, Matured
from driftline_streams.estimation.served import Open
from driftline_streams.estimation.version import Version
from driftline_streams.kernel import budget
from driftline_streams.kernel.query import Query


class Scores:
    """What the scores of binary models, and the confidence of those with several classes, let expect."""

    basis: rows.Basis = "scores"

    def __init__(self, query: Query) -> None:
        self._query = query
        self._learned: dict[tuple[str, str], tuple[tuple[int, ...], Calibration]] = {}  # the last one of each version

    def size(self, day: Matured) -> float:
        """Outcomes that can be judged."""
        return day.scores.n

    def enough(self, lessons: Sequence[Matured]) -> str:
        """Why nothing can be learned from these days; empty when something can."""
        return support.enough([day.scores for day in lessons])

    async def judge(self, version: Version, lessons: Sequence[Matured], group: Sequence[Matured]) -> Judged:
        """The days of `group` together beside those of `lessons`; raises what the query raises."""
        if self.enough(lessons):
            return concept.nothing(sum(day.scores.n for day in group))
        alpha = budget.alpha(version.spec.drift, budget.CONCEPT, len(group))
        learned = await self._learn(version, lessons)
        found = relation.judge(learned, merge([day.scores for day in group]), version.spec.drift, alpha)
        # Of several classes, what comes true is a right answer.
        return found._replace(parts={"wrong": found.parts["wrong"]}) if version.spec.kind == "multiclass" else found

    async def estimate(
        self, version: Version, day: Open, lessons: Sequence[Matured], reason: str
    ) -> list[rows.Estimated]:
        """The day by role, all of it with `reason` when there is one; raises what the query raises."""
        spec, end_s, own = version.spec, day.start_s + DAY_S, version.own(day.start_s)
        moved = await support.drifted(self._query, spec.model, version.name, day.start_s, end_s)
        found = await served.scores(self._query, spec, version.name, day.start_s, end_s)
        learned = None if reason else await self._learn(version, lessons)
        names = CLASSES if spec.kind == "multiclass" else BINARY
        about = rows.About(spec.model, version.name, day.start_s, self.basis, "calibration")
        labelled = 0 if own is None else own.labelled
        out = []
        for role, given in found.items():
            why = reason if learned is None else support.known(given, learned, moved)
            if why or learned is None:
                estimates = dict.fromkeys(names, Estimate.abstaining(why))
            else:
                estimates = await asyncio.to_thread(expected.of_day, given, learned, names, day.start_s)
            out.append(rows.Estimated(about, role, given.n, labelled, estimates))
        return out

    async def _learn(self, version: Version, lessons: Sequence[Matured]) -> Calibration:
        """From at least one day; days that follow each other mostly ask for the same."""
        key, days = (version.spec.model, version.name), tuple(day.start_s for day in lessons)
        known = self._learned.get(key)
        if known is None or known[0] != days:
            known = self._learned[key] = days, await asyncio.to_thread(learn, [day.scores for day in lessons])
        return known[1]
