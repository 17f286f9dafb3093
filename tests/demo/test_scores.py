"""The models' answers: one call an hour, kept for the next demo, and events that follow from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from driftline_schemas.records import Label, Prediction
from driftline_streams.demo import events, scores
from driftline_streams.demo.features import SEGMENTS
from driftline_streams.demo.run import SPEC
from driftline_streams.model_topic import read_specs

DAYS = 3
FLIGHTS = 926 + 682 + 814  # of 1 to 3 February 2013


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory: Path = tmp_path_factory.mktemp("cache")
    scores.make(directory, DAYS)
    return directory


@pytest.fixture
def scored(cache: Any) -> scores.Scored:
    found = scores.kept(cache, DAYS)
    assert found is not None
    return found


def test_answers_are_kept_for_the_same_question_only(cache: Any, scored: Any) -> None:
    assert scored.cached
    assert scores.kept(cache, DAYS + 1) is None
    assert scores.kept(cache / "elsewhere", DAYS) is None


def test_what_is_damaged_is_not_taken_for_answers(cache: Any, tmp_path: Path) -> None:
    [path] = cache.glob("*.parquet")
    (tmp_path / path.name).write_bytes(path.read_bytes()[:-100])
    assert scores.kept(tmp_path, DAYS) is None


def test_all_flights_of_an_hour_are_answered_by_one_call(scored: Any) -> None:
    table = scored.table
    assert len(table) == FLIGHTS
    hours, calls = table["timestamp_ms"].to_numpy(), table["latency_ms"].to_numpy()
    assert scored.calls == len(np.unique(hours))
    for hour in np.unique(hours):
        assert len(set(calls[hours == hour])) == 1
    assert (calls > 0).all()


def test_events_come_in_the_order_of_their_time(scored: Any) -> None:
    records = list(events.in_order(scored.table))
    times = [record.timestamp for record in records]
    assert times == sorted(times)
    predictions = [record for record in records if isinstance(record, Prediction)]
    labels = [record for record in records if isinstance(record, Label)]
    assert (len(predictions), len(labels)) == events.count(scored.table)
    assert len({record.prediction_id for record in predictions}) == FLIGHTS
    assert {record.prediction_id for record in labels} < {record.prediction_id for record in predictions}


def test_events_keep_the_contract_and_say_what_the_table_says(scored: Any) -> None:
    landed = dict(
        zip(
            zip(scored.table["request_id"].to_pylist(), scored.table["version"].to_pylist(), strict=True),
            zip(scored.table["label_ms"].to_pylist(), scored.table["label"].to_pylist(), strict=True),
            strict=True,
        )
    )
    for record in events.in_order(scored.table):
        if isinstance(record, Label):
            key = (record.prediction_id.rpartition("-")[0], record.prediction_id.rpartition("-")[2])
            assert (record.timestamp, record.label) == landed[key]
            continue
        read = msgspec.json.decode(msgspec.json.encode(record), type=Prediction)
        assert read.request_id is not None
        assert read.prediction_id == f"{read.request_id}-{read.version}"
        assert read.score is not None
        assert read.confidence == pytest.approx(max(read.score, 1 - read.score))
        assert read.segment == {"origin": read.features["origin"], "carrier": read.features["carrier"]}
        assert len(read.features) == 13


def test_the_reference_is_the_whole_of_january(scored: Any) -> None:
    [reference] = scored.references
    assert (reference.model, reference.version, reference.n) == ("flight-delay", "v1", 27_004)
    assert reference.signals["feature:origin"].categories == {"EWR": 9893, "JFK": 9161, "LGA": 7950}
    assert sum(reference.signals["prediction"].categories.values()) == 27_004
    assert reference.signals["latency_ms"].moments.n == 27_004
    assert reference.signals["feature:pressure"].moments.nulls > 0
    assert {key: sum(piece.n for piece in slices.values()) for key, slices in reference.segments.items()} == {
        "origin": 27_004,
        "carrier": 27_004,
    }
    assert reference.rhythm.slots == 168
    assert {"score", "feature:sched_hour", "feature:carrier"} < set(reference.rhythm.counts)
    assert "feature:pressure" not in reference.rhythm.counts  # four Mondays of weather are no rhythm


def test_the_spec_describes_the_features_that_the_events_carry(scored: Any) -> None:
    [spec] = read_specs(SPEC)
    first = next(iter(events.in_order(scored.table)))
    assert isinstance(first, Prediction)
    assert spec.model == first.model
    assert set(spec.features) == set(first.features)
    assert set(spec.segments) == set(first.segment) == set(SEGMENTS)
