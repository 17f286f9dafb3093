"""What the stream of errors promises: more errors are found, noise and repetition are not, a crash changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.drift import binary as river

from driftline_schemas.records import Detection, Errors
from driftline_schemas.spec import DriftRules, ModelSpec
from driftline_streams.detectors import run_lengths
from driftline_streams.detectors.changes import errors as errors_module
from driftline_streams.detectors.changes.binary import BinaryDetector, Ddm, Eddm, HddmA, HddmW
from driftline_streams.detectors.changes.errors import WARM_UP, ErrorsState, ErrorStream

from .builders import DAY, HOUR, Worker, partial, window

MAKE = pytest.mark.parametrize("make", [Ddm, Eddm, HddmA, HddmW])
# A threshold at which each raises now and then on noise, for the comparison with river.
LOOSE = {Ddm: 2.0, Eddm: 0.95, HddmA: 0.1, HddmW: 0.1}
Make = Callable[[float], BinaryDetector]


def outcomes(
    r: np.random.Generator, share: float, first: int, last: int, *, size: int = 100, version: str = "1"
) -> Iterator[Errors]:
    """Messages number `first` to `last`, an hour apart."""
    for i in range(first, last):
        wrong = "".join("1" if each else "0" for each in r.random(size) < share)
        start_ms = i * HOUR
        yield Errors(
            model="m",
            version=version,
            name=f"outcomes:{i:032x}",
            start_ms=start_ms,
            end_ms=start_ms + HOUR,
            wrong=wrong,
            confident=0,
        )


def stream() -> ErrorStream:
    return ErrorStream(ModelSpec(model="m"), "1", ErrorsState())


def feed(one: ErrorStream, messages: Iterator[Errors]) -> list[Detection]:
    return [found for message in messages for found in one.update(message) or []]


def worker() -> Worker:
    made = Worker()
    made.apply([partial(0, [window(0, [1.0])])])
    return made


def test_a_concept_drift_is_found_by_all_four_with_the_shares_before_and_after() -> None:
    r = np.random.default_rng(1)
    one = stream()
    assert feed(one, outcomes(r, 0.1, 0, 60)) == []
    found = feed(one, outcomes(r, 0.3, 60, 80))
    first = {each.method: each for each in reversed(found)}
    assert set(first) == {"ddm", "eddm", "hddm_a", "hddm_w"}
    for each in first.values():
        assert (each.signal, each.kind, each.direction) == ("error", "change", "up")
        assert each.before == pytest.approx(0.1, abs=0.02)
        assert each.after is not None
        assert 0.2 < each.after < 0.6  # of as few outcomes as have come
        assert each.low is not None
        assert each.high is not None
        assert 0 < each.low < each.effect < each.high
        assert 60 * HOUR <= each.start_ms < 80 * HOUR
    assert len({each.id for each in found}) == len(found)
    assert "were wrong instead of" in found[0].detail


@pytest.mark.parametrize("share", [0.01, 0.1, 0.4])
def test_noise_raises_about_as_little_as_the_budget_says(share: float) -> None:
    """A sixth of an alarm in 30 days of 2,400 outcomes; here are five streams of ten days."""
    streams = [feed(stream(), outcomes(np.random.default_rng(seed), share, 0, 240)) for seed in range(5)]
    assert sum(map(len, streams)) <= 2


def test_fewer_errors_raise_nothing() -> None:
    r, one = np.random.default_rng(3), stream()
    assert feed(one, outcomes(r, 0.3, 0, 40)) + feed(one, outcomes(r, 0.05, 40, 100)) == []


def test_a_model_that_was_never_wrong_and_then_is_is_found() -> None:
    r, one = np.random.default_rng(4), stream()
    found = feed(one, outcomes(r, 0.0, 0, 20)) + feed(one, outcomes(r, 0.2, 20, 40))
    assert found
    assert found[0].before == pytest.approx(0.0, abs=0.01)


def test_nothing_is_said_before_the_warm_up_is_over() -> None:
    r, one = np.random.default_rng(5), stream()
    feed(one, outcomes(r, 0.1, 0, 1, size=WARM_UP - 1))
    assert one.snapshot().arms == []
    feed(one, outcomes(r, 0.1, 1, 2, size=1))
    assert len(one.snapshot().arms) == 4


def test_a_change_too_small_to_matter_is_no_finding() -> None:
    spec = ModelSpec(model="m", drift=DriftRules(min_effect=5.0, rate=0.9))
    r, one = np.random.default_rng(1), ErrorStream(spec, "1", ErrorsState())
    assert feed(one, outcomes(r, 0.1, 0, 60)) + feed(one, outcomes(r, 0.3, 60, 80)) == []


def test_a_message_of_many_outcomes_costs_no_more_than_two_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors_module, "MOST_OF_A_MESSAGE", 50)
    one = stream()
    feed(one, outcomes(np.random.default_rng(6), 0.1, 0, 10, size=120))
    assert one.snapshot().fed == 10 * 40


def test_repeated_messages_and_those_of_unknown_versions_are_left_out() -> None:
    r, made = np.random.default_rng(7), worker()
    messages = list(outcomes(r, 0.1, 0, 5))
    made.apply(messages)
    state = dict(made.state)
    assert made.apply(messages) == []
    assert made.state == state
    assert made.detect.counts["errors"] == made.detect.counts["repeated"] == 5
    made.apply(outcomes(r, 0.1, 0, 5, version="unheard of"))
    assert made.detect.counts["unwatched_errors"] == 5
    assert made.state == state


@pytest.mark.parametrize("at", [1, 40, 65, 79])
def test_a_kill_and_a_repeated_message_change_nothing(at: int) -> None:
    def messages() -> list[Errors]:
        r = np.random.default_rng(8)
        return [*outcomes(r, 0.1, 0, 60), *outcomes(r, 0.3, 60, 80)]

    whole, made = worker(), worker()
    expected = whole.apply_each(messages())
    found = made.apply_each(messages()[:at])
    made.restart()
    found += made.apply_each(messages()[at - 1 :])
    assert found == expected != []
    assert made.state == whole.state


@MAKE
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(0, 900))
def test_a_restored_detector_goes_on_as_if_nothing_had_happened(make: Make, seed: int, cut: int) -> None:
    r = np.random.default_rng(seed)
    wrong = (r.random(900) < np.repeat([0.1, 0.4], 450)).tolist()
    whole, before, after = (make(LOOSE[make]) for _ in range(3))  # type: ignore[index]
    expected = [whole.update(each) for each in wrong]
    got = [before.update(each) for each in wrong[:cut]]
    after.restore(before.snapshot())
    got += [after.update(each) for each in wrong[cut:]]
    assert got == expected
    assert after.snapshot() == whole.snapshot()


@pytest.mark.parametrize(("ours", "name"), [(Ddm, "DDM"), (HddmA, "HDDMA"), (HddmW, "HDDMW")])
def test_detectors_are_rivers_own(ours: Make, name: str) -> None:
    detector, theirs = ours(LOOSE[ours]), getattr(river, name)()  # type: ignore[index]
    setattr(theirs, "drift_threshold" if name == "DDM" else "drift_confidence", detector.threshold)
    for wrong in (np.random.default_rng(9).random(3_000) < 0.2).tolist():
        theirs.update(int(wrong))
        assert detector.update(wrong) == theirs.drift_detected


@pytest.mark.parametrize("method", ["ddm", "eddm", "hddm_a", "hddm_w"])
def test_a_longer_run_length_needs_a_stricter_threshold_at_every_share(method: str) -> None:
    for share in (0.001, 0.03, 0.3, 0.9):
        found = [run_lengths.for_errors(method, length, share) for length in (1e3, 1e4, 1e5, 1e7)]
        assert found == sorted(found, reverse=method != "ddm")


def test_a_state_is_as_small_as_stated() -> None:
    one = stream()
    feed(one, outcomes(np.random.default_rng(10), 0.1, 0, 5 * 24))
    assert len(msgspec.msgpack.encode(one.snapshot())) < 2_500
    assert one.snapshot().per_day == pytest.approx(100 * 24, rel=0.5)
    assert one.snapshot().first_ms == 0 < DAY


def test_answers_that_are_wrong_and_certain_are_found_through_detect_once() -> None:
    made = worker()
    sure = [msgspec.structs.replace(each, confident=8) for each in outcomes(np.random.default_rng(7), 0.1, 0, 26)]
    assert [each.method for each in made.apply(sure[:23]) if each.kind == "quality"] == []
    made.restart()
    (found,) = [each for each in made.apply([*sure[22:], sure[25]]) if each.kind == "quality"]
    assert (found.signal, found.method, found.n, found.end_ms) == ("confidence", "confident", 2_300, DAY)


@pytest.mark.parametrize(("before", "after", "at"), [(0.05, 0.3, 120), (0.1, 0.5, 100), (0.02, 0.6, 100), (0.3, 1, 60)])
def test_a_change_among_the_first_outcomes_is_described_by_them(before: float, after: float, at: int) -> None:
    for seed in range(20):
        r = np.random.default_rng(seed)
        share = np.where(np.arange(400) < at, before, after)
        wrong = "".join("1" if hit else "0" for hit in r.random(400) < share)
        message = Errors(model="m", version="1", name=f"{seed:032x}", start_ms=0, end_ms=1, wrong=wrong, confident=0)
        for found in stream().update(message) or []:
            assert 0 <= (found.before or 0) <= 1
            assert 0 <= (found.after or 0) <= 1
            assert 0 < found.n <= 400
