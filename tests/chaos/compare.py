"""What stands in ClickHouse and on the topics, against what must.

Each question gives rows and names what tells them apart; every value of every row must be the oracle's. Columns that
hold the time of writing are left out, and nothing else is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from driftline_schemas import topics
from driftline_schemas.records import Alert, Clock, Errors, Partial, Rejected
from driftline_schemas.topics import Topic
from driftline_streams.kernel import findings
from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse

from .models import DAY_MS
from .oracle import Expected
from .rows import Row, Table
from .traffic import Traffic
from .undisturbed import NOT_COMPARED, Found

_PARTIALS = msgspec.json.Decoder(Partial | Clock | Errors)

FIRST = 3  # differences of a table that are shown

# Of each table: what names a row, and the query. A name that occurs twice is a difference too.
QUESTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "predictions": (
        ("partition", "offset"),
        """
        SELECT * EXCEPT (topic, ingested_at, timestamp, position), toUnixTimestamp64Milli(timestamp) AS timestamp_ms
        FROM predictions
        """,
    ),
    "windows": (
        ("model", "version", "start_s", "width_s", "dim", "value"),
        """
        SELECT
            model, version, toUnixTimestamp(window) AS start_s, width_s, dim, value,
            sum(windows.n) AS n, sum(windows.errors) AS errors, sumMap(windows.latency) AS latency,
            sum(windows.latency_n) AS latency_n, sum(windows.latency_sum) AS latency_sum,
            max(windows.latency_max) AS latency_max, sum(windows.score_n) AS score_n,
            sum(windows.score_sum) AS score_sum, sum(windows.confidence_n) AS confidence_n,
            sum(windows.confidence_sum) AS confidence_sum, sumMap(windows.classes) AS classes
        FROM windows
        GROUP BY model, version, start_s, width_s, dim, value
        """,
    ),
    "features": (
        ("model", "version", "start_s", "width_s", "dim", "value", "reference"),
        """
        SELECT
            model, version, toUnixTimestamp(window) AS start_s, width_s, dim, value, reference,
            sum(features.n) AS n, sumMap(features.present) AS present, sumMap(features.nulls) AS nulls,
            sumMap(features.sums) AS sums, sumMap(features.sum_squares) AS sum_squares,
            minMap(features.mins) AS mins, maxMap(features.maxs) AS maxs, sumMap(features.bins) AS bins,
            sumMap(features.issues) AS issues
        FROM features
        GROUP BY model, version, start_s, width_s, dim, value, reference
        """,
    ),
    "outliers": (("partition", "offset"), "SELECT partition, offset, prediction_id, score, reasons FROM outliers"),
    "labels": (
        ("partition", "offset"),
        """
        SELECT * EXCEPT (topic, ingested_at, timestamp), toUnixTimestamp64Milli(timestamp) AS timestamp_ms
        FROM labels
        """,
    ),
    "outcomes": (
        ("model", "prediction_id"),
        """
        SELECT
            * EXCEPT (timestamp, label_timestamp, joined_at),
            toUnixTimestamp64Milli(timestamp) AS timestamp_ms,
            toUnixTimestamp64Milli(label_timestamp) AS label_ms
        FROM outcomes FINAL
        """,
    ),
    "performance": (
        ("model", "version", "role", "day"),
        "SELECT model, version, role, day, expected, labelled, tp, fp, tn, fn FROM performance_daily",
    ),
    "rejected": (
        ("name", "partition", "offset"),
        "SELECT splitByChar('.', topic)[-1] AS name, partition, offset, reason, payload FROM rejected",
    ),
    "drift": (
        ("model", "version", "window_s", "width_s", "dim", "value", "signal"),
        """
        SELECT
            model, version, toUnixTimestamp(window) AS window_s, width_s, dim, value, signal,
            state, method, statistic, threshold, effect, low, high, p_value, n, n_reference, reference
        FROM drift FINAL
        """,
    ),
    "detections": (
        ("id",),
        """
        SELECT
            * EXCEPT (start, end, detected_at), toUnixTimestamp64Milli(start) AS start_ms,
            toUnixTimestamp64Milli(end) AS end_ms
        FROM detections FINAL
        -- What errors are found depends on which labels are joined together.
        WHERE model NOT IN {left_out:Array(String)} AND kind != 'performance' AND signal != 'error'
        """,
    ),
    "alerts": (
        ("id",),
        """
        SELECT
            * EXCEPT (start, end, raised_at), toUnixTimestamp64Milli(start) AS start_ms,
            toUnixTimestamp64Milli(end) AS end_ms
        FROM alerts FINAL
        WHERE model NOT IN {left_out:Array(String)} AND kind != 'performance' AND signal != 'error'
        """,
    ),
}


def differences(clickhouse: ClickHouse, traffic: Traffic, expected: Expected, found: Found) -> list[str]:
    """Every way in which ClickHouse and the topics are not as they must be, the first of each table in full."""
    tables = expected.tables | {
        "drift": found.drift,
        "detections": {(id_,): _as_row(detection) for id_, detection in found.detections.items()},
        "alerts": {(id_,): _as_row(alert) for id_, alert in found.alerts.items()},
    }
    out: list[str] = []
    for table, (key, sql) in QUESTIONS.items():
        rows = clickhouse.query_rows(sql, {"left_out": sorted(NOT_COMPARED)} if "left_out" in sql else None)
        found_rows = _keyed(map(_PLAIN.get(table, _same), rows), key)
        out += compare(table, _sampled(table, tables[table], found_rows), found_rows)
    out += _performance(clickhouse, traffic, expected)
    out += _topics(clickhouse.settings, set(found.alerts), set(tables["rejected"]))
    return out


def compare(table: str, expected: Table, rows: list[tuple[tuple[Any, ...], Row]]) -> list[str]:
    """How the rows of a table differ from what is expected, as sentences."""
    actual: Table = {}
    out = _told(table, "rows are there twice", [key for key, row in rows if actual.setdefault(key, row) is not row])
    out += _told(table, "rows are missing", sorted(expected.keys() - actual.keys()))
    out += _told(table, "rows are there that should not be", sorted(actual.keys() - expected.keys()))
    wrong = []
    for key in sorted(expected.keys() & actual.keys()):
        for name, value in expected[key].items():
            if not _equal(actual[key].get(name), value):
                wrong.append(f"{key} {name} is {actual[key].get(name)!r} instead of {value!r}")
    return out + _told(table, "values are wrong", wrong)


def _sampled(table: str, expected: Table, rows: list[tuple[tuple[Any, ...], Row]]) -> Table:
    """What is expected of a table: of outliers, a few of each batch are kept, and batches are as they come."""
    if table != "outliers" or not rows:
        return expected
    return {key: expected[key] for key, _ in rows if key in expected}


def _told(table: str, what: str, all_of_them: list[Any]) -> list[str]:
    if not all_of_them:
        return []
    shown = "".join(f"\n      {one}" for one in all_of_them[:FIRST])
    return [f"{table}: {len(all_of_them)} {what}, the first:{shown}"]


def _equal(actual: Any, expected: Any) -> bool:
    if isinstance(expected, float) and math.isnan(expected):
        return actual is None
    return bool(actual == expected)


def _keyed(rows: Iterable[Row], key: tuple[str, ...]) -> list[tuple[tuple[Any, ...], Row]]:
    return [(tuple(row[name] for name in key), row) for row in rows]


def _as_row(record: msgspec.Struct) -> Row:
    row: Row = msgspec.to_builtins(record)
    return row


# --- what is read in another form than it is expected in


def _same(row: Row) -> Row:
    return row


def _prediction(row: Row) -> Row:
    # A null is a NaN or absent, as the other values of its feature in the batch decide.
    return row | {
        "nums": {name: value for name, value in row["nums"].items() if not math.isnan(value)},
        "context": json.loads(row["context"]),
    }


def _feature(row: Row) -> Row:
    # What is zero may be left out of a sum of maps, and is not when the sum has one part.
    sums = ("present", "nulls", "sums", "sum_squares")
    # Which events come twice in one batch depends on how batches are cut.
    issues = {kind: count for kind, count in row["issues"].items() if kind != "duplicate"}
    return (
        row
        | {name: {signal: value for signal, value in row[name].items() if value} for name in sums}
        | {"issues": issues}
    )


def _outlier(row: Row) -> Row:
    reasons = {signal: round(value, 6) for signal, value in row["reasons"].items()}
    return row | {"score": round(row["score"], 6), "reasons": reasons}


_PLAIN: dict[str, Callable[[Row], Row]] = {"predictions": _prediction, "features": _feature, "outliers": _outlier}


# --- what is not a table of its own


def _performance(clickhouse: ClickHouse, traffic: Traffic, expected: Expected) -> list[str]:
    """Days below a limit: which of them raised the alert depends on when labels came, that there is one does not."""
    day_ms = max(message.time_ms for message in traffic.messages) // DAY_MS * DAY_MS
    ids = {
        (findings.id_of("performance", model, version, role, "accuracy", day_ms),): {"model": model}
        for model, version, role in expected.below_limit
    }
    detections = clickhouse.query_rows("SELECT id, model FROM detections FINAL WHERE kind = 'performance'")
    out = compare("detections of performance", ids, _keyed(detections, ("id",)))
    alerts = {(findings.id_of("alert", id_),): row for (id_,), row in ids.items()}
    raised = clickhouse.query_rows("SELECT id, model FROM alerts FINAL WHERE kind = 'performance'")
    return out + compare("alerts of performance", alerts, _keyed(raised, ("id",)))


def _topics(settings: Settings, alerts: set[str], rejected: set[tuple[Any, ...]]) -> list[str]:
    """Consumers of our topics drop what they have seen by its id: the ids must be the right ones."""
    told = (msgspec.json.decode(value, type=Alert) for value in read(settings, topics.ALERTS))
    ids = {alert.id for alert in told if _is_compared(alert)}
    out = compare("topic alerts", {(id_,): {} for id_ in alerts}, [((id_,), {}) for id_ in ids])
    refused = (msgspec.json.decode(value, type=Rejected) for value in read(settings, topics.REJECTED))
    places = {(each.topic.split(".")[-1], each.partition, each.offset) for each in refused}
    return out + compare("topic rejected", {place: {} for place in rejected}, [(place, {}) for place in places])


def _is_compared(alert: Alert) -> bool:
    """Whether an alert follows from the events alone: what is left out of the questions about tables is not."""
    return alert.model not in NOT_COMPARED and alert.kind != "performance" and alert.signal != "error"


def published(settings: Settings, traffic: Traffic) -> list[str]:
    """Whether the topics hold what was published, in order: else nothing can be said about the rest."""
    out = []
    for topic in (topics.PREDICTIONS, topics.LABELS):
        held = by_partition(settings, topic)
        for partition, messages in enumerate(traffic.partitions(topic.name)):
            if held[partition] != [message.value for message in messages]:
                out.append(f"the broker does not hold on {topic.name}:{partition} what was published")
    return out


def batches(settings: Settings) -> int:
    """How many batches of predictions there were that caused partials."""
    records = (_PARTIALS.decode(value) for value in read(settings, topics.PARTIALS))
    return len({(record.partition, record.first) for record in records if isinstance(record, Partial)})


def read(settings: Settings, topic: Topic) -> list[bytes]:
    """The values of a topic, partition by partition and in order; no tombstones."""
    return [value for values in by_partition(settings, topic) for value in values if value is not None]


def by_partition(settings: Settings, topic: Topic) -> list[list[bytes | None]]:
    """The values of each partition of a topic, in order."""
    name = topic.full_name(settings.topic_prefix)
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "group.id": "chaos-reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    values: list[list[bytes | None]] = [[] for _ in range(settings.partitions)]
    consumer.assign([TopicPartition(name, number, OFFSET_BEGINNING) for number in range(settings.partitions)])
    ends = 0
    while ends < settings.partitions:
        for message in consumer.consume(1000, 0.1):
            error = message.error()
            if error is None:
                values[message.partition() or 0].append(message.value())
            elif error.code() == KafkaError._PARTITION_EOF:
                ends += 1
            else:
                raise KafkaException(error)
    consumer.close()
    return values
