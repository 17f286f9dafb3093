"""The watch over daily performance: asks ClickHouse for the days that are not settled and publishes what broke a limit.

In the walk: `app.py` runs it on a timer, on any number of workers. Detections have ids that come from their cause, and
those that stand in `detections` already are not published again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Sequence

from driftline_schemas.records import Detection
from driftline_schemas.spec import PerformanceRules
from driftline_streams.kernel import findings
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Named
from driftline_streams.kernel.query import Query
from driftline_streams.performance.objectives import Day, judge

DAYS = """
SELECT
    model, version, role, toUnixTimestamp(day) * 1000 AS day_ms, state != 'provisional' AS final, expected, labelled,
    classified, tp, fp, fn, scored, scored_positives, accuracy, precision, recall, f1, roc_auc
FROM performance_daily
WHERE model = {model:String} AND day > toDate({after:String})
ORDER BY day, version, role
"""

KNOWN = "SELECT id FROM detections WHERE model = {model:String} AND kind = 'performance' AND start > {after:String}"


class Watch:
    """The watch over the models whose specs set limits; it remembers up to which day each model is settled."""

    def __init__(self, catalog: Catalog, prefix: str, query: Query) -> None:
        self._catalog = catalog
        self._prefix = prefix
        self._query = query
        self._settled: dict[str, tuple[PerformanceRules, str]] = {}  # model → its limits, its last settled day

    async def __call__(self, now_ms: int) -> Named:
        """One round over all models with limits; raises what the query raises, and the next round makes up for it.

        A day is judged anew until it is final, and with new limits from the beginning.
        """
        found: list[Detection] = []
        for spec in self._catalog.specs():
            if spec.performance == PerformanceRules():
                continue
            limits, after = self._settled.get(spec.model, (spec.performance, "1970-01-01"))
            if limits != spec.performance:
                after = "1970-01-01"
            bounds = {"model": spec.model, "after": after}
            days = [Day(**row | {"final": bool(row["final"])}) for row in await self._query(DAYS, bounds)]
            broken = [detection for day in days for detection in judge(day, spec)]
            known = {row["id"] for row in await self._query(KNOWN, bounds)} if broken else set()
            new = [detection for detection in broken if detection.id not in known]
            found += new
            if not new:  # else when they are known: until then nobody has promised that they were published
                self._settled[spec.model] = (spec.performance, _settled(days, after))
        return _result(found, self._prefix, now_ms)


def _settled(days: Collection[Day], after: str) -> str:
    """The last day up to which all are final."""
    open_ms = min((day.day_ms for day in days if not day.final), default=None)
    final_ms = [day.day_ms for day in days if open_ms is None or day.day_ms < open_ms]
    return dt.datetime.fromtimestamp(max(final_ms) / 1000, dt.UTC).date().isoformat() if final_ms else after


def _result(found: Sequence[Detection], prefix: str, now_ms: int) -> Named:
    if not found:
        return Named()
    effects = findings.effects(found, prefix, now_ms)
    digest = hashlib.blake2b(b"\0".join(message.value or b"" for message in effects.messages), digest_size=16)
    return Named(f"performance:{digest.hexdigest()}", effects)
