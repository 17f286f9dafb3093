"""Where batches end: at a number, a size, an age, or where a name says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline_streams.errors import BrokenInvariant
from driftline_streams.transport.batch import Messages, weights
from driftline_streams.transport.cursor import Cursor, Limits

LIMITS = Limits(messages=10, weight=1000, age_s=1.0)


def messages(*offsets: int, size: int = 1) -> Messages:
    return Messages(list(offsets), [b"x" * size for _ in offsets], len(offsets) * size)


def cursor(first: int = 0, named: int | None = None) -> Cursor:
    return Cursor("t", 0, first, named, read_at=0.0)


def test_a_batch_stays_open_until_it_is_full_or_old() -> None:
    c = cursor()
    assert c.cut(LIMITS, 0) is None
    c.add(messages(*range(9)), now=5.0)
    assert c.cut(LIMITS, 5.9) is None
    batch = c.cut(LIMITS, 6.0)
    assert batch is not None
    assert batch.name == "t:0:0-8"
    assert c.cut(LIMITS, 7.0) is batch, "until it is finished"


def test_a_full_batch_takes_no_more_than_its_number_and_size() -> None:
    c = cursor()
    c.add(messages(*range(25)), now=0.0)
    batch = c.cut(LIMITS, 0)
    assert batch is not None
    assert (batch.first, batch.last) == (0, 9)
    c.finish()
    c.add(messages(25, 26, size=700), now=0.0)
    sizes = []
    while (batch := c.cut(LIMITS, 0)) is not None:
        sizes.append(batch.messages.weight)
        c.finish()
    assert max(sizes) <= LIMITS.weight


def test_a_frame_weighs_four_times_its_bytes() -> None:
    event, frame = b"{" + b" " * 4999, b"\x85" + b" " * 4999
    assert [weights([event]), weights([frame]), weights([event, frame, None])] == [5_000, 20_000, 25_000]
    assert weights([b"\x85"]) == 1  # it unfolds to nothing of importance
    c = cursor()
    values: list[bytes | None] = [event, event, frame, frame, frame]
    c.add(Messages(list(range(5)), values, weights(values)), now=0.0)
    cut = []
    while (batch := c.cut(Limits(messages=10, weight=32_000, age_s=1.0), 0)) is not None:
        cut.append((batch.first, batch.last))
        c.finish()
    assert cut == [(0, 2), (3, 3)]


def test_a_message_larger_than_the_limit_is_a_batch_of_its_own() -> None:
    c = cursor()
    c.add(messages(0, 1, size=5000), now=0.0)
    batch = c.cut(LIMITS, 0)
    assert batch is not None
    assert len(batch) == 1


def test_a_named_batch_waits_for_its_end_however_long_it_takes() -> None:
    c = cursor(first=3, named=40)
    c.add(messages(*range(3, 40)), now=0.0)
    assert c.cut(LIMITS, 1000) is None
    c.add(messages(40, 41), now=1000.0)
    batch = c.cut(LIMITS, 1000)
    assert batch is not None
    assert batch.name == "t:0:3-40"
    assert len(batch) == 38


def test_a_named_end_that_is_a_hole_ends_the_batch_as_well() -> None:
    c = cursor(first=3, named=40)
    c.add(messages(5, 42), now=0.0)
    batch = c.cut(LIMITS, 0)
    assert batch is not None
    assert (batch.name, len(batch)) == ("t:0:3-40", 1)


def test_a_named_batch_ends_where_the_partition_ends() -> None:
    c = cursor(first=3, named=5)
    c.reach(6)
    batch = c.cut(LIMITS, 0)
    assert batch is not None
    assert (batch.name, len(batch)) == ("t:0:3-5", 0)


@pytest.mark.parametrize("offsets", [(3,), (4,), (2, 6), (7, 6)])
def test_messages_that_do_not_come_after_those_before_are_refused(offsets: tuple[int, ...]) -> None:
    c = cursor()
    c.add(messages(3, 4), now=0.0)
    with pytest.raises(BrokenInvariant, match="restart the worker"):
        c.add(messages(*offsets), now=0.0)


def test_finishing_nothing_is_refused() -> None:
    with pytest.raises(BrokenInvariant):
        cursor().finish()


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 400)), min_size=1, max_size=60),
    st.lists(st.integers(1, 20), min_size=1),
    st.none() | st.integers(0, 40),
)
def test_every_message_is_in_one_batch_and_names_follow_each_other(
    steps: list[tuple[int, int]], chunks: list[int], named: int | None
) -> None:
    read = Messages()
    offset = -1
    for step, size in steps:
        offset += step
        read.extend(messages(offset, size=size))
    c = cursor(named=named)
    got: list[int] = []
    now, first = 0.0, 0
    while read or not c.resting:
        n = chunks[0]
        chunks = chunks[1:] + chunks[:1]
        if read:
            c.add(read.take(n), now)
        else:
            c.reach(1000)
        now += 0.3
        while (batch := c.cut(LIMITS, now)) is not None:
            assert batch.first == first
            assert all(batch.first <= o <= batch.last for o in batch.offsets())
            if named is not None:
                assert batch.last == named
                named = None
            else:
                assert len(batch) <= LIMITS.messages
            got += batch.offsets()
            first = batch.last + 1
            c.finish()
    assert len(got) == len(steps)
