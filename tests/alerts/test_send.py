"""Delivery to a real server on this machine: once, in time, and never in the pipeline's way."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from driftline_schemas.records import Alert, Severity
from driftline_streams.alerts.send import MOST_IN_FULL, Sender
from driftline_streams.errors import SettingsError


class Target:
    """A webhook that answers with the given statuses in turn (then 200), or after `hold` is set."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.hold: threading.Event | None = None
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                target.received.append(body)
                if target.hold is not None:
                    target.hold.wait(20)
                self.send_response(target.statuses.pop(0) if target.statuses else 200)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"json://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        if self.hold is not None:
            self.hold.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target()
    yield made
    made.close()


@pytest.fixture
def other() -> Iterator[Target]:
    made = Target()
    yield made
    made.close()


def alert(id_: str = "a1", **given: Any) -> Alert:
    base = Alert(
        id=id_,
        model="flights",
        version="1",
        severity=Severity.CRITICAL,
        kind="objective",
        signal="latency_ms",
        title="Latency of flights 1 broke its objective",
        cause="The 99th percentile of latency was 250 ms; the objective is at most 100 ms.",
        owner="ops@example.org",
        start_ms=0,
        end_ms=1,
        detections=["d1"],
        query="SELECT prediction_id FROM predictions",
    )
    return msgspec.structs.replace(base, **given)


class Tally:
    def __init__(self) -> None:
        self.results: Counter[str] = Counter()

    def __call__(self, result: str, n: int) -> None:
        self.results[result] += n


async def test_an_alert_arrives_with_title_cause_owner_and_query(target: Target) -> None:
    tally = Tally()
    await Sender([target.address], tally).send([alert()])
    (message,) = target.received
    assert message["title"] == "🔴 CRITICAL: Latency of flights 1 broke its objective"
    for part in ("was 250 ms", "Owner: ops@example.org", "Alert: a1", "SELECT prediction_id"):
        assert part in message["message"]
    assert message["type"] == "failure"
    assert tally.results == {"sent": 1}


async def test_the_same_alert_is_sent_once_however_often_it_comes(target: Target) -> None:
    sender = Sender([target.address])
    await sender.send([alert(), alert()])
    await sender.send([alert()])
    assert len(target.received) == 1


async def test_alerts_of_one_model_and_severity_are_one_message(target: Target) -> None:
    many = [alert(f"a{i}", title=f"Feature {i} drifted") for i in range(MOST_IN_FULL + 3)]
    await Sender([target.address]).send([*many, alert("b", severity=Severity.INFO)])
    titles = sorted(message["title"] for message in target.received)
    assert titles == ["🔴 CRITICAL: 8 alerts for flights 1", "🔵 INFO: Latency of flights 1 broke its objective"]
    assert any("and 3 more" in message["message"] for message in target.received)


async def test_a_refused_message_is_tried_again_for_that_target_only(target: Target, other: Target) -> None:
    tally = Tally()
    target.statuses = [503, 503]
    await Sender([target.address, other.address], tally).send([alert()])
    assert (len(target.received), len(other.received)) == (3, 1)
    assert tally.results == {"sent": 2}


async def test_after_three_tries_the_failure_is_counted_and_nothing_raised(target: Target) -> None:
    tally = Tally()
    target.statuses = [500] * 10
    await Sender([target.address], tally).send([alert()])
    assert len(target.received) == 3
    assert tally.results == {"failed": 1}


async def test_a_target_that_hangs_holds_nobody_up_beyond_the_bound(target: Target, other: Target) -> None:
    tally = Tally()
    target.hold = threading.Event()
    sender = Sender([target.address, other.address], tally, within_s=1.0)
    started = time.monotonic()
    await sender.send([alert()])
    assert time.monotonic() - started < 20  # it would hang for good
    assert tally.results == {"failed": 1, "sent": 1}
    target.hold.set()
    await sender.send([alert()])  # it may have arrived after all
    assert len(target.received) == 1


async def test_without_targets_or_alerts_nothing_happens(target: Target) -> None:
    await Sender([]).send([alert()])
    await Sender([target.address]).send([])
    assert target.received == []


def test_an_unreadable_address_is_named_by_its_place_not_its_secret() -> None:
    with pytest.raises(SettingsError, match="address 2 of DRIFTLINE_NOTIFY") as caught:
        Sender(["json://localhost/", "no-such-thing://secret-token"])
    assert "secret-token" not in str(caught.value)
