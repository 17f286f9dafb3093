"""The questions of the ledger, in SQL. `ledger.py` says what their answers mean."""

from __future__ import annotations

# Places of all rows of a topic, stored and rejected; of the partitions and from the offsets that `where` names. Many
# predictions stand at one offset when they came in a column frame.
_EVENTS = """
SELECT partition, offset AS place, {in_frame}, ingested_at AS at, 1 AS kept
FROM {table}
WHERE topic = {{topic:String}} AND ({where})
UNION ALL
SELECT partition, offset AS place, position, frame_size, rejected_at AS at, 0 AS kept
FROM rejected
WHERE topic = {{topic:String}} AND reason != 'lost' AND ({where})
"""

_INSIDE = "partition = {partition:UInt32} AND place >= {begin:UInt64} AND place < {until:UInt64}"

LOST = (
    "SELECT partition, sum(n) AS lost FROM rejected WHERE topic = {topic:String} AND reason = 'lost' GROUP BY partition"
)

# In a span of event time. A window that only reaches into it cannot be compared, and its model is left out: `unit_s`
# divides the span, and so do the widths that divide it.
WINDOWS = """
WITH comparable AS
(
    SELECT DISTINCT model FROM windows WHERE dim = '' AND {unit_s:UInt32} % width_s != 0
)
SELECT
    (
        SELECT sum(n) FROM windows
        WHERE dim = '' AND window >= {since:DateTime('UTC')} AND window < {until:DateTime('UTC')}
            AND model NOT IN comparable
    ) AS counted,
    count() AS stored,
    countIf(topic != {topic:String} OR offset < {commits:Map(UInt32, UInt64)}[partition]) AS settled
FROM predictions
WHERE timestamp >= {since:DateTime('UTC')} AND timestamp < {until:DateTime('UTC')} AND model NOT IN comparable
"""

# What windows remember of predictions that a TTL has deleted.
DELETED = """
SELECT
    (SELECT sum(n) FROM windows WHERE dim = '' AND window < {since:DateTime('UTC')}) AS counted,
    (SELECT count() FROM predictions WHERE timestamp < {since:DateTime('UTC')}) AS stored
"""

# By time and place: trust may have changed between two readings of a batch.
_UNFOUNDED = """(
        SELECT count()
        FROM outcomes
        LEFT ANTI JOIN labels
            ON labels.model = outcomes.model AND labels.prediction_id = outcomes.prediction_id
            AND bitAnd(labels.precedence, {place}) = bitAnd(outcomes.precedence, {place})
    )""".format(place="bitShiftLeft(toUInt128(1), 112) - 1")

# No prediction that a counted label can belong to is older.
_SINCE = """
    timestamp >= (SELECT min(timestamp) FROM counted) - toIntervalSecond(greatest({horizon_s:Int64},
        (SELECT max(JSONExtractInt(record, 'label_horizon_s')) FROM models WHERE kind = 'spec')))
"""


def labels(where: str, *, recent: bool) -> str:
    """One row, named as the fields of `Labels`.

    A label is joined when an outcome carries it or one that takes precedence, and belongs to a prediction within the
    times of `outcomes.truth.belongs`; of several with its id, the first in Kafka counts. A `recent` account reads no
    further back than that, and looks for no outcomes without a label.
    """
    since, unfounded = (_SINCE, "0") if recent else ("1", _UNFOUNDED)
    return f"""
    WITH
        counted AS
        (
            SELECT *, precedence
            FROM labels
            WHERE topic = {{topic:String}} AND ({where})
                AND offset >= {{begins:Map(UInt32, UInt64)}}[partition]
                AND offset < {{commits:Map(UInt32, UInt64)}}[partition]
        ),
        unjoined AS
        (
            SELECT counted.model AS model, prediction_id, partition, offset, timestamp, ingested_at
            FROM counted
            LEFT JOIN
            (
                SELECT model, prediction_id, max(precedence) AS joined
                FROM outcomes
                WHERE {since}
                GROUP BY model, prediction_id
            ) AS known ON known.model = counted.model AND known.prediction_id = counted.prediction_id
            WHERE known.joined < counted.precedence
        ),
        pairs AS
        (
            SELECT
                unjoined.partition AS label_partition, unjoined.offset AS label_offset,
                unjoined.ingested_at AS label_taken_at, served.ingested_at AS served_at, served.status AS status,
                (served.topic, served.partition, served.offset, served.position) AS served_place,
                if(horizons.stated_s = 0, {{horizon_s:Int64}}, horizons.stated_s) AS horizon_s,
                status != '' AND served.timestamp >= unjoined.timestamp - toIntervalSecond(horizon_s)
                    AND served.timestamp <= unjoined.timestamp + toIntervalDay(1) AS belongs
            FROM unjoined
            LEFT JOIN
            (
                SELECT model, prediction_id, status, timestamp, topic, partition, offset, position, ingested_at
                FROM predictions
                WHERE (model, prediction_id) IN (SELECT model, prediction_id FROM unjoined) AND {since}
            ) AS served ON served.model = unjoined.model AND served.prediction_id = unjoined.prediction_id
            LEFT JOIN
            (
                SELECT model, argMax(JSONExtractInt(record, 'label_horizon_s'), offset) AS stated_s
                FROM models
                WHERE kind = 'spec'
                GROUP BY model
            ) AS horizons ON horizons.model = unjoined.model
        ),
        fates AS
        (
            SELECT multiIf(
                countIf(belongs) = 0 AND any(label_taken_at + toIntervalSecond(horizon_s)) < now64(3), 'orphaned',
                countIf(belongs) = 0, 'waiting',
                argMinIf(status, served_place, belongs) = 'error', 'unanswered',
                greatest(any(label_taken_at), maxIf(served_at, belongs))
                    > now64(3) - toIntervalMillisecond({{within_ms:Int64}}), 'waiting',
                'overdue') AS fate
            FROM pairs
            GROUP BY label_partition, label_offset
        )
    SELECT
        (SELECT count() FROM counted) AS stored,
        stored - count() AS joined,
        countIf(fate = 'unanswered') AS unanswered,
        countIf(fate = 'waiting') AS waiting,
        countIf(fate = 'orphaned') AS orphaned,
        countIf(fate = 'overdue') AS overdue,
    {unfounded} AS unfounded
    FROM fates
    """


def _events(table: str, where: str) -> str:
    in_frame = (
        "position, frame_size" if table == "predictions" else "toUInt32(0) AS position, toUInt32(1) AS frame_size"
    )
    return f"({_EVENTS.format(table=table, where=where, in_frame=in_frame)}) AS events"


# Of a frame: that it has as many rows as events, all of one size, and each position once. The sum of the hashes of the
# positions is that of the numbers below its size: to remember the positions themselves takes fifty times the memory.
_FRAMES = """
SELECT
    partition, place, count() AS rows, max(frame_size) AS size,
    min(frame_size) != size OR (rows = size AND sum(cityHash64(position))
        != arraySum(number -> cityHash64(toUInt32(number)), range(size))) AS torn
FROM {events}
WHERE frame_size > 1 AND {inside}
GROUP BY partition, place
"""


def offsets(table: str, where: str) -> str:
    """Per partition of a topic of `table`: what is stored and rejected, within the bounds and beyond.

    `messages` are offsets with a row, `doubled` the rows that are more than one of an event, `short` the events of
    frames that have no row while others have, `largest` the most events that a message had.
    """
    events = _events(table, where)
    inside = "place >= {begins:Map(UInt32, UInt64)}[partition] AND place < {commits:Map(UInt32, UInt64)}[partition]"
    return f"""
    SELECT
        partition, stored, rejected, messages, ahead, beyond, largest,
        single_rows - singles + extra + torn + (singles + frames - messages) AS doubled, short
    FROM
    (
        WITH {inside} AS inside
        SELECT
            partition,
            countIf(inside AND kept) AS stored,
            countIf(inside AND NOT kept) AS rejected,
            groupBitmapIf(place, inside) AS messages,
            countIf(inside AND frame_size = 1) AS single_rows,
            groupBitmapIf(place, inside AND frame_size = 1) AS singles,
            countIf(place >= {{commits:Map(UInt32, UInt64)}}[partition]) AS ahead,
            countIf(place >= {{ends:Map(UInt32, UInt64)}}[partition]
                AND at < now64(3) - toIntervalMillisecond({{fresh_ms:Int64}})) AS beyond,
            max(frame_size) AS largest
        FROM {events}
        GROUP BY partition
    ) AS counted
    LEFT JOIN
    (
        SELECT
            partition, count() AS frames, sum(torn) AS torn,
            sum(if(rows > size, rows - size, 0)) AS extra, sum(if(rows < size, size - rows, 0)) AS short
        FROM ({_FRAMES.format(events=events, inside=inside)})
        GROUP BY partition
    ) AS framed USING partition
    """


def doubled(table: str, where: str) -> str:
    """The first event of a partition that has more than one row, or the first one of a frame with wrong positions."""
    return f"""
    SELECT place, position, stored, rejected
    FROM
    (
        SELECT place, position, countIf(kept) AS stored, countIf(NOT kept) AS rejected
        FROM {_events(table, where)}
        WHERE {_INSIDE}
        GROUP BY place, position
    )
    WHERE stored + rejected > 1
    ORDER BY place, position
    LIMIT 1
    """


def torn(table: str, where: str) -> str:
    """The first frame of a partition whose events are not each there once."""
    frames = _FRAMES.format(events=_events(table, where), inside=_INSIDE)
    return f"SELECT place, rows, size FROM ({frames}) WHERE rows != size OR torn ORDER BY place LIMIT 1"


def missing(table: str, where: str) -> str:
    """The runs of offsets of a partition that have no row, in order, each by its first and last offset."""
    return f"""
    SELECT previous + 1 AS first, place - 1 AS last
    FROM
    (
        SELECT
            place,
            lagInFrame(place, 1, toInt64({{begin:UInt64}}) - 1)
                OVER (ORDER BY place ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS previous
        FROM
        (
            SELECT DISTINCT toInt64(place) AS place
            FROM {_events(table, where)}
            WHERE {_INSIDE}
            UNION ALL
            SELECT toInt64({{until:UInt64}})
        )
    )
    WHERE place > previous + 1
    ORDER BY first
    LIMIT {{limit:UInt64}}
    """


def middle(where: str) -> str:
    """How many predictions there are, and the hour of event time before which half of them happened."""
    return f"""
    SELECT count() AS n, toStartOfHour(toDateTime(quantile(0.5)(toUnixTimestamp(timestamp)), 'UTC')) AS hour
    FROM predictions
    WHERE topic = {{topic:String}} AND ({where})
    """
