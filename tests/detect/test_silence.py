"""When a version has been silent for too long: on event time alone, and whatever comes twice or late."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline_schemas.records import Detection
from driftline_schemas.spec import ModelSpec
from driftline_streams.detectors.quality.silence import LEAST_MS, MOST_MS, NEAR_MS, Gaps, Silence, Voice, limit_ms

from .builders import DAY, HOUR, MINUTE, SECOND

SPEC = ModelSpec(model="m")
T0 = 20_000 * DAY


class Model:
    """Hears events at given times, and lets time pass in steps of a minute."""

    def __init__(self, spec: ModelSpec = SPEC) -> None:
        self.spec, self.silence, self.found = spec, Silence(), list[Detection]()

    def speak(self, *at_ms: int, version: str = "1") -> Model:
        for ms in at_ms:
            self.found += self.silence.hear(self.spec, version, ms, ms + 10 * SECOND)
        return self

    def until(self, ms: int, by_ms: int = MINUTE) -> Model:
        reached = self.silence.reached_ms
        for at in [*range(reached, ms, by_ms), ms] if reached > 0 and ms - reached < 30 * DAY else [ms]:
            found, _ = self.silence.pass_time(self.spec, at)
            self.found += found
        return self

    @property
    def methods(self) -> list[tuple[str, str]]:
        return [(found.version, found.method) for found in self.found]


def every(step_ms: int, n: int, start_ms: int = T0) -> range:
    return range(start_ms, start_ms + n * step_ms, step_ms)


def test_a_busy_version_that_falls_silent_is_found_and_found_again_when_it_speaks() -> None:
    model = Model().speak(*every(MINUTE, 1_667))
    end = T0 + 1_666 * MINUTE + 10 * SECOND
    assert model.until(end + LEAST_MS - MINUTE).methods == []
    assert model.until(end + LEAST_MS + MINUTE).methods == [("1", "silent")]
    (found,) = model.until(end + 5 * HOUR).found
    assert (found.kind, found.signal, found.start_ms, found.end_ms) == ("quality", "volume", end, end + LEAST_MS)
    assert "longer than the 10 min that its gaps suggest (1,666 in the last days" in found.detail
    model.speak(end + 5 * HOUR)
    assert model.methods == [("1", "silent"), ("1", "speaking")]
    assert model.found[1].detail.endswith("after 5 h of silence.")


def test_nights_and_weekends_are_no_silence_once_they_have_been_seen() -> None:
    model = Model()
    for day in range(21):
        if day % 7 < 5:
            model.speak(*every(5 * MINUTE, 96, T0 + day * DAY + 9 * HOUR))
    first_weekend = [found for found in model.found if found.start_ms < T0 + 7 * DAY]
    assert model.methods in ([], [("1", "silent"), ("1", "speaking")])
    assert model.found == first_weekend  # nobody had seen one


def test_a_version_that_another_one_replaces_is_idle_and_the_model_is_not_silent() -> None:
    model = Model().speak(*every(MINUTE, 1_500))
    model.speak(*every(MINUTE, 150, T0 + 1_500 * MINUTE), version="2")
    assert model.methods == [("1", "idle")]
    assert "version 2 still answers" in model.found[0].detail
    assert model.until(T0 + 1_650 * MINUTE + 9 * HOUR).methods == [("1", "idle"), ("2", "silent")]


def test_the_specs_limit_holds_where_there_is_one() -> None:
    model = Model(ModelSpec(model="m", silent_s=60)).speak(*every(10 * SECOND, 3))
    assert model.until(T0 + 30 * SECOND + 60 * SECOND).methods == []
    assert model.until(T0 + 91 * SECOND).methods == [("1", "silent")]
    assert "the 60 s that the spec allows" in model.found[0].detail


def test_the_end_of_a_replay_of_history_is_no_silence() -> None:
    model = Model().speak(*every(10 * SECOND, 1_000))
    assert model.until(T0 + 4_000 * DAY).until(T0 + 4_001 * DAY).methods == []
    model.speak(*every(MINUTE, 1_500, T0 + 4_001 * DAY))  # the same version, live
    assert model.until(T0 + 4_003 * DAY).methods == [("1", "silent")]


def test_what_comes_late_or_twice_says_nothing() -> None:
    model = Model().speak(*every(10 * SECOND, 1_000))
    before = msgspec.msgpack.encode(model.silence)
    for at in (T0, T0 + 9_990 * SECOND):
        assert model.silence.hear(SPEC, "1", at, at + 10 * SECOND) == []
    assert msgspec.msgpack.encode(model.silence) == before


def test_it_goes_on_from_what_was_stored_and_says_when_that_is_old() -> None:
    model, other = Model().speak(*every(MINUTE, 1_500)), Model()
    end = T0 + 1_500 * MINUTE
    changes = [model.silence.pass_time(SPEC, end + step)[1] for step in range(0, 30 * MINUTE, 10 * SECOND)]
    assert sum(changes) <= 3  # of 180: what is written is what has changed
    model = Model().speak(*every(MINUTE, 1_500))
    other.silence = msgspec.msgpack.decode(msgspec.msgpack.encode(model.silence), type=Silence)
    assert other.until(end + DAY // 2).found == model.until(end + DAY // 2).found != []


def test_a_version_of_one_event_is_waited_for_two_days() -> None:
    model = Model().speak(T0)
    assert model.until(T0 + MOST_MS).methods == []
    assert model.until(T0 + MOST_MS + MINUTE).methods == [("1", "silent")]


def test_a_forgotten_version_begins_anew() -> None:
    model = Model().speak(*every(MINUTE, 1_500))
    model.silence.forget("1")
    model.silence.forget("never there")
    assert model.until(T0 + DAY + HOUR).methods == []


@given(n=st.integers(1, 400))
def test_gaps_of_chance_are_taken_for_silence_once_in_forty_times_as_many(n: int) -> None:
    factor = 2 + 20 / n
    log_chance = sum(math.log(k / (k + factor)) for k in range(1, n + 1))
    assert math.exp(log_chance) < 2 / (40 * n)


@given(longest_ms=st.integers(1_000, 30 * DAY), n=st.integers(1, 100_000), lived_ms=st.integers(0, 60 * DAY))
def test_a_limit_is_longer_than_every_usual_gap_and_bounded(longest_ms: int, n: int, lived_ms: int) -> None:
    voice = Voice(T0 - lived_ms, T0, T0 + 10 * SECOND)
    voice.days = [Gaps(0, n, longest_ms)]
    limit = limit_ms(SPEC, voice)
    assert max(LEAST_MS, 1.2 * longest_ms) <= limit <= max(MOST_MS, 1.25 * longest_ms + 1)


@pytest.mark.parametrize("jump_ms", [NEAR_MS - HOUR, NEAR_MS + 2 * HOUR])
def test_time_that_jumped_was_not_lived_through(jump_ms: int) -> None:
    model = Model().speak(*every(MINUTE, 1_500))
    end = T0 + 1_500 * MINUTE
    model.silence.pass_time(SPEC, end)
    found, _ = model.silence.pass_time(SPEC, end + jump_ms)
    assert [d.method for d in found] == (["silent"] if jump_ms < NEAR_MS else [])
