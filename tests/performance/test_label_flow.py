"""That labels have stopped is found when it is sure, once, and their return is told; usual pauses are not."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from scipy import stats

from driftline_schemas.records import Detection
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.effects import Coded, Rows
from driftline_streams.performance import delay
from driftline_streams.performance.label_flow import Flow, LabelFlow, finding, incidence, stopped
from driftline_streams.sinks.clickhouse import ClickHouse

from .conftest import DAY_MS, HOUR_MS, START_MS, compute, outcomes, served

DAYS = 20
END_MS = START_MS + DAYS * DAY_MS


def labels(a_day: int = 480, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Times of predictions and of their truths, in ms: half a day later on average, of four in five."""
    rng = np.random.default_rng(seed)
    time_ms = np.sort(START_MS + rng.integers(0, DAYS * DAY_MS, a_day * DAYS))
    known_ms = time_ms + (12 * HOUR_MS * rng.exponential(1, len(time_ms))).astype(np.int64)
    return time_ms, np.where(rng.random(len(time_ms)) < 0.8, known_ms, np.iinfo(np.int64).max)


def hours_of(times_ms: np.ndarray) -> dict[int, int]:
    hour_s, n = np.unique(times_ms // HOUR_MS * 3_600, return_counts=True)
    return dict(zip(hour_s.tolist(), n.tolist(), strict=True))


def flow(silent_h: float = 0.0, *, until_ms: int = END_MS, deliver_h: int = 0, a_day: int = 480, seed: int = 0) -> Flow:
    """What is known at `until_ms` of labels that stopped `silent_h` hours before; delivered every `deliver_h` hours."""
    time_ms, known_ms = labels(a_day, seed)
    time_ms, known_ms = time_ms[time_ms < until_ms], known_ms[time_ms < until_ms]
    came = known_ms < until_ms - silent_h * HOUR_MS
    if deliver_h:
        came &= known_ms < until_ms // (deliver_h * HOUR_MS) * deliver_h * HOUR_MS
    ingested = known_ms[came] if not deliver_h else -(-known_ms[came] // (deliver_h * HOUR_MS)) * deliver_h * HOUR_MS
    delays: dict[int, dict[str, int]] = {}
    for day in range(DAYS):
        mine = came & (time_ms // DAY_MS == START_MS // DAY_MS + day)
        minutes = (known_ms[mine] - time_ms[mine]) / 60_000
        bucket = np.ceil(4 * np.log2(np.maximum(minutes, 1))).astype(int)
        delays[START_MS // 1000 + day * 86_400] = {f"\x1f{b}": int(n) for b, n in enumerate(np.bincount(bucket)) if n}
    return Flow(
        model="m",
        version="1",
        answered={hour_s: float(n) for hour_s, n in hours_of(time_ms).items()},
        delays=delays,
        known=hours_of(known_ms[came]),
        ingested=hours_of(ingested),
        last_known_ms=int(known_ms[came].max(initial=0)),
        last_ingested_ms=int(ingested.max(initial=0)),
        clock_ms=until_ms,
        now_ms=until_ms,
    )


def test_labels_that_have_stopped_are_found_with_what_is_missing() -> None:
    known = flow(silent_h=12)
    stop = stopped(known)
    assert stop is not None
    assert stop.missed == pytest.approx(0.8 * 480 / 2, rel=0.15)  # as many come in half a day
    found = finding(known, stop)
    assert (found.kind, found.signal, found.method, found.direction) == ("quality", "labels", "labels_stopped", "down")
    assert (found.start_ms, found.end_ms) == (known.last_known_ms, known.clock_ms)
    assert found.p_value == pytest.approx(stats.poisson.pmf(0, stop.missed), rel=1e-6)
    assert found.detail.startswith("The last label of model m is of 2025-01-20 1")
    assert "gaps of the last 28 days it was" in found.detail


@pytest.mark.parametrize("seed", range(5))
def test_labels_that_come_are_not(seed: int) -> None:
    for hours in range(0, 10 * 24, 7):
        assert stopped(flow(until_ms=END_MS - hours * HOUR_MS, seed=seed)) is None


def test_what_is_delivered_once_a_day_is_found_after_two_days_without() -> None:
    for hour in range(0, 48, 5):
        assert stopped(flow(until_ms=END_MS - hour * HOUR_MS, deliver_h=24)) is None
    assert stopped(flow(silent_h=48, deliver_h=24)) is None
    assert stopped(flow(silent_h=96, deliver_h=24)) is not None


def test_a_few_predictions_say_nothing() -> None:
    assert stopped(flow(silent_h=12, a_day=24)) is None  # a dozen labels were to be expected
    assert stopped(flow(silent_h=12, a_day=4)) is None


def test_a_replay_of_history_finds_nothing_whatever_its_times() -> None:
    known = flow(silent_h=96)
    now_ms = END_MS + 400 * DAY_MS
    came = {now_ms // HOUR_MS * 3_600: 1_000}
    replayed = replace(known, ingested=came, last_ingested_ms=now_ms - 60_000, now_ms=now_ms)
    assert stopped(replayed) is None
    assert stopped(replace(replayed, now_ms=now_ms + 30 * DAY_MS)) is None  # all came in one hour: no gap is usual


def test_models_without_labels_or_with_those_of_a_day_are_never_found() -> None:
    known = flow(silent_h=48)
    assert stopped(replace(known, known={}, ingested={})) is None
    a_day = {hour_s: n for hour_s, n in known.known.items() if hour_s >= max(known.known) - 86_400}
    assert stopped(replace(known, known=a_day)) is None
    at_once = {max(known.known): 5_000}
    assert stopped(replace(known, known=at_once)) is None


def test_clocks_that_are_ahead_only_delay_the_finding() -> None:
    known = flow(silent_h=12)
    assert stopped(replace(known, last_known_ms=known.clock_ms + HOUR_MS)) is None


def test_incidence_agrees_with_counting_where_days_are_old_enough() -> None:
    known = flow()
    found = incidence(known.delays, known.answered, known.clock_ms)
    within = 0.8 * stats.expon.cdf(delay.UPPER_MIN / 720)
    assert found[:44] == pytest.approx(within[:44], abs=0.02)
    assert (np.diff(found) >= 0).all()
    assert incidence({}, {}, 0).max() == 0


async def test_a_stop_and_its_end_are_told_once_each(database: ClickHouse) -> None:
    time_ms, known_ms = labels(100)
    now_ms = END_MS

    async def come(first_ms: int, until_ms: int) -> None:
        mine = (known_ms >= first_ms) & (known_ms < until_ms)
        n, ids = int(mine.sum()), [f"p{i}" for i in np.flatnonzero(mine)]
        times = {"timestamp": known_ms[mine], "ingested_at": known_ms[mine]}
        came = Rows("labels", n, {"model": Coded.constant("m", n), "prediction_id": ids, **times})
        rows = outcomes(n, positive=1, timestamp=time_ms[mine], label_timestamp=known_ms[mine], prediction_id=ids)
        for each in (came, rows):
            await database.insert([each], f"{each.table} {first_ms}")
        await compute(database)

    async def found(at_ms: int) -> list[Detection]:
        out = []
        async for named in LabelFlow(Catalog(), "t", database.query)(at_ms):
            await database.insert(named.effects.rows, named.name)
            out += [msgspec.json.decode(message.value or b"", type=Detection) for message in named.effects.messages]
        return out

    hours = [(int(hour_s) * 1000, n, 0) for hour_s, n in hours_of(time_ms).items()]
    await database.insert([served(*hours)], "windows")
    await come(0, END_MS - 2 * DAY_MS)
    (stop,) = await found(now_ms)
    assert (stop.method, stop.version) == ("labels_stopped", "1")
    assert await found(now_ms + HOUR_MS) == []
    await come(END_MS - 2 * DAY_MS, END_MS)
    (end,) = await found(now_ms + HOUR_MS)
    assert (end.method, end.start_ms) == ("labels_again", stop.start_ms)
    assert await found(now_ms + HOUR_MS) == []
