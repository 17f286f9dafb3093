"""The watch over days without labels: estimates them, and holds matured days against what was learned before.

In the walk: beside it. `judgement.py` has it done by the one worker that reads the first partition of predictions. A
day is estimated while it is young, when it has enough predictions and again as it grows, and when it is over; a day
that had to abstain is tried again as more days mature. A matured day that stands in `drift` was judged: labels that
come or are corrected after that change neither judgement nor estimate.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from driftline_schemas.spec import ModelSpec
from driftline_streams.estimation import concept, history, matured, rows, served, support
from driftline_streams.estimation.features import Features
from driftline_streams.estimation.history import Verdict
from driftline_streams.estimation.matured import DAY_S, Matured, Truth
from driftline_streams.estimation.scores import Scores
from driftline_streams.estimation.served import Open
from driftline_streams.estimation.version import Version
from driftline_streams.kernel import findings
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.each import of_each
from driftline_streams.kernel.effects import Effects, Named
from driftline_streams.kernel.findings import Window
from driftline_streams.kernel.query import Query

GRACE_S = 3_600  # of event time after a day, in which late events may come
YOUNG = 200  # predictions from which on a day that is not over is estimated
GROWN = 1.25  # times as many as at the last estimate
ALL = 0.99  # of the answers of a day that an estimate spoke of: then it need not be made again

MODELS = "SELECT DISTINCT model FROM performance"

JUDGED = """
SELECT version, toUnixTimestamp(window) AS start_s, toUnixTimestamp(window) + width_s AS end_s, state
FROM drift FINAL
WHERE model = {model:String} AND signal = {signal:String} AND dim = '' AND window >= toDateTime({from_s:UInt32}, 'UTC')
ORDER BY start_s
"""

MADE = """
SELECT version, toUnixTimestamp(toDateTime(day, 'UTC')) AS start_s, max(n) AS n, max(reason != '') AS abstained
FROM estimates FINAL
WHERE model = {model:String} AND basis = {basis:String} AND day >= toDate(toDateTime({from_s:UInt32}, 'UTC'))
GROUP BY version, day
"""


class Made(NamedTuple):
    """When a day was last estimated: its answers, whether it was over, and the days that had matured."""

    answered: int
    over: bool
    abstained: bool
    known: int


class Watch:
    """The watch over the models that have had an outcome."""

    def __init__(self, catalog: Catalog, prefix: str, query: Query) -> None:
        self._catalog = catalog
        self._prefix = prefix
        self._query = query
        self._scores, self._features = Scores(query), Features(query)
        self._made: dict[tuple[str, str, int], Made] = {}  # by model, version and start of the day
        self._from_s: dict[str, int] = {}  # by model: nothing before it is to be done

    async def __call__(self, now_ms: int) -> AsyncIterator[Named]:
        """What can be judged and estimated now, in the order of the days; raises what `of_each` raises."""
        models = [row["model"] for row in await self._query(MODELS, {})]
        async for done in of_each(models, lambda model: self._model(self._catalog.spec(model), now_ms)):
            yield done

    async def _model(self, spec: ModelSpec, now_ms: int) -> AsyncIterator[Named]:
        if spec.kind == "ranking":
            return
        basis = self._features if spec.kind == "regression" else self._scores
        from_s = self._from_s.get(spec.model, 0)
        # What was learned before must be read again: the days of a window, which matured a horizon later.
        back_s = max(0, from_s - spec.label_horizon_s - 2 * history.WINDOW * DAY_S)
        days = await served.days(self._query, spec.model, back_s)
        if not days:
            return
        answered = {(day.version, day.start_s): day.answered for day in days}
        now_s = now_ms // 1000
        newest_s = min(max(day.newest_s for day in days), now_s)
        truth = await matured.read(self._query, spec, answered, from_s=back_s, newest_s=newest_s, now_s=now_s)
        verdicts = await self._verdicts(spec.model, truth.ready, back_s)
        await self._remember(spec.model, basis, [day for day in days if day.start_s >= from_s], truth.ready)
        for name in dict.fromkeys(day.version for day in days):
            version = Version(spec, name, truth.ready.get(name, []), verdicts.get(name, []), newest_s)
            judged_s = version.verdicts[-1].end_s if version.verdicts else 0
            for group in history.to_judge(version.ready, judged_s, spec.drift.min_n, basis.size):
                if not await matured.settled(self._query, spec.model, name, group):
                    break
                yield await self._judge(version, basis, group, now_ms)
            for day in days:
                if day.version == name and day.start_s >= from_s:
                    yield await self._estimate(version, basis, day, now_ms)
        self._from_s[spec.model] = max(from_s, self._open_from(spec.model, days, truth))

    async def _verdicts(
        self, model: str, truth: Mapping[str, Sequence[Matured]], from_s: int
    ) -> dict[str, list[Verdict]]:
        ready_s = {(version, day.start_s): day.ready_s for version, days in truth.items() for day in days}
        out: dict[str, list[Verdict]] = {}
        for row in await self._query(JUDGED, {"model": model, "signal": concept.SIGNAL, "from_s": from_s}):
            version, start_s, end_s = row["version"], int(row["start_s"]), int(row["end_s"])
            known_s = max((ready_s.get((version, each), 0) for each in range(start_s, end_s, DAY_S)), default=0)
            out.setdefault(version, []).append(Verdict(start_s, end_s, max(known_s, end_s), row["state"]))
        return out

    async def _remember(
        self, model: str, basis: Scores | Features, days: Sequence[Open], truth: Mapping[str, Sequence[Matured]]
    ) -> None:
        """Take up what another worker, or this one before a restart, has estimated."""
        unknown = {(day.version, day.start_s): day.answered for day in days}
        unknown = {key: n for key, n in unknown.items() if (model, *key) not in self._made}
        if not unknown:
            return
        from_s = min(start_s for _, start_s in unknown)
        for row in await self._query(MADE, {"model": model, "basis": basis.basis, "from_s": from_s}):
            key = row["version"], int(row["start_s"])
            if row["n"] >= ALL * unknown.get(key, math.inf):
                self._made[model, *key] = Made(unknown[key], True, bool(row["abstained"]), len(truth.get(key[0], ())))

    async def _judge(self, version: Version, basis: Scores | Features, group: Sequence[Matured], now_ms: int) -> Named:
        start_s, end_s, known_s = group[0].start_s, group[-1].end_s, max(day.ready_s for day in group)
        lessons, _ = version.lessons(known_s, start_s)
        found = await basis.judge(version, [day for day in lessons if day.start_s < start_s], group)
        version.verdicts.append(Verdict(start_s, end_s, known_s, found.result.state))
        model, name = version.spec.model, version.name
        moved = await support.drifted(self._query, model, name, start_s, end_s)
        window = Window(model, name, "", start_s * 1000, end_s * 1000)
        effects = concept.effects(window, found, moved, self._prefix, now_ms)
        return Named(f"relation:{model}:{name}:{start_s}-{end_s}", effects)

    async def _estimate(self, version: Version, basis: Scores | Features, day: Open, now_ms: int) -> Named:
        """The estimates of a day; nothing when there is nothing new to say of it."""
        model, own = version.spec.model, version.own(day.start_s)
        end_s = day.start_s + DAY_S
        over = end_s + GRACE_S <= version.newest_s or own is not None
        if not self._due(model, day, over, own is not None, len(version.ready)):
            return Named()
        lessons, doubted_s = version.lessons(end_s, day.start_s)
        if doubted_s is not None or basis.enough(lessons):  # then what is known before its own labels tell
            known_s = max((each.ready_s for each in version.ready), default=0) if own is None else own.ready_s - 1
            lessons, doubted_s = version.lessons(max(known_s, end_s), day.start_s)
        reason = basis.enough(lessons) if doubted_s is None else support.contradicted(doubted_s)
        out = await basis.estimate(version, day, lessons, reason)
        abstained = bool(reason) or any(each.reason for one in out for each in one.estimates.values())
        self._made[model, day.version, day.start_s] = Made(day.answered, over, abstained, len(version.ready))
        name = findings.id_of(model, day.version, day.start_s, day.answered, len(version.ready), now_ms)
        return Named(f"estimates:{name}", Effects((rows.rows(out, now_ms),))) if out else Named()

    def _due(self, model: str, day: Open, over: bool, has_matured: bool, known: int) -> bool:
        made = self._made.get((model, day.version, day.start_s))
        if made is None:
            return over or day.answered >= YOUNG
        if day.answered != made.answered or over != made.over:
            return over or day.answered >= GROWN * made.answered
        return made.abstained and not has_matured and known > made.known

    def _open_from(self, model: str, days: Sequence[Open], truth: Truth) -> int:
        """The first day of which something is still to be said; what stands before it is forgotten."""
        ready = {(version, day.start_s) for version, each in truth.ready.items() for day in each}
        still_open = (day for day in days if day.start_s + DAY_S > truth.closed_s)
        first_s = min(
            (day.start_s for day in still_open if (day.version, day.start_s) not in ready), default=days[-1].start_s
        )
        for key in [key for key in self._made if key[0] == model and key[2] < first_s]:
            del self._made[key]
        return first_s
