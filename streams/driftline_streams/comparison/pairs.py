"""The pairs of a day, as SQL: rows of `comparisons` computed from rows of `outcomes`, inside ClickHouse.

In the walk: the round that computes the sums of performance runs the statement for the days that labels came for. A
pair is an answer of a champion and one of another role to the same request, both with their truth; it belongs to the
day of the champion's. Lists are not paired: their items share a request.
"""

from __future__ import annotations

MAX_APART_DAYS = 7  # between two answers to a request: how far back and ahead a day looks for the others

_MAGNITUDE = 1e75  # of an error: its cube must stay finite

_NEAR = (
    "timestamp >= toDateTime64({first}, 3, 'UTC') - INTERVAL {days} DAY "
    "AND timestamp < toDateTime64({last}, 3, 'UTC') + INTERVAL {days} + 1 DAY"
)
_NEAR_GIVEN = _NEAR.format(
    first="arrayMin({days:Array(Date)})", last="arrayMax({days:Array(Date)})", days=MAX_APART_DAYS
)
_NEAR_TOUCHED = _NEAR.format(first="arrayMin(touched)", last="arrayMax(touched)", days=MAX_APART_DAYS)
_PAIRED = "model = {model:String} AND outcomes.kind != 'ranking' AND request_id != ''"

# What came for a day, of either side, can change the pairs of each day on which a champion has answered its requests:
# it is the other side's truth, or an earlier answer than the one that counted. Without other roles there are no pairs.
_TOUCHED = f"""
SELECT groupUniqArray(toDate(timestamp))
FROM outcomes
WHERE {_PAIRED} AND outcomes.role = 'champion' AND {_NEAR_GIVEN}
    AND (SELECT count() FROM outcomes WHERE model = {{model:String}} AND role != 'champion' AND {_NEAR_GIVEN}) > 0
    AND request_id IN (SELECT request_id FROM outcomes WHERE {_PAIRED} AND toDate(timestamp) IN {{days:Array(Date)}})
"""


def _side(role: str, requests: str) -> str:
    """One side of the pairs: the first answer of each version to each request."""
    return f"""
    SELECT
        version, outcomes.role AS role, request_id, toDate(timestamp) AS day,
        outcomes.kind IN ('binary', 'multiclass') AS classes,
        ifNull(if(outcomes.kind = 'binary', predicted_positive = positive, prediction = label), 0) AS hit,
        prediction_value - label_value AS residual,
        if(outcomes.kind = 'regression' AND isFinite(ifNull(residual, nan)),
            least({_MAGNITUDE!r}, abs(residual)), NULL) AS miss
    FROM outcomes FINAL
    WHERE {_PAIRED} AND {role} AND {_NEAR_TOUCHED} AND request_id IN ({requests})
    ORDER BY timestamp, prediction_id
    LIMIT 1 BY version, request_id"""


_REQUESTS = f"""
        SELECT request_id FROM outcomes
        WHERE {_PAIRED} AND outcomes.role = 'champion' AND {_NEAR_TOUCHED} AND toDate(timestamp) IN touched"""

# A row that has no pairs any more, because an earlier answer has come to light, is kept with none.
COMPUTE = f"""
INSERT INTO comparisons
    (model, champion, challenger, role, day, newest, n, compared, both_right, only_champion, only_challenger, measured,
     champion_errors, challenger_errors, differences, difference_squares, difference_cubes, computed_at)
WITH ({_TOUCHED}) AS touched
SELECT
    {{model:String}}, champion, challenger, role, day, max(last), sum(paired), countIf(compared),
    countIf(compared AND first_hit AND second_hit),
    countIf(compared AND first_hit AND NOT second_hit),
    countIf(compared AND NOT first_hit AND second_hit),
    count(second_miss - first_miss),
    ifNull(sumIf(first_miss, second_miss IS NOT NULL), 0),
    ifNull(sumIf(second_miss, first_miss IS NOT NULL), 0),
    ifNull(sum(second_miss - first_miss), 0), ifNull(sum(pow(second_miss - first_miss, 2)), 0),
    ifNull(sum(pow(second_miss - first_miss, 3)), 0),
    {{at:DateTime64(3, 'UTC')}}
FROM
(
    SELECT
        one.version AS champion, other.version AS challenger, other.role AS role, one.day AS day, other.day AS last,
        1 AS paired, one.classes AND other.classes AS compared, one.hit AS first_hit, other.hit AS second_hit,
        one.miss AS first_miss, other.miss AS second_miss
    FROM
    ({_side("outcomes.role = 'champion'", _REQUESTS)}
    ) AS one
    INNER JOIN
    ({_side("outcomes.role != 'champion'", _REQUESTS)}
    ) AS other ON one.request_id = other.request_id
    WHERE one.day IN touched
    UNION ALL
    SELECT champion, challenger, role, day, toDate(0), 0, 0, 0, 0, NULL, NULL
    FROM comparisons FINAL
    WHERE model = {{model:String}} AND day IN touched AND n > 0
)
GROUP BY champion, challenger, role, day
SETTINGS do_not_merge_across_partitions_select_final = 1, max_partitions_per_insert_block = 0
"""
