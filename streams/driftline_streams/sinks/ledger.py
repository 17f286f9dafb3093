"""The ledger: proof from Kafka's offsets and ClickHouse's rows alone that every event is accounted for exactly once.

In the walk: beside it. `driftline ledger`, the demo and the tests ask; whoever asks brings the offsets
(`ledger_positions.py`). Three sums must hold:

- of every partition of predictions and labels, the offsets that were read are exactly those that are stored or
  rejected, each once;
- the windows without a segment sum up to the stored predictions;
- no label lies unjoined although its prediction is there, and no outcome lacks its label.

While workers run, rows are ahead of the committed offsets by the batches in flight: they are counted as `ahead`. What
happens between the reading of the offsets and the asking of ClickHouse can still look like a discrepancy;
`ledger_positions.take_account` looks again before it believes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from driftline_schemas.spec import ModelSpec
from driftline_schemas.topics import LABELS, PREDICTIONS
from driftline_streams.sinks import ledger_queries as queries
from driftline_streams.sinks.clickhouse import ClickHouse

FRESH_S = 60.0  # rows beyond the end of a partition are younger than its position, and not wrong, for this long
JOIN_WITHIN_S = 3600.0  # labels that did not fit into a worker's memory are looked up again at most this late


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition begins, where its readers are, where it ends; `gaps` offsets between never held an event."""

    begin: int
    committed: int
    end: int
    gaps: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One partition's account, of the offsets from `begin` to `committed`."""

    topic: str
    partition: int
    read: int
    stored: int
    rejected: int
    gaps: int
    different: int  # offsets stored or rejected, each counted once
    ahead: int  # stored or rejected beyond what is committed
    unread: int  # of the partition, beyond what is committed
    beyond: int  # stored or rejected beyond the end of the partition, for longer than a moment

    @property
    def holds(self) -> bool:
        """Whether every offset is accounted for once."""
        accounted = self.stored + self.rejected
        return self.read == accounted + self.gaps and self.different == accounted and self.beyond == 0


@dataclass(frozen=True, slots=True)
class Windows:
    """The events that windows sum up, and the predictions that are stored, both of all topics and times."""

    counted: int
    stored: int
    ahead: int  # of the stored
    unread: int  # predictions that may be counted already

    @property
    def holds(self) -> bool:
        """Whether both agree, as closely as batches in flight allow."""
        settled = self.stored - self.ahead
        return settled <= self.counted <= max(self.stored, settled + self.unread)


@dataclass(frozen=True, slots=True)
class Labels:
    """What became of the stored labels; a label that a later one corrected counts as joined."""

    stored: int
    joined: int
    unanswered: int  # their prediction failed: there is nothing to compare
    waiting: int  # their prediction has not come, and still may
    orphaned: int  # their prediction did not come within the horizon
    overdue: int  # their prediction is stored, and yet there is no outcome
    unfounded: int  # outcomes without a label

    @property
    def holds(self) -> bool:
        """Whether each label has one fate, and each outcome its label."""
        fates = self.joined + self.unanswered + self.waiting + self.orphaned
        return self.stored == fates and self.overdue == 0 and self.unfounded == 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """The whole account; `discrepancy` says where it first breaks, and is empty when it holds."""

    lines: tuple[Line, ...]
    windows: Windows
    labels: Labels
    discrepancy: str

    @property
    def holds(self) -> bool:
        """Whether everything adds up."""
        return not self.discrepancy


def check(
    clickhouse: ClickHouse, positions: Mapping[tuple[str, int], Position], *, join_within_s: float = JOIN_WITHIN_S
) -> Ledger:
    """Take the account.

    Parameters
    ----------
    positions
        Of every partition of the predictions and labels topics, by full name and number. Other topics are left out.
    join_within_s
        How long a label may lie beside its prediction without an outcome; 0 when everything is known to be at rest.

    Raises
    ------
    UsageError
        If the tables are missing.
    Unavailable
        If ClickHouse does not answer.
    """
    lines: list[Line] = []
    prefix = clickhouse.settings.topic_prefix
    # An account of nothing would hold, and say nothing.
    first = (
        "" if positions else f"there are no topics {prefix}.*: run `driftline topics`, or set DRIFTLINE_TOPIC_PREFIX"
    )
    for table, topic in (("predictions", PREDICTIONS.full_name(prefix)), ("labels", LABELS.full_name(prefix))):
        own = {partition: position for (name, partition), position in positions.items() if name == topic}
        found = {row["partition"]: row for row in clickhouse.query_rows(queries.offsets(table), _bounds(topic, own))}
        for partition in sorted(own.keys() | found.keys()):
            line = _line(topic, partition, own.get(partition, Position(0, 0, 0)), found.get(partition, {}))
            lines.append(line)
            if not line.holds and not first:
                first = _explain(clickhouse, table, line, own.get(partition))
    predictions = [line for line in lines if line.topic == PREDICTIONS.full_name(prefix)]
    windows = _windows(clickhouse, predictions)
    if not windows.holds:
        first = first or f"the windows sum up to {windows.counted} events, stored are {windows.stored}"
    labels = _labels(clickhouse, LABELS.full_name(prefix), positions, join_within_s)
    if not labels.holds:
        first = first or (
            f"{labels.unfounded} outcomes have no label"
            if labels.unfounded
            else f"{labels.overdue} labels have no outcome, though their predictions are stored"
        )
    return Ledger(tuple(lines), windows, labels, first)


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


def _line(topic: str, partition: int, position: Position, found: Mapping[str, int]) -> Line:
    return Line(
        topic,
        partition,
        read=position.committed - position.begin,
        stored=found.get("stored", 0),
        rejected=found.get("rejected", 0),
        gaps=position.gaps,
        different=found.get("different", 0),
        ahead=found.get("ahead", 0),
        unread=position.end - position.committed,
        beyond=found.get("beyond", 0),
    )


def _explain(clickhouse: ClickHouse, table: str, line: Line, position: Position | None) -> str:
    """Which offset of a line that does not hold is the first that is wrong."""
    where = f"{line.topic}:{line.partition}"
    if position is None:
        return f"{where} is not on the broker, but {line.beyond} of its events are stored"
    if line.beyond:
        return f"{where} ends at {position.end}, but {line.beyond} events beyond are stored: was the topic recreated?"
    bounds = {"topic": line.topic, "partition": line.partition, "begin": position.begin, "until": position.committed}
    accounted = line.stored + line.rejected
    if line.different < accounted:
        (row,) = clickhouse.query_rows(queries.doubled(table), bounds)
        how = "stored and rejected" if row["stored"] and row["rejected"] else "stored" if row["stored"] else "rejected"
        return f"{where}: offset {row['place']} is {how} {row['stored'] + row['rejected']} times"
    if accounted + line.gaps < line.read:
        (row,) = clickhouse.query_rows(queries.missing(table), bounds)
        missing = line.read - line.gaps - accounted
        return f"{where}: {missing} of {line.read} events are missing, the first at offset {row['place']}"
    return f"{where}: {accounted} events and {line.gaps} gaps are more than the {line.read} offsets that were read"


def _windows(clickhouse: ClickHouse, predictions: list[Line]) -> Windows:
    (row,) = clickhouse.query_rows(queries.WINDOWS)
    return Windows(
        row["counted"],
        row["stored"],
        ahead=sum(line.ahead for line in predictions),
        unread=sum(line.unread for line in predictions),
    )


def _labels(
    clickhouse: ClickHouse, topic: str, positions: Mapping[tuple[str, int], Position], join_within_s: float
) -> Labels:
    own = {partition: position for (name, partition), position in positions.items() if name == topic}
    parameters = _bounds(topic, own) | {
        "horizon_s": ModelSpec(model="nobody described").label_horizon_s,
        "within_ms": round(join_within_s * 1000),
    }
    (row,) = clickhouse.query_rows(queries.LABELS, parameters)
    return Labels(**row)
