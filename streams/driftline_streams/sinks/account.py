"""The questions behind the ledger, put to ClickHouse, and what their answers add up to.

In the walk: beside it. `ledger.py` says which sums must hold.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from driftline_schemas.spec import ModelSpec
from driftline_schemas.topics import LABELS, PREDICTIONS
from driftline_streams.sinks import ledger_queries as queries
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.ledger import Labels, Ledger, Line, Position, Windows
from driftline_streams.sinks.retention import complete_from

FRESH_S = 60.0  # rows beyond the end of a partition are younger than its position, and not wrong, for this long
RECENT_HOURS = 3
EPOCH, FOREVER = dt.date(1970, 1, 1), dt.date(2100, 1, 1)
JOIN_WITHIN_S = 3600.0  # labels that did not fit into a worker's memory are looked up again at most this late


def check(
    clickhouse: ClickHouse,
    positions: Mapping[tuple[str, int], Position],
    *,
    join_within_s: float = JOIN_WITHIN_S,
    recent: bool = False,
) -> Ledger:
    """Take the account.

    Parameters
    ----------
    positions
        Of every partition of the predictions and labels topics, by full name and number. Other topics are left out.
    join_within_s
        How long a label may lie beside its prediction without an outcome; 0 when everything is known to be at rest.
    recent
        Read no more of ClickHouse than rows from the `begin` of each partition on, the `RECENT_HOURS` of event time in
        the middle of them, and what labels among them may be about.

    Raises
    ------
    UsageError
        If the tables are missing.
    Unavailable
        If ClickHouse does not answer.
    """
    return _Account(clickhouse, positions, recent).take(join_within_s)


class _Account:
    """One taking of the account."""

    def __init__(self, clickhouse: ClickHouse, positions: Mapping[tuple[str, int], Position], recent: bool) -> None:
        self._clickhouse, self._positions, self._recent = clickhouse, positions, recent
        self._prefix = clickhouse.settings.topic_prefix
        self._predictions, self._labels = PREDICTIONS.full_name(self._prefix), LABELS.full_name(self._prefix)
        self._complete_from = complete_from(clickhouse, "predictions")

    def take(self, join_within_s: float) -> Ledger:
        lines = [*self._lines("predictions", self._predictions), *self._lines("labels", self._labels)]
        windows = self._windows([line for line in lines if line.topic == self._predictions])
        lines = self._excuse(lines, windows.deleted)
        labels = self._fates(join_within_s)
        return Ledger(tuple(lines), windows, labels, self._first(lines, windows, labels))

    def _own(self, topic: str) -> dict[int, Position]:
        return {partition: position for (name, partition), position in self._positions.items() if name == topic}

    def _lines(self, table: str, topic: str) -> list[Line]:
        own = self._own(topic)
        found = {
            row["partition"]: row
            for row in self._clickhouse.query_rows(queries.offsets(table, self._where(topic)), _bounds(topic, own))
        }
        lost = {row["partition"]: row["lost"] for row in self._clickhouse.query_rows(queries.LOST, {"topic": topic})}
        return [
            _line(topic, partition, own.get(partition, Position(0, 0, 0)), found.get(partition, {}), lost)
            for partition in sorted(own.keys() | found.keys())
        ]

    def _where(self, topic: str) -> str:
        """What the account reads of a topic's rows, as a condition of SQL."""
        if not self._recent:
            return "1"
        own = self._own(topic).items()
        return " OR ".join(f"(partition = {partition} AND offset >= {at.begin})" for partition, at in own) or "0"

    def _windows(self, predictions: list[Line]) -> Windows:
        unread = sum(line.unread * line.largest for line in predictions)
        bounds = _bounds(self._predictions, self._own(self._predictions)) | self._span()
        (row,) = self._clickhouse.query_rows(queries.WINDOWS, bounds)
        deleted = 0
        # To count them is to read all windows: a recent account does so only when something is missing.
        if self._complete_from is not None and (not self._recent or any(line.missing for line in predictions)):
            (old,) = self._clickhouse.query_rows(queries.DELETED, {"since": str(self._complete_from)})
            deleted = max(0, old["counted"] - old["stored"])
        return Windows(row["counted"], row["stored"], row["settled"], unread, deleted)

    def _span(self) -> dict[str, Any]:
        """The event time in which windows are compared with predictions."""
        complete = dt.datetime.combine(self._complete_from or EPOCH, dt.time.min)
        since, until, unit_s = complete, dt.datetime.combine(FOREVER, dt.time.min), 0
        if self._complete_from is not None:
            unit_s = 86_400
        if self._recent:
            (row,) = self._clickhouse.query_rows(
                queries.middle(self._where(self._predictions)), {"topic": self._predictions}
            )
            hour = row["hour"].replace(tzinfo=None) if row["n"] else complete
            since, until, unit_s = hour - dt.timedelta(hours=RECENT_HOURS // 2), hour, 3_600
            until += dt.timedelta(hours=RECENT_HOURS - RECENT_HOURS // 2)
            since, until = max(since, complete), max(until, complete)
        return {"since": f"{since:%Y-%m-%d %H:%M:%S}", "until": f"{until:%Y-%m-%d %H:%M:%S}", "unit_s": unit_s}

    def _excuse(self, lines: list[Line], deleted: int) -> list[Line]:
        """Take what a TTL has deleted for what is missing of predictions."""
        excused = []
        for line in lines:
            taken = min(max(line.missing, 0), deleted) if line.topic == self._predictions else 0
            deleted -= taken
            excused.append(replace(line, deleted=taken))
        return excused

    def _fates(self, join_within_s: float) -> Labels:
        parameters = _bounds(self._labels, self._own(self._labels)) | {
            "horizon_s": ModelSpec(model="nobody described").label_horizon_s,
            "within_ms": round(join_within_s * 1000),
        }
        sql = queries.labels(self._where(self._labels), recent=self._recent)
        (row,) = self._clickhouse.query_rows(sql, parameters)
        return Labels(**row)

    # What is said of what does not hold

    def _first(self, lines: list[Line], windows: Windows, labels: Labels) -> str:
        """The first discrepancy, in words; empty when there is none."""
        if not self._positions:  # an account of nothing would hold, and say nothing
            return f"there are no topics {self._prefix}.*: run `driftline topics`, or set DRIFTLINE_TOPIC_PREFIX"
        for line in lines:
            if line.wrong:
                return self._explain(line)
        if windows.wrong:
            return f"the windows sum up to {windows.counted} events, stored are {windows.stored}"
        if labels.unfounded:
            return f"{labels.unfounded} outcomes have no label"
        if labels.wrong:
            return f"{labels.overdue} labels have no outcome, though their predictions are stored"
        return ""

    def _explain(self, line: Line) -> str:
        """Which offset of a line that does not hold is the first that is wrong."""
        where = f"{line.topic}:{line.partition}"
        position = self._positions.get((line.topic, line.partition))
        if position is None:
            return f"{where} is not on the broker, but {line.beyond} of its events are stored"
        if line.beyond:
            return (
                f"{where} ends at {position.end}, but {line.beyond} events beyond are stored: was the topic recreated?"
            )
        table = "predictions" if line.topic == self._predictions else "labels"
        if line.doubled:
            sql = queries.doubled(table, self._where(line.topic))
            for row in self._clickhouse.query_rows(sql, inside(line, position)):
                how = " and ".join(fate for fate in ("stored", "rejected") if row[fate])
                place = f"{row['place']}, position {row['position']}," if line.largest > 1 else row["place"]
                return f"{where}: offset {place} is {how} {row['stored'] + row['rejected']} times"
        if line.doubled or line.missing == line.short > 0:
            (row,) = self._clickhouse.query_rows(queries.torn(table, self._where(line.topic)), inside(line, position))
            return f"{where}: offset {row['place']} has {row['rows']} rows of the {row['size']} events of its frame"
        if line.missing > 0:
            runs = missing(self._clickhouse, line, position, most=len(position.gaps) + 1)
            first, left = _first_outside(runs, position.gaps), line.missing - line.deleted
            return f"{where}: {left} of {line.read} events are missing, the first at offset {first}"
        return f"{where}: {line.messages} messages and {line.gaps} gaps are more than the {line.read} that were read"


def missing(clickhouse: ClickHouse, line: Line, position: Position, most: int) -> list[tuple[int, int]]:
    """The runs of offsets of a line that have no row, at `most` so many, each by its first and last offset."""
    table = "labels" if line.topic == LABELS.full_name(clickhouse.settings.topic_prefix) else "predictions"
    sql = queries.missing(table, f"partition = {line.partition} AND offset >= {position.begin}")
    rows = clickhouse.query_rows(sql, inside(line, position) | {"limit": most})
    return [(row["first"], row["last"]) for row in rows]


def inside(line: Line, position: Position) -> dict[str, Any]:
    """The parameters that bound a question to the offsets of a line."""
    return {"topic": line.topic, "partition": line.partition, "begin": position.begin, "until": position.committed}


def _first_outside(runs: Iterable[tuple[int, int]], gaps: Iterable[tuple[int, int]]) -> int:
    """The first offset of the runs that is in no gap; both in order.

    >>> _first_outside([(3, 5), (8, 9)], [(3, 5), (8, 8)])
    9
    """
    first, remaining = 0, iter(gaps)
    gap = next(remaining, None)
    for first, last in runs:
        while gap is not None and gap[0] <= first:
            first = max(first, gap[1] + 1)  # noqa: PLW2901
            gap = next(remaining, None)
        if first <= last:
            break
    return first


def _bounds(topic: str, positions: Mapping[int, Position]) -> dict[str, Any]:
    return {
        "topic": topic,
        "fresh_ms": round(FRESH_S * 1000),
        "begins": _map({partition: position.begin for partition, position in positions.items()}),
        "commits": _map({partition: position.committed for partition, position in positions.items()}),
        "ends": _map({partition: position.end for partition, position in positions.items()}),
    }


def _map(values: Mapping[int, int]) -> str:
    """A Map(UInt32, UInt64) as a parameter; the driver only writes maps with keys of text."""
    return "{" + ",".join(f"{key}:{value}" for key, value in values.items()) + "}"


def _line(topic: str, partition: int, position: Position, found: Mapping[str, int], lost: Mapping[int, int]) -> Line:
    return Line(
        topic,
        partition,
        read=position.committed - position.begin,
        stored=found.get("stored", 0),
        rejected=found.get("rejected", 0),
        messages=found.get("messages", 0),
        gaps=sum(last + 1 - first for first, last in position.gaps),
        short=found.get("short", 0),
        deleted=0,
        doubled=found.get("doubled", 0),
        largest=found.get("largest", 1),
        ahead=found.get("ahead", 0),
        unread=position.end - position.committed,
        beyond=found.get("beyond", 0),
        lost=lost.get(partition, 0),
    )
