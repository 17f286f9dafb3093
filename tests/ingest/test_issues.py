"""What counting what is wrong promises: the value is kept, the count says so, and strange events come with reasons."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest

from driftline_schemas.spec import FeatureSpec, ModelSpec
from driftline_streams.ingest import Ingest, IngestResult
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.reference.build import build

from .batches import NOW_MS, batch_of, event, partials_of, rows_of, sliced_of

N = 5_000


def catalog() -> Catalog:
    """A model with a number and a category in its reference, in the ranges and segments of its spec."""
    known = Catalog()
    features = {"amount": FeatureSpec(min=0.0, max=100.0), "carrier": FeatureSpec(), "free": FeatureSpec()}
    known.update(ModelSpec(model="delays", features=features, segments=["country"]))
    random = np.random.default_rng(5)
    columns: dict[str, Any] = {"feature:amount": random.normal(50, 2, N), "feature:carrier": ["UA", "DL"] * (N // 2)}
    known.update(build("delays", "1", columns, n=N, start_ms=0, end_ms=1))
    return known


def usual(ids: Iterator[int], n: int, **fields: Any) -> list[dict[str, Any]]:
    features = {"amount": 50.0, "carrier": "UA", "free": 1.0} | fields.pop("features", {})
    return [event(prediction_id=f"p{next(ids)}", features=features, **fields) for _ in range(n)]


def ingest(*events: dict[str, Any]) -> IngestResult:
    return Ingest(catalog(), "driftline")(batch_of(*events), NOW_MS)


def issues(result: IngestResult) -> dict[str, int]:
    return partials_of(result)[0].features[0].issues


def test_what_is_right_has_no_issues_and_no_outliers() -> None:
    result = ingest(*usual(count(), 50, probabilities={"late": 0.7, "on time": 0.3}))
    assert issues(result) == {}
    assert rows_of(result, "outliers") == []


def test_each_issue_is_counted_in_the_whole_and_in_its_segment() -> None:
    ids = count()
    events = [
        *usual(ids, 2, features={"amount": "50"}, segment={"country": "de"}),
        *usual(ids, 1, features={"amount": True}),
        *usual(ids, 3, features={"amount": 100.5}, segment={"country": "fr"}),
        *usual(ids, 4, probabilities={"late": 0.7, "on time": 0.1}),
    ]
    result = ingest(*events, *events[:5])
    mistyped, outside = "mistyped\x1ffeature:amount", "outside\x1ffeature:amount"
    assert issues(result) == {mistyped: 6, outside: 5, "duplicate": 5, "improper": 4}
    (partial,) = partials_of(result)
    of_segments = {value: cell.issues for (_, _, value), cell in sliced_of(partial).items()}
    assert of_segments == {"de": {mistyped: 4, "duplicate": 2}, "fr": {outside: 5, "duplicate": 2}}
    rows = {(row["dim"], row["value"]): row["issues"] for row in rows_of(result, "features")}
    assert rows == {
        ("", ""): issues(result),
        ("country", "de"): of_segments["de"],
        ("country", "fr"): of_segments["fr"],
    }
    assert partial.features[0].moments["feature:amount"].nulls == 6


def test_a_model_may_use_the_id_of_another() -> None:
    result = ingest(event(prediction_id="p"), event(prediction_id="p", model="n"))
    assert [partial.features[0].issues for partial in partials_of(result)] == [{}, {}]


@pytest.mark.parametrize("ids", [["aa", "bb", "aa"], ["a", "bb", "a"], ["ä", "b", "ä"], ["a\0", "b", "a\0"]])
def test_an_id_is_found_again_whatever_it_is_made_of(ids: list[str]) -> None:
    assert issues(ingest(*(event(prediction_id=id_) for id_ in ids))) == {"duplicate": 1}


def test_the_strangest_events_of_a_version_are_kept_with_their_reasons() -> None:
    ids = count()
    far = [usual(ids, 1, features={"amount": 50.0 + 20 * i})[0] for i in range(1, 8)]
    news = usual(ids, 1, features={"carrier": "ZZ"})
    result = ingest(*usual(ids, 500), *far, *news)
    rows = rows_of(result, "outliers")
    assert [row["prediction_id"] for row in rows] == [one["prediction_id"] for one in far[2:]]
    assert [row["score"] for row in rows] == pytest.approx([10.0 * i for i in range(3, 8)], rel=0.05)
    assert all(row["reasons"] == {"feature:amount": row["score"]} for row in rows)
    assert [row["offset"] for row in rows] == [100 + 500 + i for i in range(2, 7)]


def test_a_category_that_the_reference_does_not_know_is_a_reason() -> None:
    ids = count()
    result = ingest(*usual(ids, 9), *usual(ids, 1, features={"carrier": "ZZ", "amount": 0.0}))
    (row,) = rows_of(result, "outliers")
    assert row["reasons"] == pytest.approx({"feature:carrier": math.log(N + 1), "feature:amount": -25.0}, rel=0.05)
    assert row["score"] == pytest.approx(25, rel=0.05)


@pytest.mark.parametrize("name", ["__proto__", "constructor", "a\0b", " ", "__class__"])
def test_a_feature_of_any_name_is_sliced_like_others(name: str) -> None:
    known = Catalog()
    known.update(ModelSpec(model="delays", segments=["__proto__"]))
    events = [event(features={name: value}, segment={"__proto__": "a\0"}) for value in (1.0, 2.0, None)]
    (partial,) = partials_of(Ingest(known, "driftline")(batch_of(*events), NOW_MS))
    ((key, cell),) = sliced_of(partial).items()
    assert key[1:] == ("__proto__", "a\0")
    sums = cell.moments[f"feature:{name}"]
    assert (sums.n, sums.nulls, sums.sum) == (2, 1, 3.0)


def test_a_feature_that_changes_type_disappears_or_is_all_null_leaves_the_others_alone() -> None:
    ids = count()
    events = [
        *usual(ids, 5, features={"amount": "many"}),
        *[event(prediction_id=f"q{next(ids)}", features={"carrier": "UA"}) for _ in range(3)],
        *usual(ids, 4, features={"free": None}),
    ]
    (cell,) = partials_of(ingest(*events))[0].features
    sums = {name: (moments.n, moments.nulls) for name, moments in cell.moments.items() if name.startswith("feature:")}
    assert sums == {"feature:amount": (4, 8), "feature:carrier": (12, 0), "feature:free": (5, 7)}
    assert cell.issues == {"mistyped\x1ffeature:amount": 5}


def test_a_feature_with_a_value_for_each_event_is_folded_in_segments_too() -> None:
    ids = count()
    events = [usual(ids, 1, features={"carrier": f"c{i}"}, segment={"country": "de"})[0] for i in range(3_000)]
    result = ingest(*events)
    ((_, cell),) = sliced_of(partials_of(result)[0]).items()
    assert len(cell.bins["feature:carrier"]) == 251
    assert sum(cell.bins["feature:carrier"].values()) == 3_000
    assert len(rows_of(result, "outliers")) == 5
