"""What bounds promise: no publisher makes the sums explode, and what was folded is counted."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from driftline.frame import encode_frame
from driftline_schemas.records import Moments, Prediction
from driftline_schemas.spec import FeatureSpec, ModelSpec, Profile, Reference
from driftline_streams.ingest import Ingest, IngestResult
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.kernel.limits import MAX_PARTIAL_BYTES, OTHER_CATEGORY
from driftline_streams.windows.open import OpenWindows
from driftline_streams.windows.sources import Clocks

from .batches import NOW_MS, batch_of, event, partials_of, rows_of


def ingest(*events: dict[str, Any], catalog: Catalog | None = None) -> IngestResult:
    return Ingest(catalog or Catalog(), "driftline")(batch_of(*events), NOW_MS)


def test_the_250_most_frequent_categories_stay_and_the_rest_is_one() -> None:
    values = [f"v{i:03}" for i in range(300)] + [f"v{i:03}" for i in range(50, 300)]
    result = ingest(*(event(features={"id": value}) for value in values))
    bins = partials_of(result)[0].features[0].bins["feature:id"]
    assert bins == {f"v{i:03}": 2 for i in range(50, 300)} | {OTHER_CATEGORY: 50}
    assert result.folded_categories == 50


def test_categories_that_the_reference_knows_stay_however_rare() -> None:
    catalog = Catalog()
    moments = Moments(1, 0, 0.0, 0.0, 0.0, 0.0)
    profile = Profile(type="categorical", moments=moments, categories={"rare": 1})
    catalog.update(
        Reference(id="r", model="delays", version="1", n=1, start_ms=0, end_ms=1, description="",
                  signals={"feature:id": profile})
    )  # fmt: skip
    values = [f"v{i}" for i in range(300)] * 2 + ["rare"]
    result = ingest(*(event(features={"id": value}) for value in values), catalog=catalog)
    bins = partials_of(result)[0].features[0].bins["feature:id"]
    assert len(bins) == 251
    assert bins["rare"] == 1
    assert sum(bins.values()) == 601


def test_a_text_of_a_page_is_no_category() -> None:
    result = ingest(event(features={"prompt": "x" * 129}), event(features={"prompt": "x" * 128}))
    assert partials_of(result)[0].features[0].bins["feature:prompt"] == {OTHER_CATEGORY: 1, "x" * 128: 1}
    assert rows_of(result, "predictions")[0]["cats"] == {"prompt": "x" * 129}


def test_the_200_most_frequent_segment_values_stay_and_the_rest_is_other() -> None:
    catalog = Catalog()
    catalog.update(ModelSpec(model="delays", segments=["dest"], window_s=3_600))
    values = [f"d{i}" for i in range(250)] + [f"d{i}" for i in range(200)]
    result = ingest(*(event(segment={"dest": value, "origin": value}) for value in values), catalog=catalog)
    rows = {row["value"]: row["n"] for row in rows_of(result, "windows") if row["dim"] == "dest"}
    assert rows == {f"d{i}": 2 for i in range(200)} | {"other": 50}
    assert result.folded_segments == 50
    assert {row["dim"] for row in rows_of(result, "windows")} == {"", "dest"}


def test_the_1000_most_frequent_features_are_monitored_and_the_rest_is_only_stored() -> None:
    wide = {f"f{i:04}": float(i) for i in range(1_100)}
    narrow = {f"f{i:04}": float(i) for i in range(100, 1_100)}
    result = ingest(event(features=wide), event(features=narrow))
    monitored = partials_of(result)[0].features[0].moments.keys() - {"score", "confidence", "prediction"}
    assert monitored == {f"feature:{name}" for name in narrow}
    assert result.dropped_features == 100
    assert len(rows_of(result, "predictions")[0]["nums"]) == 1_100


@pytest.mark.parametrize("name", ["a\x1fb", "n" * 129])
def test_a_feature_whose_name_cannot_be_a_key_is_only_stored(name: str) -> None:
    result = ingest(event(features={name: 1.0, "ok": 2.0}))
    assert "feature:ok" in partials_of(result)[0].features[0].moments
    assert f"feature:{name}" not in partials_of(result)[0].features[0].moments
    assert result.dropped_features == 1


def test_a_feature_that_the_spec_leaves_out_is_not_counted_as_dropped() -> None:
    catalog = Catalog()
    catalog.update(ModelSpec(model="delays", features={"a": FeatureSpec(), "b": FeatureSpec(monitor=False)}))
    result = ingest(event(features={"a": 1.0, "b": 2.0, "c": 3.0}), catalog=catalog)
    assert [name for name in partials_of(result)[0].features[0].moments if ":" in name] == ["feature:a"]
    assert result.dropped_features == 0


def test_a_long_partial_is_cut_into_shorter_ones_that_cover_the_same_offsets() -> None:
    events = [
        event(timestamp=NOW_MS - 300_000 * i, features={f"f{j}": float(j) for j in range(100)}) for i in range(300)
    ]
    result = ingest(*events)
    messages = [message for message in result.effects.messages if message.topic.endswith(".partials")]
    assert len(messages) > 1
    assert all(message.value and len(message.value) <= MAX_PARTIAL_BYTES for message in messages)
    partials = partials_of(result)
    assert [partial.first for partial in partials] == [100, *(partial.last + 1 for partial in partials[:-1])]
    assert partials[-1].last == 100 + 299
    assert sum(cell.n for partial in partials for cell in partial.windows) == 300
    begin_ms = NOW_MS - 299 * 300_000
    assert [partial.watermark_ms for partial in partials] == [begin_ms] * (len(partials) - 1) + [NOW_MS]


def test_a_long_partial_of_one_frame_is_split_at_its_events() -> None:
    spread = [event(timestamp=NOW_MS - 300_000 * i, features={f"f{j}": 1.0 for j in range(90)}) for i in range(300)]
    frame = encode_frame([msgspec.json.decode(msgspec.json.encode(one), type=Prediction) for one in spread])
    result = Ingest(Catalog(), "driftline")(batch_of(spread[0], frame, spread[0]), NOW_MS)
    partials = partials_of(result)
    assert len(partials) > 2
    assert sum(cell.n for partial in partials for cell in partial.windows) == 302
    ends = [(partial.last, -partial.left) for partial in partials]
    assert ends == sorted(set(ends))
    assert (partials[0].first, *ends[-1]) == (100, 102, 0)
    windows = OpenWindows()  # as `detect` has them: each is applied once, however often it comes
    assert [windows.update(partial, Clocks()) for partial in partials] == [True] * len(partials)
    assert not any(windows.update(partial, Clocks()) for partial in partials)


def test_no_sum_becomes_infinite() -> None:
    result = ingest(*(event(latency_ms=1e308, features={"a": -1e308}) for _ in range(10)))
    moments = partials_of(result)[0].features[0].moments["feature:a"]
    assert (moments.sum, moments.min) == (-1e151, -1e150)
    assert moments.sum_squares == pytest.approx(1e301)
    assert rows_of(result, "predictions")[0]["nums"] == {"a": -1e308}


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([event(timestamp=NOW_MS - 11_000 * i) for i in range(5_000)], id="one event a window"),
        pytest.param([event(model=f"m{i}") for i in range(2_000)], id="one event a model"),
        pytest.param([event(features={f"f{i}-{j}": 1.0 for j in range(10)}) for i in range(2_000)], id="new names"),
        pytest.param([event(segment={f"s{i}": "x"}) for i in range(5_000)], id="one event a segment key"),
        pytest.param([event(features={f"f{j}": 1.0 for j in range(1_000)}) for _ in range(300)], id="1,000 features"),
        pytest.param([event(features={"id": f"v{i}"}, prediction=f"c{i}") for i in range(5_000)], id="identifiers"),
    ],
)
def test_traffic_of_an_odd_shape_takes_time_in_proportion_to_its_size(events: list[dict[str, Any]]) -> None:
    catalog = Catalog()
    catalog.update(ModelSpec(model="delays", segments=["country"]))
    started = time.process_time()
    result = ingest(*events, catalog=catalog)
    assert result.stored == len(events)
    assert time.process_time() - started < 5, "quadratic in something"
