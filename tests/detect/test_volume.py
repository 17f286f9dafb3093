"""Whether as many events came as usual: by the hour of the week where it is known, else by days and with caution."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from driftline_schemas.spec import ModelSpec, QualityRules, Reference, Rhythm
from driftline_streams.detectors.quality.volume import SPREAD, check
from driftline_streams.reference.build import build
from driftline_streams.windows.cells import WideCell

from .builders import DAY, HOUR

SPEC = ModelSpec(model="m")
MONDAY = 20_003 * DAY
WEEKS = 4
A_DAY = 2_400


def reference(rhythm: bool = False, source: str = "learned", version: str = "1") -> Reference:
    """Four weeks of 2,400 events a day; with `rhythm`, none at weekends and all of them from 8 to 20 o'clock."""
    made = build("m", version, {"score": np.ones(1)}, n=WEEKS * 7 * A_DAY, start_ms=MONDAY, end_ms=MONDAY + 28 * DAY)
    hours = [200 * WEEKS if hour // 24 < 5 and 8 <= hour % 24 < 20 else 0 for hour in range(168)]
    weekly = Rhythm(slots=168, n=hours, means={}, deviations={}, counts={}) if rhythm else None
    return msgspec.structs.replace(made, rhythm=weekly, source=source)


def window(n: int, at_ms: int = 0, width_ms: int = DAY) -> WideCell:
    return WideCell(MONDAY + 35 * DAY + at_ms, width_ms, n, "", {}, {})


def directions(made: Reference | None, cell: WideCell, spec: ModelSpec = SPEC) -> list[str]:
    return [found.direction for found in check(spec, "1", made, cell)]


def test_the_calendar_of_these_tests_begins_on_a_monday() -> None:
    assert np.datetime64(MONDAY, "ms").item().weekday() == 0


def test_far_fewer_or_more_events_than_on_other_days_are_found() -> None:
    assert directions(reference(), window(A_DAY)) == []
    assert directions(reference(), window(A_DAY // 8)) == []  # a Sunday, perhaps
    assert directions(reference(), window(A_DAY // 20)) == ["down"]
    assert directions(reference(), window(A_DAY * 20)) == ["up"]


def test_of_a_drawn_reference_all_events_count() -> None:
    for drawn in (reference(), reference(rhythm=True)):
        made = msgspec.structs.replace(drawn, drawn_from=100 * drawn.n)
        monday = window(100 * A_DAY)
        assert directions(made, monday) == []
        assert directions(made, window(A_DAY)) == ["down"]


def test_the_hour_of_the_week_is_known_where_there_is_a_rhythm_of_it() -> None:
    made = reference(rhythm=True)
    noon = {"at_ms": 12 * HOUR, "width_ms": HOUR}
    assert directions(made, window(200, **noon)) == []
    assert directions(made, window(70, **noon)) == []
    (found,) = check(SPEC, "1", made, window(20, **noon))
    assert (found.direction, found.before, found.after, found.seasonal) == ("down", 200.0, 20.0, True)
    assert found.detail.startswith("20 events came in the 60 min from")
    assert "should bring about 200: 0.1 times as many" in found.detail
    assert directions(made, window(2_000, **noon)) == ["up"]
    assert directions(made, window(2, at_ms=3 * HOUR, width_ms=HOUR)) == []  # nothing was due
    assert directions(made, window(3, at_ms=6 * DAY)) == []


def test_few_events_say_nothing() -> None:
    made = reference(rhythm=True)
    minutes = {"at_ms": 12 * HOUR, "width_ms": HOUR // 60}
    assert directions(made, window(1, **minutes)) == []  # of three


def test_a_part_of_a_day_is_not_compared_with_a_mean_day() -> None:
    assert directions(reference(), window(1, width_ms=HOUR)) == []


def test_the_factor_is_the_specs() -> None:
    strict = ModelSpec(model="m", quality=QualityRules(volume=1.5))
    made = reference(rhythm=True)
    assert directions(made, window(20_000), strict) == directions(made, window(20_000)) == ["up"]
    assert directions(made, window(6_500), strict) == ["up"]
    assert directions(made, window(6_500)) == []


@pytest.mark.parametrize("made", [None, reference(source="given"), reference(version="2")])
def test_without_a_rate_of_its_own_nothing_is_usual(made: Reference | None) -> None:
    assert directions(made, window(1)) == []


def test_the_time_that_was_learned_from_and_segments_are_not_judged() -> None:
    cell = window(1)
    cell.start_ms = MONDAY + 27 * DAY
    assert directions(reference(), cell) == []
    cell = window(1)
    cell.dim = "country"
    assert directions(reference(), cell) == []


@pytest.mark.parametrize("usual", [5, 50, 5_000])
def test_counts_that_vary_by_a_third_are_hardly_ever_found(usual: int) -> None:
    lenient = ModelSpec(model="m", quality=QualityRules(volume=1.01))
    weekly = Rhythm(slots=168, n=[usual * WEEKS] * 168, means={}, deviations={}, counts={})
    made = msgspec.structs.replace(reference(), rhythm=weekly)
    random = np.random.default_rng(5)
    drawn = random.poisson(usual * random.lognormal(-(SPREAD**2) / 2, SPREAD, 40_000))
    counts, times = np.unique(drawn[drawn > 0], return_counts=True)
    found = [bool(check(lenient, "1", made, window(int(n), width_ms=HOUR))) for n in counts]
    assert times[found].sum() / len(drawn) < 0.002
    assert check(lenient, "1", made, window(8 * usual, width_ms=HOUR)) != []
