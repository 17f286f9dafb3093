"""What a run says: how old every event was when it could be asked for, and how late every alert was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import clickhouse_connect
import numpy as np
import numpy.typing as npt

from driftline_streams.settings import Settings

from .stream import Sent, Shift
from .watching import Alerts, Rows

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Events:
    """Every event of the run, from its timestamp: until its batch was handed to `ingest`, and until a look saw it."""

    to_batch_s: Seconds
    to_row_s: Seconds

    @classmethod
    def of(cls, settings: Settings, rows: Rows) -> Events:
        """What the table and the looks say together."""
        with clickhouse_connect.get_client(
            host=settings.clickhouse_host, port=settings.clickhouse_port, database=settings.clickhouse_database
        ) as client:
            found = client.query(
                "SELECT partition, offset, toUnixTimestamp64Milli(timestamp), toUnixTimestamp64Milli(ingested_at) "
                "FROM predictions"
            )
        partition, offset, sent_ms, batch_ms = map(np.array, found.result_columns)
        return cls((batch_ms - sent_ms) / 1000, (rows.seen_ms(partition, offset) - sent_ms) / 1000)


@dataclass(frozen=True, slots=True)
class Found:
    """A shift and its first alert, in seconds: the detector's own delay, and what came after it.

    The detector's own delay ends with the window whose close made the detection: its last event had been sent then.
    """

    shift: Shift
    own_s: float
    to_detection_s: float
    to_notify_s: float
    to_alert_s: float


def found(sent: Sent, planned: Sequence[Shift], alerts: Alerts, settings: Settings) -> tuple[list[Found], int]:
    """The shifts that were alerted, and how many alerts belong to none of them."""
    detected_ms = _by_id(settings, "detections", "detected_at")
    raised_ms = _by_id(settings, "alerts", "raised_at")
    out: list[Found] = []
    ours: set[str] = set()
    for shift in planned:
        at_ms = sent.begun_ms + shift.at_s * 1000
        mine = [
            arrival
            for arrival in alerts.found
            if (arrival.alert.model, arrival.alert.signal) == (shift.model, shift.signal)
            and arrival.alert.end_ms > at_ms
        ]
        ours.update(arrival.alert.id for arrival in mine)
        if mine:
            first = min(mine, key=lambda arrival: arrival.alert.end_ms)
            end_ms = first.alert.end_ms
            out.append(
                Found(
                    shift,
                    own_s=(end_ms - at_ms) / 1000,
                    to_detection_s=(detected_ms[first.alert.detections[0]] - end_ms) / 1000,
                    to_notify_s=(raised_ms[first.alert.id] - end_ms) / 1000,
                    to_alert_s=(first.at_ms - end_ms) / 1000,
                )
            )
    return out, len({arrival.alert.id for arrival in alerts.found} - ours)


def _by_id(settings: Settings, table: str, column: str) -> dict[str, Any]:
    with clickhouse_connect.get_client(
        host=settings.clickhouse_host, port=settings.clickhouse_port, database=settings.clickhouse_database
    ) as client:
        rows = client.query(f"SELECT id, toUnixTimestamp64Milli({column}) FROM {table}").result_rows
    return {str(id_): at_ms for id_, at_ms in rows}
