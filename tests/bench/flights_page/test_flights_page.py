"""The page of the year asks what ClickHouse can answer, and shows it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.migrations import migrate

from ..report import circumstances
from .page import page
from .story import read

START, DAY = dt.datetime(2013, 2, 27, tzinfo=dt.UTC), dt.timedelta(days=1)
QUERY = "SELECT prediction_id FROM predictions WHERE latency_ms > 100"


def test_the_page_tells_what_was_found_and_where_its_rows_are(clickhouse: Any) -> None:
    settings = Settings(
        clickhouse_host=clickhouse.host, clickhouse_port=clickhouse.port, clickhouse_database=clickhouse.database()
    )
    sink = ClickHouse(settings)
    migrate(sink)
    with clickhouse.client(settings.clickhouse_database) as client:

        def insert(table: str, *rows: dict[str, Any]) -> None:
            client.insert(table, [list(row.values()) for row in rows], column_names=list(rows[0]))

        of = {"model": "m", "version": "v1"}
        insert(
            "predictions",
            *({**of, "prediction_id": f"{i}", "timestamp": START, "latency_ms": 80 + i} for i in range(50)),
        )
        insert("drift", *({**of, "window": START, "signal": name} for name in ("feature:temp", "feature:dest")))
        temp = {**of, "signal": "feature:temp", "kind": "drift"}
        insert(
            "detections",
            *(
                {**temp, "id": f"{i}", "start": START + i * DAY, "effect": i, "detail": f"finding {i}"}
                for i in range(4)
            ),
        )
        insert("alerts", {**temp, "id": "a1", "start": START, "title": "temp | drifted", "query": QUERY})
    story = read(sink)
    sink.close()
    assert [told.rows for told in story.alerts] == [29]
    written = page(story, circumstances("the test", 1))
    assert "4 findings made 1 alerts" in written
    assert "those that never did: dest." in written
    assert "| signal | Feb | Mar |\n| --- | --- | --- |\n| temp | 2 | 2 |" in written
    assert "finding 3" in written
    assert "temp \\| drifted; 29 rows" in written
    assert QUERY in written
