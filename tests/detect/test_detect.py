"""Scenarios for detect: synthetic partials in, findings out."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline_schemas.records import Clock, Detection, Moments, Partial, Rejected
from driftline_schemas.spec import DriftRules, ModelSpec, Objectives
from driftline_streams.detectors import detect as detect_module
from driftline_streams.detectors.detect import Detect
from driftline_streams.errors import BrokenInvariant
from driftline_streams.kernel import findings
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.reference.build import build

from .builders import DAY, HOUR, MINUTE, SECOND, Worker, clock, detections_of, features, partial, window

WIDTH = 10 * SECOND


def latencies(
    n: int, *, step_at: int | None = None, factor: float = 1.5, scale: float = 1.0, seed: int = 1, per: int = 50
) -> Iterator[Partial]:
    """One partial a window with `per` log-normal latencies of 12 ms median; times `factor` from window `step_at` on."""
    r = np.random.default_rng(seed)
    for i in range(n):
        values = r.lognormal(2.5, 0.6, per) * scale
        yield partial(i, [window(i * WIDTH, values * (factor if step_at is not None and i >= step_at else 1.0))])


def catalog_with(spec: ModelSpec) -> Catalog:
    catalog = Catalog()
    catalog.update(spec)
    return catalog


def essence(found: list[Detection]) -> list[tuple[str, str, str, int, str]]:
    return sorted((d.version, d.signal, d.method, d.start_ms, d.direction) for d in found)


def test_a_latency_step_is_found_within_fifteen_windows_and_once_by_each_detector() -> None:
    found = Worker().apply_each(latencies(600, step_at=200))
    assert sorted(d.method for d in found) == ["adwin", "page_hinkley"]
    for d in found:
        assert (d.signal, d.kind, d.direction) == ("latency_ms", "change", "up")
        assert 200 * WIDTH <= d.start_ms < 215 * WIDTH
        assert d.before == pytest.approx(14.6, rel=0.05)  # the mean of that log-normal
        assert d.after == pytest.approx(21.9, rel=0.1)
        assert d.effect == pytest.approx(0.75, abs=0.15)  # of its standard deviation, 9.6 ms
        assert "Latency rose from 14" in d.detail
        assert " ms " in d.detail


def test_the_way_back_is_found_as_well() -> None:
    there = list(latencies(400, step_at=200))
    back = list(latencies(600))[400:]
    found = Worker().apply_each(there + back)
    assert [d.direction for d in found if d.method == "adwin"] == ["up", "down"]


def test_noise_raises_nothing_over_two_thousand_windows_of_heavy_tailed_latency_errors_and_scores() -> None:
    r = np.random.default_rng(9)
    worker = Worker()
    false_alarms = 0
    for i in range(2_000):
        cell = window(i * WIDTH, r.lognormal(2.5, 1.0, 30), errors=int(r.binomial(30, 0.01)))
        scores = r.beta(2, 5, 30)
        cell.signals["score"] = Moments(30, 0, float(scores.sum()), float((scores**2).sum()), 0.0, 1.0)
        false_alarms += len(worker.apply([partial(i, [cell])]))
    assert false_alarms == 0
    assert worker.detect.counts["windows"] == 1_999


def test_a_daily_rhythm_is_no_change() -> None:
    r = np.random.default_rng(11)
    worker = Worker()
    found = []
    for i in range(24 * 90):
        level = 20 + 5 * np.sin(2 * np.pi * i / 24)
        found += worker.apply([partial(i, [window(i * HOUR, r.gamma(9, level / 9, 40))], width_ms=HOUR)])
    assert found == []


def test_milliseconds_and_seconds_give_the_same_findings() -> None:
    in_ms = Worker().apply_each(latencies(400, step_at=200))
    in_s = Worker().apply_each(latencies(400, step_at=200, scale=1e-3))
    assert essence(in_ms) == essence(in_s) != []
    assert [d.effect for d in in_ms] == pytest.approx([d.effect for d in in_s])


def test_a_change_below_the_minimal_effect_is_no_finding() -> None:
    spec = ModelSpec(model="m", drift=DriftRules(min_effect=2.0))
    assert Worker(catalog_with(spec)).apply_each(latencies(400, step_at=200)) == []


def test_a_constant_latency_that_changes_is_found_and_has_a_bounded_effect() -> None:
    records = [partial(i, [window(i * WIDTH, [5.0 if i < 100 else 6.0] * 40)]) for i in range(200)]
    found = Worker().apply_each(records)
    assert {d.signal for d in found} == {"latency_ms"}
    assert all(d.effect == 1_000.0 for d in found)


def test_rising_errors_are_found_although_the_model_had_never_failed() -> None:
    r = np.random.default_rng(3)
    records = [
        partial(i, [window(i * WIDTH, [5.0] * 40, errors=0 if i < 100 else int(r.binomial(40, 0.3)))])
        for i in range(200)
    ]
    found = Worker().apply_each(records)
    assert found[0].signal == "error_rate"
    assert found[0].before == 0.0
    assert "Error rate rose from 0 %" in found[0].detail


def test_a_model_without_reference_is_silent_while_it_warms_up() -> None:
    assert Worker().apply_each(latencies(20, step_at=10, factor=10)) == []


@pytest.mark.parametrize("cut", [1, 7, 250, 400])
def test_batches_of_any_size_give_the_same_findings(cut: int) -> None:
    records = list(latencies(400, step_at=200))
    whole = Worker()
    expected = whole.apply(records)
    worker = Worker()
    found = [d for i in range(0, len(records), cut) for d in worker.apply(records[i : i + cut])]
    assert found == expected != []
    assert worker.state == whole.state


def test_a_partition_that_lags_behind_changes_nothing() -> None:
    r = np.random.default_rng(5)
    fast, slow = [], []
    for i in range(300):
        values = r.lognormal(2.5, 0.6, 60) * (1.5 if i >= 150 else 1.0)
        fast.append(partial(i, [window(i * WIDTH, values[:30])], partition=0))
        slow.append(partial(i, [window(i * WIDTH, values[30:])], partition=1))
    in_step = Worker().apply_each(record for pair in zip(fast, slow, strict=True) for record in pair)
    worker = Worker()
    announced = [clock(0, partition=0), clock(0, partition=1)]
    skewed = worker.apply_each([*announced, *fast[:60]])
    skewed += worker.apply_each(record for pair in zip(fast[60:], slow, strict=False) for record in pair)
    skewed += worker.apply_each(slow[240:])
    assert essence(skewed) == essence(in_step) != []
    assert worker.detect.counts["late_windows"] == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 399), st.integers(0, 3), st.integers(1, 60))
def test_a_kill_at_any_point_of_storing_loses_and_doubles_nothing(at: int, kept: int, size: int) -> None:
    """After a kill the batch comes again; `kept` of its state's values had been stored, in their order."""
    records: list[Partial | Clock] = [*latencies(400, step_at=200), clock(10**13)]
    whole = Worker()
    expected = whole.apply(records)
    worker = Worker()
    found: dict[str, Detection] = {}
    for start in range(0, len(records), size):
        batch = records[start : start + size]
        if start <= at < start + size:
            before = dict(worker.state)
            found.update((d.id, d) for d in worker.apply(batch))
            stored = [key for key, value in worker.state.items() if before.get(key) != value]
            order = sorted(stored, key=lambda key: (key == "", "\x1f" not in key))
            worker.state = before | {key: worker.state[key] for key in order[:kept]}
            worker.restart()
        found.update((d.id, d) for d in worker.apply(batch))
    assert list(found.values()) == expected
    assert worker.state == whole.state


def test_repeated_messages_have_no_effect_and_leave_the_state_alone() -> None:
    records: list[Partial | Clock] = [*latencies(300, step_at=200), clock(10**13)]
    worker = Worker()
    worker.apply(records)
    state = dict(worker.state)
    assert worker.apply(records) == []
    assert worker.state == state
    assert worker.detect.counts["repeated"] == len(records)


def test_a_restart_between_all_messages_changes_nothing() -> None:
    worker, other = Worker(), Worker()
    found = []
    for record in latencies(300, step_at=200):
        found += worker.apply([record])
        worker.restart()
    assert found == other.apply_each(latencies(300, step_at=200)) != []
    assert worker.state == other.state


def test_a_batch_that_failed_halfway_is_applied_from_the_stored_state(monkeypatch: pytest.MonkeyPatch) -> None:
    records = list(latencies(300, step_at=200))
    worker, other = Worker(), Worker()
    worker.apply(records[:250])
    with monkeypatch.context() as patch:
        patch.setattr(findings, "effects", lambda *_: 1 / 0)
        stored = dict(worker.state)
        with pytest.raises(ZeroDivisionError):
            worker.apply(records[250:])
    worker.state = stored
    other.apply(records[:250])
    assert worker.apply(records[250:]) == other.apply(records[250:])
    assert worker.state == other.state


def test_a_clock_closes_the_windows_of_an_idle_stream() -> None:
    spec = ModelSpec(model="m", objectives=Objectives(latency_p99_ms=10.0))
    worker = Worker(catalog_with(spec), lateness_ms=2_000)
    assert worker.apply([partial(0, [window(0, [50.0] * 40)])]) == []
    assert worker.apply([clock(11_999)]) == []
    (found,) = worker.apply([clock(12_000)])
    assert (found.kind, found.start_ms, found.end_ms) == ("objective", 0, 10_000)


def test_what_comes_after_its_window_was_closed_is_counted_and_left_out() -> None:
    worker = Worker()
    worker.apply([partial(0, [window(0, [1.0])]), partial(1, [window(30_000, [1.0])])])
    worker.apply([partial(2, [window(0, [99.0])], watermark_ms=5_000)])
    assert worker.detect.counts["late_windows"] == 1


def test_an_objective_is_judged_from_the_sketch_of_all_partitions() -> None:
    spec = ModelSpec(model="m", objectives=Objectives(latency_p99_ms=100.0, error_rate=0.1, min_window_n=30))
    worker = Worker(catalog_with(spec))
    worker.apply([clock(0, 0), clock(0, 1)])
    worker.apply([partial(0, [window(0, [5.0] * 50, errors=20)], partition=0)])
    found = worker.apply(
        [partial(0, [window(0, [5.0] * 45 + [400.0] * 5)], partition=1), clock(10**13), clock(10**13, 1)]
    )
    assert {d.signal: d.n for d in found} == {"latency_ms": 100, "error_rate": 100}
    by_signal = {d.signal: d for d in found}
    assert by_signal["latency_ms"].statistic == pytest.approx(400.0, rel=0.01)
    assert by_signal["error_rate"].statistic == 0.2
    assert "the objective is at most 100 ms" in by_signal["latency_ms"].detail


def test_windows_with_few_events_break_no_objective() -> None:
    spec = ModelSpec(model="m", objectives=Objectives(latency_p99_ms=1.0, error_rate=0.01, min_window_n=30))
    worker = Worker(catalog_with(spec))
    assert worker.apply([partial(0, [window(0, [500.0] * 29, errors=29)]), clock(10**13)]) == []


def test_what_cannot_be_read_is_kept_with_its_place_and_the_rest_goes_on() -> None:
    worker = Worker()
    good = msgspec.json.encode(partial(0, [window(0, [1.0])]))
    wrong = good.replace(b'"watermark_ms":', b'"watermark":')
    effects = worker.detect([b"{", good, wrong], worker.state, 5, partition=3, offsets=[7, 8, 9])
    rejected = [msgspec.json.decode(m.value or b"", type=Rejected) for m in effects.messages]
    assert [(r.topic, r.partition, r.offset, r.reason.value) for r in rejected] == [
        ("driftline.partials", 3, 7, "malformed_json"),
        ("driftline.partials", 3, 9, "missing_field"),
    ]
    assert [rows.table for rows in effects.rows] == ["rejected"]
    assert worker.detect.counts["partials"] == 1


def test_damaged_state_stops_the_worker_instead_of_being_guessed_at() -> None:
    worker = Worker()
    worker.apply_each(latencies(30))
    key = next(key for key in worker.state if key.endswith("levels"))
    worker.state[key] = worker.state[key][:40]
    worker.restart()
    with pytest.raises(BrokenInvariant, match="restore the changelog"):
        worker.apply_each(list(latencies(40))[30:])


def test_versions_beyond_the_bound_are_forgotten_with_their_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect_module, "MAX_VERSIONS", 3)
    worker = Worker()
    for i in range(10):
        worker.apply([partial(0, [window(i * WIDTH, [1.0] * 5)], version=str(i))])
    assert worker.detect.counts["forgotten_versions"] == 7
    assert {key.split("\x1f")[1] for key in worker.state if "\x1f" in key} <= {"7", "8", "9"}


def test_models_beyond_the_bound_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect_module, "MAX_MODELS", 2)
    worker = Worker()
    worker.apply([partial(0, [window(0, [1.0])], model=name) for name in "abc"])
    assert worker.detect.counts["unwatched_models"] == 1


def test_windows_that_do_not_fit_one_value_close_early(monkeypatch: pytest.MonkeyPatch) -> None:
    from driftline_streams.detectors import memory

    monkeypatch.setattr(memory, "MAX_VALUE_BYTES", 20_000)
    r = np.random.default_rng(1)
    worker = Worker()
    worker.apply([partial(0, [window(i * WIDTH, r.lognormal(2.5, 1, 40)) for i in range(1_000)], watermark_ms=0)])
    assert worker.detect.counts["early_windows"] > 400
    assert max(map(len, worker.state.values())) < 60_000  # 500 windows are kept in any case


def test_new_rules_hold_from_the_next_window_and_keep_what_was_learnt() -> None:
    catalog = catalog_with(ModelSpec(model="m", drift=DriftRules(min_effect=5.0)))
    worker = Worker(catalog)
    records = list(latencies(400, step_at=200))
    assert worker.apply_each(records[:201]) == []
    catalog.update(ModelSpec(model="m"))
    found = worker.apply_each(records[201:])
    assert [d.method for d in found] == ["adwin", "page_hinkley"]


def test_a_feature_that_moves_is_found_and_the_others_are_not() -> None:
    r = np.random.default_rng(21)
    training = {"feature:distance": r.gamma(4, 250, 20_000), "feature:seats": r.normal(150, 40, 20_000)}
    reference = build("m", "1", training, n=20_000, start_ms=0, end_ms=DAY)
    catalog = Catalog()
    catalog.update(reference)
    worker = Worker(catalog)
    found = []
    for i in range(24 * 8):
        factor = 1.3 if i >= 24 * 4 else 1.0
        values = {"feature:distance": r.gamma(4, 250, 60) * factor, "feature:seats": r.normal(150, 40, 60)}
        edges = {signal: profile.edges for signal, profile in reference.signals.items()}
        cell = features(i * HOUR, values, edges)
        found += worker.apply([partial(i, wide=[cell], feature_width_ms=HOUR, reference=reference.id)])
    found += worker.apply([clock(10**13)])
    assert {d.signal for d in found} == {"feature:distance"}
    assert {d.kind for d in found} == {"change", "drift"}
    drift = [d for d in found if d.kind == "drift"]
    assert {d.start_ms // DAY for d in drift} == {4, 5, 6, 7}
    assert all(d.p_value is not None and d.p_value < 1e-6 and d.direction == "up" and d.n == 1_440 for d in drift)
    assert "on 1970-01-05" in drift[0].detail
    tables = [rows for effects in worker.effects for rows in effects.rows if rows.table == "drift"]
    widths_s = np.concatenate([rows.columns["width_s"] for rows in tables])
    assert (widths_s == DAY // SECOND).sum() == 8 * 2  # days and signals
    states = [state for rows in tables for state in list(rows.columns["state"])]  # type: ignore[arg-type]
    assert states.count("drift") == len(drift)


def test_the_shape_of_a_change_restates_its_row_and_tells_nobody_again() -> None:
    worker = Worker()
    found = worker.apply_each(latencies(400, step_at=200))
    rows = [rows for effects in worker.effects for rows in effects.rows if rows.table == "detections"]
    told = [
        (id_, shape)
        for each in rows
        for id_, shape in zip(each.columns["id"], each.columns["shape"], strict=True)  # type: ignore[arg-type]
    ]
    ids = [d.id for d in found]
    assert len(set(ids)) == len(ids) == 2
    assert sorted(told) == sorted([(id_, shape) for id_ in ids for shape in ("", "abrupt")])


def test_a_daily_rhythm_that_the_reference_knows_raises_nothing_and_a_shift_on_top_of_it_is_seasonal() -> None:
    r = np.random.default_rng(17)

    def values(times_ms: np.ndarray) -> np.ndarray:
        return np.asarray(10 * np.sin(2 * np.pi * times_ms / DAY) + r.normal(0, 1, len(times_ms)))

    times_ms = np.sort(r.integers(0, 28 * DAY, 20_000))
    reference = build(
        "m", "1", {"feature:x": values(times_ms)}, n=20_000, start_ms=0, end_ms=28 * DAY, times_ms=times_ms
    )
    assert reference.rhythm is not None
    catalog = Catalog()
    catalog.update(reference)
    worker = Worker(catalog)
    found = []
    for i in range(24 * 17):
        shift = 1.0 if i >= 24 * 14 else 0.0
        column = values(r.integers(i * HOUR, (i + 1) * HOUR, 40)) + shift
        cell = features(i * HOUR, {"feature:x": column}, {"feature:x": reference.signals["feature:x"].edges})
        found += worker.apply([partial(i, wide=[cell], feature_width_ms=HOUR, reference=reference.id)])
    changes = [d for d in found if d.kind == "change"]
    assert {d.method for d in changes} == {"adwin", "page_hinkley"}
    for d in changes:
        assert d.start_ms >= 24 * 14 * HOUR
        assert d.seasonal
        assert d.effect == pytest.approx(1.0, abs=0.3)
        assert "against the same hours of the reference" in d.detail


def test_detection_rows_and_messages_say_the_same() -> None:
    worker = Worker()
    found = worker.apply(list(latencies(230, step_at=200)))
    (rows,) = worker.effects[0].rows
    assert rows.table == "detections"
    assert rows.columns["id"] == [d.id for d in found]
    assert rows.columns["detail"] == [d.detail for d in found]
    assert [message.key for message in worker.effects[0].messages] == [b"m"] * rows.n
    assert detections_of(worker.effects[0]) == found


def test_two_partitions_of_the_topic_do_not_share_what_they_know() -> None:
    detect = Detect(Catalog(), "driftline", 0)
    states: list[dict[str, bytes]] = [{}, {}]
    message = msgspec.json.encode(partial(0, [window(0, [1.0])]))
    for place, state in enumerate(states):
        detect([message], state, 0, partition=place)
    assert detect.counts["partials"] == 2
    assert states[0] == states[1]


def test_a_batch_of_several_versions_is_whole_when_its_last_partial_carries_the_watermark() -> None:
    """What ingest must do: the others of the same model and batch say that nothing new has been reached."""
    worker = Worker()
    for i in range(40):
        first = partial(i, [window(i * WIDTH, [1.0] * 5), window((i + 1) * WIDTH, [1.0] * 5)], watermark_ms=0)
        other = partial(
            i, [window(i * WIDTH, [1.0]), window((i + 1) * WIDTH, [1.0])], version="2", watermark_ms=(i + 1) * WIDTH + 5
        )
        worker.apply([first, other])
    assert worker.detect.counts["late_windows"] == 0
    assert worker.detect.counts["windows"] == 2 * 40


def test_a_model_that_falls_silent_is_found_by_clocks_and_after_a_restart_too() -> None:
    start = 20_000 * DAY
    spoken = [partial(i, [window(start + i * MINUTE, [1.0])]) for i in range(1_500)]
    end = start + 1_500 * MINUTE
    worker = Worker()
    assert [found.method for found in worker.apply(spoken) if found.kind == "quality"] == []
    assert worker.apply([clock(end + 5 * MINUTE)]) == []
    worker.restart()
    (silent,) = worker.apply([clock(end + 15 * MINUTE)])
    assert (silent.kind, silent.signal, silent.method) == ("quality", "volume", "silent")
    worker.restart()
    assert worker.apply([clock(end + 20 * MINUTE)]) == []
    assert worker.apply([partial(2_000, [window(end + 30 * MINUTE, [1.0])])]) == []
    (speaking,) = worker.apply([clock(end + 31 * MINUTE)])
    assert (speaking.method, speaking.end_ms) == ("speaking", end + 30 * MINUTE)


def test_a_silent_model_is_found_though_others_keep_its_partitions_busy() -> None:
    start = 20_000 * DAY
    end = start + 1_500 * MINUTE
    worker = Worker()
    worker.apply([clock(0, place) for place in (0, 1)])
    worker.apply([partial(i, [window(start + i * MINUTE, [1.0])], partition=i % 2) for i in range(1_500)])
    fed = worker.detect.counts["windows"]
    assert worker.apply([clock(end + HOUR, 0, busy=True)]) == []  # the other one may have events of it
    assert worker.apply([clock(end + 5 * MINUTE, 1, busy=True)]) == []
    (silent,) = worker.apply([clock(end + HOUR, 1, busy=True)])
    assert (silent.method, silent.start_ms) == ("silent", end - MINUTE + 10 * SECOND)
    assert worker.detect.counts["windows"] == fed  # no window closes on their word


def test_a_model_that_speaks_in_windows_that_stay_open_is_not_silent() -> None:
    start = 20_000 * DAY
    worker = Worker()
    worker.apply([clock(0, place) for place in (0, 1)])
    worker.apply([partial(i, [window(start + i * MINUTE, [1.0])], partition=i % 2) for i in range(1_500)])
    for i in range(1_500, 1_800):  # partition 1 has no more events of the model, but of others
        at = start + i * MINUTE
        paced = [clock(at, place, busy=True) for place in (0, 1)]
        assert worker.apply([partial(2 * i, [window(at, [1.0])]), *paced]) == []


def test_a_silence_in_a_backlog_is_found_whatever_its_batches_are() -> None:
    start = 20_000 * DAY
    times = [*range(1_500), *range(1_600, 1_700)]
    cells = [window(start + minute * MINUTE, [1.0]) for minute in times]
    one_by_one, at_once = Worker(), Worker()
    found = one_by_one.apply_each([partial(i, [cell]) for i, cell in enumerate(cells)])
    assert [each.method for each in found if each.kind == "quality"] == ["silent", "speaking"]
    assert at_once.apply([partial(0, cells), clock(start + 1_700 * MINUTE)]) == found


def test_bad_data_in_a_test_window_is_found_when_it_closes() -> None:
    cells = [msgspec.structs.replace(features(i * 300_000, {}), n=50, issues={"duplicate": 25}) for i in range(288)]
    worker = Worker()
    worker.apply([partial(i, [], [cell]) for i, cell in enumerate(cells)])
    quality = [each for each in worker.apply([clock(2 * DAY)]) if each.kind == "quality"]
    (found,) = [each for each in quality if each.end_ms - each.start_ms == DAY]
    assert (found.method, found.effect, found.n, found.end_ms) == ("duplicate", 0.5, 14_400, DAY)
