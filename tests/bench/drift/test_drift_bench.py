"""The benchmark of drift judges rightly, and its shortest form shows what the long one is about."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest

from ..report import circumstances
from . import flights, ours, shifts
from .__main__ import quick
from .contest import Results
from .field import COMMON, OURS, STOCK
from .figures import figures, targets
from .judge import Verdict, delay, ratios
from .page import page
from .streams import Alarm, Stream, times


@cache
def results() -> Results:
    return quick()


def test_in_a_quiet_week_driftline_alarms_at_most_once_and_the_common_recipe_exceeds_the_budget_tenfold() -> None:
    null = results().verdicts["null"]
    assert null[OURS].false <= 1
    assert null[COMMON].false_in_budget > 10
    assert targets(results())["recipe"][1]


def test_a_step_of_one_deviation_is_found_by_driftline_within_an_hour() -> None:
    found = results().verdicts["mean_1"]
    assert found[OURS].missed == 0
    assert found[OURS].median_delay < 360
    assert found[STOCK].median_delay < 360


def test_watching_a_value_costs_less_than_rivers_detectors_on_it() -> None:
    [level] = results().levels
    assert level.ours_us < level.stock_us


def test_the_page_and_the_figures_say_what_was_measured() -> None:
    told: dict[str, Any] = figures(results())
    assert told["cases"]["null"][OURS]["false"] == results().verdicts["null"][OURS].false
    assert told["evidently_us"] is None
    written = page(results(), circumstances("the test", 1))
    assert "Evidently did not run: it was left out" in written
    assert f"{results().verdicts['mean_1'][OURS].median_delay:,.0f}" in written


def test_events_through_ingest_lead_to_the_findings_that_the_sums_of_their_windows_lead_to() -> None:
    stream = shifts.changed("amount", shifts.moved(20))(1)
    short = Stream(
        {name: column[15_000:25_000] for name, column in stream.columns.items()},
        stream.time_ms[15_000:25_000],
        stream.reference,
        (stream.change or 0) - 15_000,
        stream.changed,
    )
    found = ours.from_windows(short)
    assert found
    # The last windows are still open when the events end.
    closed = [alarm for alarm in found if alarm.at < len(short)]
    assert [alarm for alarm in ours.from_events(short, ours.encoded(short)) if alarm.signal in short.columns] == closed


def changing(at: int | None) -> Stream:
    n = 100
    changed = frozenset({"x"}) if at is not None else frozenset[str]()
    return Stream({"x": np.zeros(n), "y": np.zeros(n)}, times(n, 60_000), {"x": np.zeros(9)}, at, changed)


@pytest.mark.parametrize(
    ("alarms", "expected"),
    [
        ([], None),
        ([Alarm(40, "x"), Alarm(50, "x")], None),  # before it, and with its last event before it
        ([Alarm(60, "y")], None),  # in another signal
        ([Alarm(90, "x"), Alarm(51, "x")], 1),
        ([Alarm(70, "*")], 20),  # all columns together
    ],
)
def test_a_delay_is_that_of_the_first_alarm_after_the_change_in_a_signal_that_changed(
    alarms: list[Alarm], expected: int | None
) -> None:
    assert delay(changing(50), alarms) == expected


def test_every_alarm_on_a_stream_without_a_change_is_false() -> None:
    verdict = Verdict()
    verdict.add(changing(None), [Alarm(3, "x"), Alarm(4, "y")])
    assert verdict.false_in_budget == pytest.approx(2 / (99 / 1440) * 30)
    assert verdict.at_most > verdict.false_in_budget
    assert math.isnan(Verdict().false_in_budget)


def test_a_change_that_one_of_two_missed_has_no_ratio_and_an_endless_delay() -> None:
    mine, theirs = Verdict([100, None, 30]), Verdict([50, 10, None])
    assert ratios(mine, theirs) == [2.0]
    assert mine.missed == 1
    assert Verdict([None, None, 5]).median_delay == math.inf


def test_shuffled_flights_are_the_same_flights() -> None:
    real, mixed = flights.flights(), flights.shuffled(0)
    assert len(flights.months(real)) == flights.MONTHS
    for name in ("distance", "carrier"):
        whole = [np.sort(np.concatenate([each.reference[name], each.columns[name]])) for each in (real, mixed)]
        assert (whole[0] == whole[1]).all()
    told = flights.told(real, [Alarm(1, "temp"), Alarm(2, "temp"), Alarm(len(real), "temp")])
    assert (told.alarms, told.cells, told.months["temp"]) == (3, 2, 2)
