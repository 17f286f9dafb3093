"""What the charts promise without a browser: numbers that exist, gaps that stay gaps, names that are never code."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline_streams.dashboard import markup, spans
from driftline_streams.dashboard.charts import drift, load
from driftline_streams.dashboard.charts.frame import DARK, LIGHT, line
from driftline_streams.dashboard.queries.drift import Histograms
from driftline_streams.dashboard.queries.traffic import Load
from driftline_streams.dashboard.spans import DAY_S, HOUR_S, Span

from .rows import SPAN, cell, everything, finding, loads

EVIL = ":constructor<script>alert(1)</script>"
CONSTANT_KEYS = {":valueFormatter", ":formatter", ":renderItem"}

maybe = st.none() | st.floats()


def keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def test_names_of_users_are_never_keys_and_code_is_always_ours() -> None:
    plain, evil = everything(LIGHT), everything(LIGHT, evil=EVIL)
    for ours, theirs in zip(plain, evil, strict=True):
        assert set(keys(theirs)) == set(keys(ours))
        assert {key for key in keys(theirs) if key.startswith(":")} <= CONSTANT_KEYS


@given(st.lists(st.tuples(maybe, maybe, maybe, maybe, maybe), max_size=8))
def test_whatever_comes_the_options_are_json_that_browsers_read(values: list[tuple[float | None, ...]]) -> None:
    rows = [Load("v1", hour * HOUR_S, hour, 0, *row) for hour, row in enumerate(values)]
    drawn = {"versions": ["v1"], "span": SPAN, "bucket_s": HOUR_S, "palette": DARK}
    for chart in (load.traffic, load.answers):
        json.dumps(chart(rows, [], **drawn), allow_nan=False)  # type: ignore[arg-type]
    series = load.latency(rows, [], log=False, **drawn)["series"]  # type: ignore[arg-type]
    json.dumps(series, allow_nan=False)


def test_charts_of_both_themes_differ_only_in_colours() -> None:
    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shape(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [shape(inner) for inner in value]
        return "colour" if isinstance(value, str) and value.startswith("#") else value

    light, dark = everything(LIGHT), everything(DARK)
    assert light != dark
    assert shape(light) == shape(dark)


def test_a_stretch_without_data_is_a_gap_and_not_a_line() -> None:
    assert line([(0, 1.0), (HOUR_S, 2.0), (5 * HOUR_S, 3.0)], HOUR_S)[2] == [2 * HOUR_S * 1000, None]


@given(st.integers(0, 2 * 10**9), st.integers(1, 10 * 366 * DAY_S), st.sampled_from([1, 10, 60, 300, HOUR_S, DAY_S, 7]))
def test_a_series_never_has_more_points_than_are_drawn(start_s: int, length_s: int, width_s: int) -> None:
    span = Span(start_s, start_s + length_s)
    bucket_s = span.bucket_s(width_s)
    assert bucket_s % width_s == 0
    assert (span.end_s - 1) // bucket_s - span.start_s // bucket_s + 1 <= spans.MOST_POINTS


def test_findings_stand_where_the_tooltip_of_their_stretch_sees_them() -> None:
    found = [finding("latency_ms", HOUR_S + 60), finding("latency_ms", HOUR_S + 120), finding("score", 60)]
    option = load.latency(loads(), found, versions=["v1"], span=SPAN, bucket_s=HOUR_S, log=False, palette=LIGHT)
    (rug,) = (series for series in option["series"] if series["type"] == "scatter")
    assert rug["data"] == [
        [HOUR_S * 1000, 0, "v1: latency rose to 14.4 ms (adwin); v1: latency rose to 14.4 ms (adwin)"]
    ]


def test_a_silence_stands_at_the_foot_of_the_traffic_as_a_sentence() -> None:
    silent = msgspec.structs.replace(finding("volume", HOUR_S), kind="quality", method="silent")
    option = load.traffic(loads(), [silent], versions=["v1"], span=SPAN, bucket_s=HOUR_S, palette=LIGHT)
    (rug,) = (series for series in option["series"] if series["type"] == "scatter")
    assert rug["data"] == [[HOUR_S * 1000, 0, "v1: a sentence"]]


def test_rates_are_in_the_unit_in_which_the_busiest_stretch_has_an_event() -> None:
    assert load.rate_unit(loads(), lambda _: HOUR_S) == (60, "min")
    assert load.rate_unit([], lambda _: 1) == (1, "s")


def test_a_logarithmic_axis_begins_below_the_fastest_answer() -> None:
    rows = [Load("v1", 0, 1, 0, 0.03, 0.5, 2.0, None, None)]
    option = load.latency(rows, [], versions=["v1"], span=SPAN, bucket_s=HOUR_S, log=True, palette=LIGHT)
    assert option["yAxis"][0]["min"] == pytest.approx(0.01)


def test_only_significant_drift_has_the_colour_of_drift() -> None:
    assert drift.shade_value(cell("score", statistic=0.5)) < 1
    assert drift.shade_value(cell("score", statistic=0.5, state="drift")) == 2.5
    assert drift.shade_value(cell("score", state="insufficient data")) == -1


def test_the_signal_that_drifts_most_stands_on_top_and_days_without_tests_are_empty() -> None:
    rows = [
        cell("feature:a"),
        cell("feature:b", state="drift", statistic=0.4),
        cell("feature:a", at_s=2 * DAY_S),
    ]
    found = drift.grid(rows, DAY_S)
    assert found.signals == ["feature:a", "feature:b"]  # the last category is the topmost
    assert len(found.starts_s) == 3
    assert set(found.cells) == {(0, 0), (0, 1), (2, 0)}
    assert drift.grid([], DAY_S).signals == []


@given(st.dictionaries(st.text(), st.tuples(st.integers(0, 1000), st.floats(0, 1000)), max_size=10))
def test_both_distributions_are_shares_of_the_same_bars(bars: dict[str, tuple[int, float]]) -> None:
    held = Histograms({name: bar[0] for name, bar in bars.items()}, {name: bar[1] for name, bar in bars.items()})
    found = drift.shares(held)
    assert found.labels == list(bars)
    for counts, shares in ((held.bins, found.window), (held.expected, found.reference)):
        assert len(shares) == len(bars)
        assert math.isclose(sum(shares), 1 if sum(counts.values()) else 0, abs_tol=1e-3)


def test_a_cell_says_its_strongest_test_in_its_own_unit() -> None:
    shown = drift.strongest(cell("score", statistic=0.3))
    assert shown == "PSI 0.300 (0 to 0.600), limit 0.200"
    assert drift.verdict(cell("score", statistic=0.3)) == "over the limit, but not significant"
    assert drift.verdict(cell("score", state="drift")) == "drift"


@given(st.text())
def test_text_is_escaped_wherever_it_stands(text: str) -> None:
    for html in (markup.text(text), markup.chip(text, "calm"), markup.table([{text: text}])):
        plain = html.replace('<span class="chip calm">', "").replace("</span>", "")
        for tag in ("div", "table", "thead", "tbody", "tr", "th", "td"):
            plain = plain.replace(f"<{tag}>", "").replace(f"</{tag}>", "").replace('<div class="scroll">', "")
        assert "<" not in plain
        assert '"' not in plain


def test_what_is_not_a_number_is_a_dash() -> None:
    assert "NaN" not in markup.table([{"a": math.nan, "b": None}])
    assert "None" not in markup.table([{"a": math.nan, "b": None}])
    assert markup.percent(math.inf) == "–"
