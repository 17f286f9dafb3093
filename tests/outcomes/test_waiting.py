"""What waiting promises: a label waits once, within bounds, and is due again after growing pauses."""

from __future__ import annotations

import math

from driftline_streams.outcomes.truth import Truth
from driftline_streams.outcomes.waiting import LAST_DELAY_MS, Waiting, delay_ms


def truth(offset: int, prediction_id: str = "a", partition: int = 0) -> Truth:
    return Truth(
        model="m",
        prediction_id=prediction_id,
        label="1",
        value=math.nan,
        timestamp_ms=0,
        weight=1,
        source="",
        trust=0,
        position=None,
        topic="t",
        partition=partition,
        offset=offset,
        ingested_ms=0,
    )


def test_the_same_label_waits_once() -> None:
    waiting = Waiting()
    assert waiting.add(truth(1), 0)
    assert waiting.add(truth(1), 0)
    assert waiting.add(truth(2), 0)
    assert len(waiting) == 2
    assert len(waiting.due(0, 10)) == 2


def test_what_does_not_fit_is_counted() -> None:
    waiting = Waiting(max_labels=1)
    assert waiting.add(truth(1), 0)
    assert not waiting.add(truth(2), 0)
    assert (len(waiting), waiting.overflowed, waiting.room) == (1, 1, 0)


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
    assert {each.offset for part in taken for each in part} == set(range(25))
    assert len(waiting) == 25


def test_removed_labels_are_neither_due_nor_found() -> None:
    waiting = Waiting()
    first, second = truth(1), truth(2)
    waiting.add(first, 0)
    waiting.add(second, 0)
    waiting.remove(first)
    waiting.remove(first)
    assert waiting.about("m", {"a"}) == [second]
    assert waiting.due(0, 10) == [second]
    assert len(waiting) == 1


def test_a_clock_that_is_set_back_by_hours_delays_no_label_by_hours() -> None:
    waiting, hour_ms = Waiting(), 3_600_000
    waiting.add(truth(1), 10 * hour_ms + delay_ms(0))
    assert waiting.due(10 * hour_ms, 10) == []
    assert waiting.due(5 * hour_ms, 10) == []
    assert len(waiting.due(5 * hour_ms + delay_ms(0), 10)) == 1
