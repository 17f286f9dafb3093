"""What waiting promises: a label waits once, within bounds, and is due again after growing pauses."""

from __future__ import annotations

import math
import tracemalloc

from driftline_streams.outcomes.truth import Truth
from driftline_streams.outcomes.waiting import LAST_DELAY_MS, Waiting, delay_ms


def truth(offset: int, prediction_id: str = "a", *, partition: int = 0, trust: int = 0) -> Truth:
    return Truth(
        model="m",
        prediction_id=prediction_id,
        label="1",
        value=math.nan,
        timestamp_ms=0,
        weight=1,
        source="",
        trust=trust,
        position=math.nan,
        topic="t",
        partition=partition,
        offset=offset,
        ingested_ms=0,
    )


def test_the_same_label_waits_once() -> None:
    waiting = Waiting()
    assert waiting.add(truth(1), 0)
    assert waiting.add(truth(1), 0)
    [waiter] = waiting.due(0, 10)
    assert (len(waiting), waiter.superseded) == (1, 0)


def test_of_the_labels_of_a_prediction_the_one_waits_that_would_hold() -> None:
    waiting = Waiting()
    for offset, trust in ((1, 0), (3, 5), (4, 0), (2, 5)):
        assert waiting.add(truth(offset, trust=trust), 0)
    [waiter] = waiting.due(0, 10)
    assert (waiter.truth.offset, waiter.superseded, len(waiting), waiting.superseded) == (3, 3, 1, 3)
    waiting.add(truth(1, partition=1), 0)  # its partition may go to another worker
    assert len(waiting) == 2


def test_a_label_that_meets_one_long_in_wait_is_looked_up_soon() -> None:
    waiting = Waiting()
    waiting.add(truth(1), 0)
    for hour in range(10):
        waiting.postpone(waiting.due(hour * LAST_DELAY_MS, 10), hour * LAST_DELAY_MS)
    now_ms = 9 * LAST_DELAY_MS
    waiting.add(truth(2), now_ms + 2000)
    assert [waiter.truth.offset for waiter in waiting.due(now_ms + 2000, 10)] == [2]
    assert waiting.due(now_ms + LAST_DELAY_MS, 10) == []  # it is looked up once for both


def test_what_does_not_fit_is_counted() -> None:
    waiting = Waiting(max_labels=1)
    assert waiting.add(truth(1), 0)
    assert not waiting.add(truth(2, "b"), 0)
    assert (len(waiting), waiting.overflowed, waiting.room) == (1, 1, 0)
    assert waiting.about("m", {"b"}) == []


def test_memory_stays_within_its_bound_and_the_estimate_near_the_truth() -> None:
    waiting = Waiting(max_bytes=4_000_000)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for offset in range(20_000):
            waiting.add(truth(offset, f"prediction {offset:030}"), 1_000 * (offset % 600))
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert waiting.overflowed > 0
    assert waiting.nbytes < 4_001_000
    assert 0.67 < used / waiting.nbytes < 1.34


def test_pauses_double_up_to_an_hour() -> None:
    pauses = [delay_ms(attempt) for attempt in range(20)]
    assert pauses[:3] == [2000, 4000, 8000]
    assert pauses[-1] == LAST_DELAY_MS


def test_a_bounded_number_is_due_at_once_and_none_is_forgotten() -> None:
    waiting = Waiting()
    for offset in range(25):
        waiting.add(truth(offset, str(offset)), 1000)
    assert waiting.due(999, 100) == []
    taken = [waiting.due(1000, 10) for _ in range(4)]
    assert [len(part) for part in taken] == [10, 10, 5, 0]
    assert {waiter.truth.offset for part in taken for waiter in part} == set(range(25))
    assert len(waiting) == 25


def test_removed_labels_are_neither_due_nor_found() -> None:
    waiting = Waiting()
    waiting.add(truth(1), 0)
    waiting.add(truth(2, "b"), 0)
    [first] = waiting.about("m", {"a"})
    waiting.remove(first)
    waiting.remove(first)
    assert waiting.about("m", {"a", "b"}) == waiting.due(0, 10) != []
    assert len(waiting) == 1


def test_a_clock_that_is_set_back_by_hours_delays_no_label_by_hours() -> None:
    waiting, hour_ms = Waiting(), 3_600_000
    waiting.add(truth(1), 10 * hour_ms + delay_ms(0))
    assert waiting.due(10 * hour_ms, 10) == []
    assert waiting.due(5 * hour_ms, 10) == []
    assert len(waiting.due(5 * hour_ms + delay_ms(0), 10)) == 1
