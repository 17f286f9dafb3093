"""The benchmark measures real runs, and sees when a result is wrong."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from driftline_streams.embedded.services import Services

from . import programs
from .contest import contest
from .contestants.work import Key
from .course import Course
from .events import Sample, Truth
from .field import FIELD, OURS
from .measure import Spread
from .report import circumstances, figures, page
from .verdict import disagreement

N = 4_000


def test_a_contest_measures_right_results(embedded: Services) -> None:
    keys = {"limit.typed", "handwritten.typed", OURS}
    field = [each for each in FIELD if each.key in keys]
    outcomes = contest(Course(embedded), field, events=N, rounds=1)
    assert {outcome.contestant.key: outcome.failed for outcome in outcomes} == dict.fromkeys(keys, "")
    assert [run.wrong for outcome in outcomes for run in outcome.runs] == ["", "", ""]
    found = figures(outcomes)
    assert found["limit"]["typed"]["of_limit"] == 1
    assert found[OURS]["events"] == N
    assert 0 < found[OURS]["of_limit"] < 1
    assert found[OURS]["clickhouse_cpu_us_per_event"] > 0
    written = page(outcomes, circumstances("make bench", 1))
    assert all(each.title in written for each in field)


def test_who_cannot_run_has_a_row_that_says_why(embedded: Services) -> None:
    broken = replace(FIELD[0], run=partial(programs.run, name="nobody"))
    outcomes = contest(Course(embedded), [broken], events=1_000, rounds=2)
    assert "nobody" in figures(outcomes)["limit"]["typed"]["failed"]
    assert "did not run" in page(outcomes, circumstances("make bench", 2))


def _counted(truth: dict[Key, Truth]) -> list[dict[str, Any]]:
    return [
        {"model": key[0], "version": key[1], "window": key[2], "n": true.n, "errors": true.errors, "means": true.means}
        for key, true in truth.items()
    ]


def test_the_truth_is_recognised_and_every_deviation_from_it_is_named() -> None:
    truth = Sample.draw(2_000, span_s=20).truth()
    counted = _counted(truth)
    assert disagreement(counted, truth) == ""
    assert disagreement(counted[1:], truth).startswith("1 of ")
    assert disagreement([], truth).startswith(f"{len(truth)} of {len(truth)} windows, -2,000 events")
    assert disagreement([*counted, counted[0]], truth).endswith("1 windows published again")
    fewer = {**counted[0], "n": counted[0]["n"] - 3}
    assert disagreement([fewer, *counted[1:]], truth) == f"1 of {len(truth)} windows, -3 events"
    means = {name: mean * 1.0001 for name, mean in counted[0]["means"].items()}
    assert disagreement([{**counted[0], "means": means}, *counted[1:]], truth) == f"1 of {len(truth)} windows"
    assert disagreement([{**counted[0], "quantiles": [0.0, 0.0, 0.0]}, *counted[1:]], truth).startswith("1 of ")


def test_what_is_sent_is_what_is_counted_as_true() -> None:
    sample = Sample.draw(500, span_s=5)
    values = [value for _, value in sample.messages()]
    assert sum(b'"status":"error"' in value for value in values) == sum(t.errors for t in sample.truth().values())
    assert len(values) == sum(true.n for true in sample.truth().values()) == 500


def test_a_spread_is_the_median_and_the_range() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
