"""Labels that found no prediction are found again, with the reason."""

from __future__ import annotations

from typing import Any

from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.migrations import migrate

NOW_MS = 1_750_000_000_000
DAY_MS = 86_400_000


def test_every_label_without_an_outcome_tells_why(settings: Any) -> None:
    store = ClickHouse(settings())
    migrate(store)

    def at(ms: int) -> str:
        return f"fromUnixTimestamp64Milli({ms})"

    def predict(prediction_id: str, *, model: str = "m", at_ms: int = NOW_MS, status: str = "ok", offset: int) -> None:
        store.command(
            "INSERT INTO predictions (prediction_id, model, timestamp, status, topic, offset)"
            f" VALUES ('{prediction_id}', '{model}', {at(at_ms)}, '{status}', 'p', {offset})"
        )

    def label(prediction_id: str, *, offset: int, read: str = "now64(3)") -> None:
        store.command(
            "INSERT INTO labels (prediction_id, model, label, timestamp, topic, offset, ingested_at)"
            f" VALUES ('{prediction_id}', 'm', 'true', {at(NOW_MS)}, 'l', {offset}, {read})"
        )

    predict("joined", offset=0)
    predict("foreign", model="other", offset=1)
    predict("early", at_ms=NOW_MS + DAY_MS + 1, offset=2)
    predict("late", at_ms=NOW_MS - 31 * DAY_MS, offset=3)
    predict("failed", status="error", offset=4)
    predict("failed", offset=5)  # told again; the first counts
    predict("soon", offset=6)
    names = ("joined", "foreign", "early", "late", "failed", "soon", "nobody")
    for offset, name in enumerate(names):
        label(name, offset=offset)
    label("nobody", offset=9, read=at(NOW_MS))  # long ago
    store.command(
        "INSERT INTO outcomes (prediction_id, model, timestamp, precedence)"
        f" SELECT 'joined', 'm', {at(NOW_MS)}, precedence FROM labels WHERE prediction_id = 'joined'"
    )
    rows = store.query_rows("SELECT prediction_id, reason, state FROM unjoined_labels ORDER BY offset")
    assert [tuple(row.values()) for row in rows] == [
        ("foreign", "of another model", "waiting"),
        ("early", "a day before its prediction", "waiting"),
        ("late", "after the horizon", "waiting"),
        ("failed", "the model failed", "unanswered"),
        ("soon", "not looked up yet", "waiting"),
        ("nobody", "no prediction", "waiting"),
        ("nobody", "no prediction", "orphaned"),
    ]
    orphans = "SELECT offset, reason FROM orphaned_labels WHERE model = 'm'"
    assert store.query_rows(orphans) == [{"offset": 9, "reason": "no prediction"}]
    spec = '{"label_horizon_s": 300000000}'  # ten years
    store.command(f"INSERT INTO models (model, version, kind, record) VALUES ('m', '', 'spec', '{spec}')")
    assert store.query_rows(orphans) == []
    [late] = store.query_rows("SELECT reason FROM unjoined_labels WHERE prediction_id = 'late'")
    assert late["reason"] == "not looked up yet"
    store.close()
