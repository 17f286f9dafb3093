"""When a window may be closed: the watermark over source partitions, with clocks for the silent ones."""

from __future__ import annotations

from driftline_streams.windows.open import MAX_CELLS, OpenWindows
from driftline_streams.windows.sources import NEVER_MS, PATIENCE, Clocks, Sources

from .builders import clock, partial, window


def at(batch: int, watermark_ms: int, partition: int = 0) -> tuple[int, int, int]:
    return batch, watermark_ms, partition


def sources(clocks: Clocks, *spoke: tuple[int, int, int]) -> Sources:
    made = Sources()
    for batch, watermark_ms, partition in spoke:
        assert made.update(
            partial(batch, watermark_ms=watermark_ms, windows=[window(0, [1.0])], partition=partition), clocks
        )
    return made


def test_the_watermark_is_that_of_the_slowest_partition() -> None:
    assert sources(Clocks(), at(0, 500), at(0, 90, 1), at(1, 700)).watermark_ms(Clocks()) == 90


def test_a_watermark_never_goes_back_with_a_late_batch() -> None:
    assert sources(Clocks(), at(0, 500), at(1, 80)).watermark_ms(Clocks()) == 500


def test_nothing_has_been_reached_before_the_first_partial() -> None:
    assert Sources().watermark_ms(Clocks()) == NEVER_MS


def test_a_silent_partition_follows_its_clock_until_it_speaks_again() -> None:
    clocks = Clocks()
    seen = sources(clocks, at(0, 1_000), at(0, 100, 1))
    clocks.update(clock(5_000, partition=1))
    assert seen.watermark_ms(clocks) == 1_000
    seen.update(partial(1, watermark_ms=200, windows=[window(0, [1.0])], partition=1), clocks)
    assert seen.watermark_ms(clocks) == 200


def test_an_announced_partition_is_waited_for_but_not_for_ever() -> None:
    clocks = Clocks()
    clocks.update(clock(0, partition=7))
    seen = sources(clocks, at(0, 1_000))
    assert seen.watermark_ms(clocks) <= 0
    for batch in range(1, PATIENCE):
        seen.update(partial(batch, watermark_ms=1_000 + batch, windows=[window(0, [1.0])]), clocks)
    assert seen.watermark_ms(clocks) == 1_000 + PATIENCE - 1


def test_a_replay_of_old_data_waits_for_partitions_that_were_idle_at_a_later_time() -> None:
    today_ms = 1_700_000_000_000
    clocks = Clocks()
    for place in (0, 1):
        clocks.update(clock(today_ms, partition=place))
    seen = sources(clocks, at(0, 1_000))  # partition 1 has old data too, one fetch later
    assert seen.watermark_ms(clocks) == NEVER_MS
    seen.update(partial(0, watermark_ms=900, windows=[window(0, [1.0])], partition=1), clocks)
    assert seen.watermark_ms(clocks) == 900
    for place in (0, 1):  # at its end, both are idle again
        clocks.update(clock(today_ms + 1, partition=place))
    assert seen.watermark_ms(clocks) == today_ms + 1


def test_in_a_live_stream_an_older_clock_of_a_silent_partition_still_counts() -> None:
    now_ms = 1_700_000_000_000
    clocks = Clocks()
    clocks.update(clock(now_ms, partition=1))
    assert sources(clocks, at(0, now_ms + 900)).watermark_ms(clocks) == now_ms


def test_a_repeated_clock_and_a_repeated_batch_are_recognised() -> None:
    clocks = Clocks()
    assert clocks.update(clock(5))
    assert not clocks.update(clock(5))
    seen = sources(clocks, at(0, 10))
    assert not seen.update(partial(0, windows=[window(0, [1.0])]), clocks)
    assert seen.update(partial(0, windows=[window(0, [1.0])], version="2"), clocks)


def test_windows_close_in_the_order_of_their_ends() -> None:
    windows = OpenWindows()
    windows.update(partial(0, [window(20_000, [1.0]), window(0, [1.0]), window(10_000, [1.0])]), Clocks())
    assert [cell.start_ms for _, cell in windows.close(20_000)] == [0, 10_000]
    windows.settle()
    assert windows.first_end_ms == 30_000


def test_beyond_its_bound_the_oldest_windows_close_early() -> None:
    windows = OpenWindows()
    windows.update(partial(0, [window(i * 10_000, [1.0]) for i in range(MAX_CELLS + 2)]), Clocks())
    assert [cell.start_ms for _, cell in windows.overflow()] == [0, 10_000]
    assert windows.most_open() == MAX_CELLS
