"""What event time promises: whole milliseconds, rounded down, the same one by one and all at once."""

import datetime as dt
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline_streams.kernel.clock import Steady, all_to_ms, to_ms

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
DATES = st.builds(
    lambda us, zone_min: (EPOCH + dt.timedelta(microseconds=us)).astimezone(
        dt.timezone(dt.timedelta(minutes=zone_min))
    ),
    st.integers(0, 4 * 10**15),
    st.integers(-1439, 1439),
)


@given(st.lists(DATES))
def test_datetimes_become_whole_milliseconds_exactly(instants: list[dt.datetime]) -> None:
    exact = [(instant - EPOCH) // dt.timedelta(milliseconds=1) for instant in instants]
    assert all_to_ms(instants).tolist() == exact
    assert [to_ms(instant) for instant in instants] == exact


@given(st.lists(DATES | st.integers(-(2**62), 2**62)))
def test_integers_are_milliseconds_already(instants: list[dt.datetime | int]) -> None:
    assert all_to_ms(instants).tolist() == [to_ms(instant) for instant in instants]


def test_steady_time_takes_no_part_in_steps_of_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    wall_ns = time.time_ns()
    steady = Steady()
    for step_h in (-5, 7):
        monkeypatch.setattr("driftline_streams.kernel.clock.time.time_ns", lambda h=step_h: wall_ns + h * 3_600 * 10**9)
        assert 0 <= steady.now_ms() - wall_ns // 1_000_000 < 60_000
