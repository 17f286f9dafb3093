"""What an outage leaves in the log."""

from __future__ import annotations

from typing import Any

from structlog.testing import capture_logs

from driftline_streams.telemetry import availability


def test_an_outage_is_one_line_at_its_start_one_every_half_minute_and_one_at_its_end(monkeypatch: Any) -> None:
    now = 1000.0
    monkeypatch.setattr("driftline_streams.telemetry.availability.time.monotonic", lambda: now)
    service = availability.Availability("Kafka", "somewhere:9092")
    with capture_logs() as lines:
        service.answered()
        for _ in range(650):
            service.failed("no answer")
            now += 0.1
        assert service.outage is not None
        service.answered()
        service.answered()
        service.failed("again")
    events = [(line["log_level"], line["event"], line.get("seconds")) for line in lines]
    unavailable = "Kafka is unavailable, retrying"
    assert [(level, event) for level, event, _ in events] == [
        *[("warning", unavailable)] * 3,
        ("info", "Kafka is back"),
        ("warning", unavailable),
    ]
    assert [seconds for _, _, seconds in events] == [0, 30, 60, 65.0, 0]
