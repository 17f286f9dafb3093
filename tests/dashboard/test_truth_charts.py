"""What the charts of late truth promise without a browser: states told apart, intervals that hold, gaps left open."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline_streams.dashboard import metrics
from driftline_streams.dashboard.charts import comparison, confusion, estimates, performance, segments, worth
from driftline_streams.dashboard.charts.cohort import by_line
from driftline_streams.dashboard.charts.frame import LIGHT
from driftline_streams.dashboard.queries.comparison import Pairs, Verdict
from driftline_streams.dashboard.queries.performance import Cohort
from driftline_streams.dashboard.queries.scores import Cell
from driftline_streams.dashboard.queries.worth import Count
from driftline_streams.dashboard.spans import DAY_S, Span

from .rows import ACCURACY, cohort, estimate, gap, pairs, part

SPAN = Span(0, 4 * DAY_S)
SHADE = LIGHT.versions[0]

maybe = st.none() | st.floats()


def series(option: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in option["series"] if each["name"] == name)


def drawn(option: dict[str, Any], name: str) -> list[float | None]:
    """The values of a series, whose points say something of themselves or not."""
    points = (point["value"] if isinstance(point, dict) else point for point in series(option, name)["data"])
    return [point[1] for point in points]


def said(option: dict[str, Any], name: str) -> str:
    return " ".join(line for point in series(option, name)["data"] for line in point["about"])


def over_time(rows: list[Cohort], metric: metrics.Metric = ACCURACY) -> dict[str, Any]:
    return performance.performance(rows, [], metric=metric, versions=["v1"], span=SPAN, grain="day", palette=LIGHT)


def test_final_provisional_and_restated_cohorts_are_told_apart_and_joined_up() -> None:
    option = over_time([cohort(0, "final"), cohort(1, "restated"), cohort(2, "final"), cohort(3, "provisional")])
    assert drawn(option, "v1") == [0.8, 0.8, 0.8, None]
    assert drawn(option, "v1 provisional") == [None, None, 0.8, 0.8]
    assert series(option, "v1 provisional")["lineStyle"]["type"] == "dashed"
    assert [point[0] for point in series(option, "v1 restated")["data"]] == [DAY_S * 1000]
    assert option["legend"]["data"] == ["v1", "v1 provisional", "v1 restated"]


def test_a_cohort_says_its_value_interval_n_coverage_and_state_once() -> None:
    option = over_time([cohort(0, "final"), cohort(1, "provisional", 40)])
    assert said(option, "v1").count("1970-01-01: 80 % (70 % to 90 %), final") == 1
    assert "n = 40 of 100 answers" in said(option, "v1 provisional")
    assert "final" not in said(option, "v1 provisional")


def test_the_interval_is_drawn_for_every_metric_that_has_one() -> None:
    for metric in metrics.METRICS:
        option = over_time([cohort(0, "final"), cohort(1, "final", value=None)], metric)
        assert drawn(option, "v1 interval") == [0.2, None]


def test_a_cohort_with_hardly_any_labels_does_not_stretch_the_axis() -> None:
    rows = [cohort(0, "final", 1000), cohort(1, "final", 1000), cohort(2, "provisional", 10)]
    assert performance.telling(rows) == rows[:2]
    assert performance.telling([]) == []


def test_a_version_in_two_roles_has_two_lines() -> None:
    rows = [cohort(0, "final"), cohort(0, "final", role="shadow")]
    assert list(by_line(rows)) == ["v1 as champion", "v1 as shadow"]


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression", "ranking"])
def test_each_kind_of_model_has_metrics_of_its_own(kind: str) -> None:
    offered = set(metrics.of(kind))
    assert offered
    assert ("recall" in offered) == (kind == "binary")
    assert ("mae" in offered) == (kind == "regression")
    assert ("ndcg" in offered) == (kind == "ranking")


def test_a_day_that_is_open_shows_where_it_will_end_and_where_it_stands() -> None:
    option = estimates.expected(
        [estimate(1, "labels"), estimate(2, "scores")],
        [cohort(0, "final"), cohort(1, "provisional", value=0.85)],
        metric=ACCURACY,
        palette=LIGHT,
        shade=SHADE,
    )
    (point,) = series(option, estimates.IN_THE_END)["data"]
    assert point["value"] == pytest.approx([DAY_S * 1000, 0.8, 0.7, 0.9])
    assert drawn(option, estimates.NOW) == [0.85]


def test_where_an_estimate_abstains_there_is_a_gap_and_its_reason() -> None:
    rows = [estimate(0, "scores"), estimate(1, "scores", None), estimate(2, "scores")]
    reals = [cohort(day, "final" if day < 2 else "provisional", value=0.75) for day in range(3)]
    option = estimates.without_labels(rows, reals, metric=ACCURACY, span=SPAN, palette=LIGHT, shade=SHADE)
    assert drawn(option, estimates.WITHOUT) == [0.8, None, 0.8]
    assert "too little is known" in said(option, estimates.ABSTAINS)
    tracked = estimates.tracked_error(rows, reals)
    assert tracked is not None
    assert tracked == pytest.approx((0.05, 1))  # what is not final tells nothing
    assert estimates.tracked_error(rows, []) is None


@given(st.lists(st.tuples(maybe, maybe, maybe), max_size=4))
def test_whatever_comes_the_options_are_json_that_browsers_read(values: list[tuple[float | None, ...]]) -> None:
    rows = [Cohort("v1", "champion", day * DAY_S, 10, 10, 1.0, "final", *row) for day, row in enumerate(values)]
    json.dumps(over_time(rows), allow_nan=False)


def test_without_pairs_there_is_no_difference() -> None:
    assert comparison.difference(pairs(0, 0, 0, 0)) is None
    assert comparison.difference(Pairs("a", "b", "shadow", 0, 0, 0, 0, 0, 1, 2.0, 4.0)) is None


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_the_interval_of_a_difference_holds_it_and_stays_within_bounds(a: int, b: int, c: int, d: int) -> None:
    found = comparison.difference(pairs(a, b, c, d))
    if found is not None:
        assert -1 <= found.low <= found.value + 1e-9
        assert found.value - 1e-9 <= found.high <= 1


def test_the_interval_of_a_difference_of_errors_is_numpys() -> None:
    errors = np.random.default_rng(1).normal(0.3, 2.0, 400)
    sums = (400, float(errors.sum()), float(np.square(errors).sum()))
    found = comparison.difference(Pairs("a", "b", "challenger", 0, 0, 0, 0, 0, *sums))
    half = 1.96 * errors.std(ddof=1) / 20
    assert found == pytest.approx((errors.mean(), errors.mean() - half, errors.mean() + half), rel=1e-4)


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        ("better", "b is better than a: +3.00 pp of accuracy (+1.00 to ?) on 400 pairs up to 1970-01-01"),
        ("worse", "b is worse than a: "),
        ("not yet", "b and a cannot be told apart yet: "),
    ],
)
def test_a_verdict_is_a_sentence(verdict: str, sentence: str) -> None:
    row = Verdict("a", "b", "challenger", 0, "accuracy", 400, 0.03, 0.01, None, verdict)
    assert comparison.sentence(row).startswith(sentence)


def test_only_segments_that_are_worse_beyond_chance_have_the_colour_of_alarm() -> None:
    rows = [part("DE", 0.1, 0.01), part("FR", 0.05, 0.2), part("NL", -0.1, 0.01)]
    option = segments.segments(rows, metric=ACCURACY, palette=LIGHT, shade=SHADE)
    shades = [point["itemStyle"]["color"] for point in option["series"][0]["data"]]
    assert shades == [LIGHT.alarm, SHADE, SHADE]
    assert option["yAxis"]["data"][-1] == "country = DE"  # the last category is the topmost


def test_gaps_are_shown_beside_what_is_allowed() -> None:
    option = segments.gaps([gap(0, 0.02)], palette=LIGHT, shade=SHADE)
    assert option["series"][0]["markLine"]["data"] == [{"xAxis": 0.1}]
    assert option["xAxis"]["max"] > 0.1
    course = segments.course([gap(1, 0.2), gap(1, 0.3), gap(0, 0.1)], span=SPAN, palette=LIGHT, shade=SHADE)
    assert drawn(course, "widest gap") == [0.1, 0.3]


def test_a_confusion_matrix_spreads_each_true_class_over_what_was_predicted() -> None:
    cells = [Cell("a", "a", 3.0), Cell("b", "a", 1.0), Cell("b", "b", 5.0), Cell("c", "b", 5.0)]
    option = confusion.confusion(cells, palette=LIGHT)
    assert option["xAxis"]["data"] == ["a", "b", "c"]
    shares = {tuple(point["value"][:2]): point["value"][2] for point in option["series"][0]["data"]}
    assert shares == {(0, 2): 0.75, (1, 2): 0.25, (1, 1): 0.5, (2, 1): 0.5}


def test_the_rarest_of_many_classes_are_left_out() -> None:
    cells = [Cell(f"c{i:02}", f"c{i:02}", float(100 - i)) for i in range(40)]
    assert confusion.classes(cells) == [f"c{i:02}" for i in range(confusion.MOST_CLASSES)]
    counts = [Count(0, f"c{i:02}", 1.0, float(100 - i)) for i in range(40)]
    assert worth.most_frequent(counts) == [f"c{i:02}" for i in range(worth.MOST_CLASSES)]
