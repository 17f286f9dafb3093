"""The crash test in the suite: one short run, what it compares with, and that it can fail."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from . import compare, oracle, schedule, traffic, undisturbed
from .models import DAY_MS
from .run import SHORT, run

NOW_MS = time.time_ns() // 1_000_000


@pytest.mark.timeout(400)
def test_a_run_under_kills_is_exact(tmp_path: Path) -> None:
    result = run(1, tmp_path, SHORT, say=lambda _: None)
    assert result.problems == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_found_does_not_depend_on_how_the_events_are_cut_and_who_is_quicker(seed: int) -> None:
    sent = traffic.make(seed, 6_000, traffic.start_ms(NOW_MS))
    first = undisturbed.find(sent, NOW_MS)
    assert {detection.kind for detection in first.detections.values()} == {"change", "drift", "objective", "quality"}
    for batch, order in ((60, 1), (1_000, 2)):
        assert undisturbed.find(sent, NOW_MS, batch=batch, order=np.random.default_rng(order)) == first


def test_a_seed_gives_the_same_traffic_and_the_same_schedule() -> None:
    begin_ms = traffic.start_ms(NOW_MS)
    assert traffic.make(5, 500, begin_ms) == traffic.make(5, 500, begin_ms)
    assert schedule.plan(5, 20, 10) == schedule.plan(5, 20, 10) != schedule.plan(6, 20, 10)


@pytest.mark.parametrize("hour", range(24))
def test_all_times_of_a_run_lie_ahead_on_one_day(hour: int) -> None:
    now_ms = NOW_MS // DAY_MS * DAY_MS + hour * traffic.HOUR_MS + 59 * 60_000
    begin_ms = traffic.start_ms(now_ms)
    times = [message.time_ms for message in traffic.make(1, 500, begin_ms).messages if message.topic == "predictions"]
    good = [time_ms for time_ms in times if time_ms]
    assert now_ms < min(good)
    assert max(good) < now_ms + DAY_MS
    assert min(good) // DAY_MS == max(good) // DAY_MS


def test_every_kind_of_difference_is_told() -> None:
    sent = traffic.make(1, 500, traffic.start_ms(NOW_MS))
    expected = oracle.expect(sent).tables["rejected"]
    rows = list(expected.items())
    assert compare.compare("rejected", expected, rows) == []
    (key, row), *rest = rows
    assert "1 rows are missing" in compare.compare("rejected", expected, rest)[0]
    assert "1 rows are there twice" in compare.compare("rejected", expected, [*rows, (key, dict(row))])[0]
    assert "1 rows are there that" in compare.compare("rejected", expected, [*rows, (("labels", 0, -1), row)])[0]
    assert "1 values are wrong" in compare.compare("rejected", expected, [(key, row | {"reason": ""}), *rest])[0]
