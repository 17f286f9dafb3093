"""Bad input is ordinary input: each kind ends up stored, counted or rejected with its place, and stops nobody."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from driftline_schemas.topics import LABELS, PREDICTIONS, REJECTED
from driftline_streams.ledger_positions import take_account

NOW_MS = time.time_ns() // 1_000_000
DAY_MS = 86_400_000


def prediction(prediction_id: str, **fields: Any) -> bytes:
    event = {
        "prediction_id": prediction_id,
        "model": "m",
        "version": "1",
        "timestamp": NOW_MS,
        "latency_ms": 5.0,
        "prediction": True,
        "score": 0.7,
        "features": {"x": 1.5, "colour": "red"},
        **fields,
    }
    return json.dumps({k: v for k, v in event.items() if v is not ...}).encode()


def label(prediction_id: str, **fields: Any) -> bytes:
    return json.dumps(
        {"prediction_id": prediction_id, "model": "m", "label": True, "timestamp": NOW_MS + 1000, **fields}
    ).encode()


GOOD = [prediction(f"good-{i}", latency_ms=float(i)) for i in range(100)]

REFUSED: list[tuple[bytes | None, str]] = [
    (b"", "empty"),
    (None, "empty"),
    (b"{not json", "malformed_json"),
    (b"\xff\xfe\x00", "malformed_json"),
    (b'{"prediction_id": "nan", "latency_ms": NaN}', "malformed_json"),
    (b"[1, 2]", "wrong_type"),
    (prediction("no-model", model=...), "missing_field"),
    (prediction("no-time", timestamp=...), "missing_field"),
    (prediction("list", features={"x": [1]}), "wrong_type"),
    (prediction("text-latency", latency_ms="fast"), "wrong_type"),
    (prediction("naive", timestamp="2026-01-01T00:00:00"), "wrong_type"),
    (prediction("", score=0.5), "out_of_range"),
    (prediction("score", score=1.5), "out_of_range"),
    (prediction("negative", latency_ms=-1), "out_of_range"),
    (prediction("infinite").replace(b"1.5", b"1e999"), "out_of_range"),
    (prediction("future", timestamp=NOW_MS + 2 * DAY_MS), "timestamp_out_of_range"),
    (prediction("past", timestamp=-5 * 366 * DAY_MS), "timestamp_out_of_range"),
    (prediction("large", context={"blob": "x" * 900_000}), "too_large"),
    (prediction("wide", features={f"f{i}": 1 for i in range(3_000)}), "too_many_features"),
    (prediction("silent", prediction=...), "no_prediction"),
]


@pytest.fixture
def fed(pipeline: Any, eventually: Callable[..., Any]) -> Any:
    """A pipeline that has been given everything at once, good and bad in turn, on one partition."""
    everything: list[bytes | None] = [*GOOD[:50], *[value for value, _ in REFUSED], *GOOD[50:]]
    everything += [prediction("unknown-field", colour_of_the_sky="blue"), prediction("twice"), prediction("twice")]
    everything += [prediction("nobody-knows-me", model="undescribed")]
    pipeline.publish(PREDICTIONS, *everything, partition=0)
    pipeline.publish(LABELS, b"{", label("good-1", label=[1]), label("good-2", label="x" * 10, timestamp=1))
    pipeline.publish(LABELS, label("good-3"), label("good-3"), label("good-3", label=False, timestamp=NOW_MS + 2000))
    pipeline.publish(LABELS, label("nobody"))
    eventually(lambda: pipeline.one("SELECT count() FROM predictions") == 104)
    eventually(lambda: pipeline.one("SELECT count() FROM labels") == 4)
    eventually(lambda: pipeline.one("SELECT count() FROM outcomes FINAL") == 1)
    return pipeline


def test_every_kind_of_bad_input_has_its_outcome(fed: Any, eventually: Callable[..., Any]) -> None:
    # each refused prediction stands in the table with its reason and its offset …
    found = fed.clickhouse.query_rows(
        "SELECT reason, offset FROM rejected WHERE endsWith(topic, 'predictions') ORDER BY offset"
    )
    assert [(row["reason"], row["offset"]) for row in found] == [
        (reason, 50 + i) for i, (_, reason) in enumerate(REFUSED)
    ]
    # … and on the topic, and so do the labels
    messages = [json.loads(value) for value in fed.read(REJECTED)]
    assert sorted(m["reason"] for m in messages if m["topic"].endswith("predictions")) == sorted(r for _, r in REFUSED)
    assert {m["reason"] for m in messages if m["topic"].endswith("labels")} == {
        "malformed_json",
        "wrong_type",
        "timestamp_out_of_range",
    }

    # unknown fields are kept, unknown models monitored, duplicates both stored
    assert "blue" in fed.one("SELECT context FROM predictions WHERE prediction_id = 'unknown-field'")
    assert fed.one("SELECT sum(n) FROM windows WHERE model = 'undescribed' AND dim = ''") == 1
    assert fed.one("SELECT count() FROM predictions WHERE prediction_id = 'twice'") == 2

    # the correction won, and the label nobody asked for waits
    assert fed.one("SELECT label FROM outcomes FINAL WHERE prediction_id = 'good-3'") == "false"

    def holds() -> bool:
        ledger = take_account(fed.settings, fed.clickhouse)
        assert ledger.holds, ledger.discrepancy
        assert ledger.labels.waiting == 1, ledger
        return sum(line.unread for line in ledger.lines) == 0

    eventually(holds)
