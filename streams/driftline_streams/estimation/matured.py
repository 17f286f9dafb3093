"""The days whose truth is known, and when it was: what calibration learns from.

In the walk: `watch` asks once a round for each model. Days are told apart by version, not by role: the same scores of
the same version mean the same, whoever is served by it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from driftline_schemas.spec import ModelSpec
from driftline_streams.estimation import histogram
from driftline_streams.estimation.calibration import BANDS, Day
from driftline_streams.kernel.histogram import Floats
from driftline_streams.kernel.limits import DAY_MS
from driftline_streams.kernel.query import Query

DAY_S = DAY_MS // 1000

# Of the days from `from_s` on.
_COHORTS = """
SELECT
    version, toUnixTimestamp(toDateTime(day, 'UTC')) AS start_s, sum(n) AS labelled, max(newest_label) AS newest,
    toUnixTimestamp(newest) AS newest_s, max(computed_at) AS computed,
    sumMap(positives) AS came, sumMap(negatives) AS came_not,
    sumMap(band_weight) AS answers, sumMap(band_wrong) AS wrong,
    sum(weight) AS weights, sum(weight_squares) AS squares, sum(measured) AS numbers
FROM performance FINAL
WHERE model = {model:String} AND stage = 'latest' AND dim = '' AND day >= toDate(toDateTime({from_s:UInt32}, 'UTC'))
GROUP BY version, day
ORDER BY day, version
"""


# Labels that came after the sums of their day were computed: what it will say is not known yet.
_BEHIND = """
SELECT count() AS n
FROM outcomes
WHERE model = {model:String} AND version = {version:String} AND joined_at >= {since:DateTime64(3, 'UTC')}
    AND timestamp >= toDateTime({start_s:UInt32}, 'UTC') AND timestamp < toDateTime({end_s:UInt32}, 'UTC')
"""

SLACK_S = 30.0  # in which a label that was joined becomes visible
LEAST_COVERAGE = 0.5  # of the answers of a day: of fewer labels nobody knows whom they speak for


class Matured(NamedTuple):
    """A day of one version whose labels have come, or will not come any more."""

    start_s: int
    ready_s: int  # when that was so, in the model's time
    computed: dt.datetime  # when its sums were
    covered: bool  # whether enough of its labels came to learn from
    labelled: int  # labels that came
    scores: Day
    measured: int  # numbers among its outcomes

    @property
    def end_s(self) -> int:
        """Of the day."""
        return self.start_s + DAY_S


class Truth(NamedTuple):
    """What labels have said of the days of a model, and when they have said all."""

    ready: Mapping[str, Sequence[Matured]]  # matured days by version, in order
    closed_s: int  # what ended until then gets no more labels, whether it has any or not


async def read(
    query: Query,
    spec: ModelSpec,
    answered: Mapping[tuple[str, int], int],
    *,
    from_s: int,
    newest_s: int,
    now_s: int,
) -> Truth:
    """The matured days from `from_s` on; `answered` counts the answers by version and day.

    A day has matured when it is final, as in the view `performance_states`: here it counts also when that was, for
    history is estimated as it would have been then. The newest prediction of the model is of `newest_s`; the clock is
    `now_s`, at least that. A day without labels is closed when labels a horizon younger have come, or by the clock.
    Raises what the query raises.
    """
    found = await query(_COHORTS, {"model": spec.model, "from_s": from_s})
    if not found:
        return Truth({}, now_s - spec.label_horizon_s)
    # A label may be of the future by the clock of whoever sent it.
    label_s = min(max(int(row["newest_s"]) for row in found), now_s)
    clock_s = max(newest_s, label_s)
    computed = max(row["computed"] for row in found)
    if computed.timestamp() + spec.label_horizon_s <= now_s:
        clock_s = label_s = now_s
    out: dict[str, list[Matured]] = {}
    for row in found:
        version, start_s = row["version"], int(row["start_s"])
        end_s, expected = start_s + DAY_S, answered.get((version, start_s), 0)
        complete = expected > 0 and expected * spec.label_coverage <= row["labelled"]
        ready_s = min(
            end_s + spec.label_horizon_s, max(end_s, min(int(row["newest_s"]), now_s)) if complete else 1 << 62
        )
        if ready_s <= clock_s:
            covered = row["labelled"] >= LEAST_COVERAGE * expected
            # Weighted outcomes tell as much as fewer of weight 1 (Kish, 1965): in that many, chance is as large.
            each = row["weights"] / row["squares"] if row["squares"] > 0 else 0.0
            counted = _grid(row["came"]), _grid(row["came_not"]), _bands(row["answers"]), _bands(row["wrong"])
            scores = Day(start_s, end_s, *(each * counts for counts in counted))
            day = Matured(start_s, ready_s, row["computed"], covered, int(row["labelled"]), scores, int(row["numbers"]))
            out.setdefault(version, []).append(day)
    return Truth(out, label_s - spec.label_horizon_s)


async def settled(query: Query, model: str, version: str, days: Sequence[Matured]) -> bool:
    """Whether all labels of these days are in their sums; raises what the query raises."""
    since = min(day.computed for day in days) - dt.timedelta(seconds=SLACK_S)
    bounds = {"model": model, "version": version, "since": since.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]}
    (row,) = await query(_BEHIND, {**bounds, "start_s": days[0].start_s, "end_s": days[-1].end_s})
    return int(row["n"]) == 0


def _grid(counts: Mapping[int, float]) -> Floats:
    buckets = np.fromiter(counts, np.int64, len(counts))
    return histogram.on_grid(buckets, np.fromiter(counts.values(), np.float64, len(counts)))


def _bands(counts: Mapping[int, float]) -> Floats:
    bands = np.fromiter(counts, np.int64, len(counts))
    found = np.bincount(bands, np.fromiter(counts.values(), np.float64, len(counts)), BANDS)
    return np.asarray(found, np.float64)
