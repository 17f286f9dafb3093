"""Bad data from events to findings: each trouble is one finding about its feature, and the others are as ever."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from driftline_schemas.records import Detection
from driftline_schemas.spec import FeatureSpec, ModelSpec, QualityRules
from driftline_streams.alerts.notify import Notify
from driftline_streams.detectors.detect import Detect
from driftline_streams.ingest import Ingest
from driftline_streams.kernel.catalog import Catalog
from driftline_streams.reference.build import build
from driftline_streams.transport.batch import Batch, Messages

from .builders import DAY, clock, detections_of

START = 20_000 * DAY
N = 1_000
PREFIX = "driftline"
Columns = dict[str, list[Any]]


def usual(seed: int, n: int = N) -> Columns:
    random = np.random.default_rng(seed)
    return {
        "distance": random.normal(1_000, 200, n).round(2).tolist(),
        "carrier": random.choice(["AA", "B6", "UA"], n).tolist(),
        "seats": random.integers(50, 300, n).astype(float).tolist(),
    }


def detected(columns: Columns, spec: ModelSpec | None = None, ids: int = N) -> tuple[Catalog, list[Detection]]:
    """What is found in a day of these features (a column may hold `...` for absent), with carriers as segments."""
    catalog = Catalog()
    before = usual(0, 5_000)
    features = {f"feature:{name}": column for name, column in before.items()}
    segments = {"carrier": before["carrier"]}
    reference = build("m", "1", features, n=5_000, start_ms=0, end_ms=1, segments=segments)
    catalog.update(msgspec.structs.replace(reference, source="learned"))
    if spec is not None:
        catalog.update(spec)
    events = [
        {
            "prediction_id": f"p{i % ids}",
            "model": "m",
            "version": "1",
            "timestamp": START + i * DAY // N,
            "prediction": i % 2,
            "features": {name: column[i] for name, column in columns.items() if column[i] is not ...},
            "segment": {"carrier": str(columns["carrier"][i])},
        }
        for i in range(N)
    ]
    ingest, detect = Ingest(catalog, PREFIX), Detect(catalog, PREFIX, lateness_ms=0)
    state: dict[str, bytes] = {}
    detections: list[Detection] = []
    for part in range(0, N, 250):
        read = Messages(
            list(range(part, part + 250)), [msgspec.json.encode(each) for each in events[part : part + 250]]
        )
        batch = Batch(f"{PREFIX}.predictions", 0, part, part + 249, read)
        messages = ingest(batch, START + 2 * DAY).effects.messages
        partials = [message.value or b"" for message in messages if message.topic == f"{PREFIX}.partials"]
        detections += detections_of(detect(partials, state, 0))
    late = [msgspec.json.encode(clock(START + 2 * DAY))]
    detections += detections_of(detect(late, state, 0))
    daily = [each for each in detections if each.end_ms - each.start_ms == DAY]
    return catalog, [each for each in daily if each.kind in {"quality", "drift"}]


def found(columns: Columns, spec: ModelSpec | None = None, ids: int = N) -> list[tuple[str, str, str]]:
    """Kind, signal and method of it."""
    return sorted({(each.kind, each.signal, each.method) for each in detected(columns, spec, ids)[1]})


def of_quality(columns: Columns, spec: ModelSpec | None = None, ids: int = N) -> list[tuple[str, str]]:
    return [(signal, method) for kind, signal, method in found(columns, spec, ids) if kind == "quality"]


def test_a_day_as_usual_has_no_finding() -> None:
    assert found(usual(1)) == []


@pytest.mark.parametrize(
    ("name", "column", "expected"),
    [
        ("distance", ["far"] * N, [("feature:distance", "type"), ("feature:distance", "vanished")]),
        ("distance", [...] * N, [("feature:distance", "vanished")]),
        ("distance", [None] * N, [("feature:distance", "vanished")]),
        ("distance", [1e300] * N, [("feature:distance", "constant"), ("feature:distance", "outside")]),
        ("carrier", [f"x{i}" for i in range(N)], [("feature:carrier", "cardinality")]),
        ("carrier", list(range(N)), [("feature:carrier", "cardinality"), ("feature:carrier", "type")]),
        ("carrier", ["x" * 10_000] * N, []),  # one name too long is one category that nobody knew
        ("__proto__", [1.0] * N, [("feature:__proto__", "new")]),
        ("a b\\'c", ["x"] * N, [("feature:a b\\'c", "new")]),
    ],
    ids=["text", "absent", "null", "huge", "a thousand names", "numbers", "a long name", "__proto__", "quotes"],
)
def test_a_feature_with_bad_data_is_found_and_the_others_are_not(
    name: str, column: list[Any], expected: list[tuple[str, str]]
) -> None:
    got = found(usual(1) | {name: column})
    assert [(signal, method) for kind, signal, method in got if kind == "quality"] == expected
    assert {signal for _, signal, _ in got} <= {f"feature:{name}"}


def test_a_spec_that_names_features_that_never_come_is_one_finding_each() -> None:
    spec = ModelSpec(model="m", features=dict.fromkeys(["distance", "carrier", "seats", "never"], FeatureSpec()))
    assert found(usual(1), spec) == [("quality", "feature:never", "vanished")]


def test_values_outside_of_a_given_range_are_found() -> None:
    spec = ModelSpec(model="m", features={"distance": FeatureSpec(min=0), "carrier": FeatureSpec()})
    some = [-1.0 if i % 50 == 0 else value for i, value in enumerate(usual(1)["distance"])]
    assert of_quality(usual(1) | {"distance": some}, spec) == [("feature:distance", "outside")]


def test_ids_that_come_again_are_found() -> None:
    assert of_quality(usual(1), ids=100) == [("prediction_id", "duplicate")]


def test_an_alert_names_the_segment_whose_values_are_missing_and_the_segment_itself_does_not_alert_again() -> None:
    columns = usual(1)
    columns["distance"] = [
        None if carrier == "B6" and i % 3 else value
        for i, (value, carrier) in enumerate(zip(columns["distance"], columns["carrier"], strict=True))
    ]
    catalog, detections = detected(columns, ModelSpec(model="m", segments=["carrier"]))
    assert [(each.signal, each.method, each.value) for each in detections] == [
        ("feature:distance", "nulls", ""),
        ("feature:distance", "nulls", "B6"),
    ]
    (alert,) = Notify(catalog, PREFIX)([msgspec.json.encode(each) for each in detections], {}, 0).to_send
    assert "It is mostly carrier B6 (99 % of the change, by itself)." in alert.cause


def test_a_segment_with_other_types_is_found_though_all_events_have_few_of_them() -> None:
    columns = usual(1)
    columns["carrier"] = ["HA" if i % 25 == 0 else carrier for i, carrier in enumerate(columns["carrier"])]
    columns["seats"] = [
        "many" if carrier == "HA" else value
        for value, carrier in zip(columns["seats"], columns["carrier"], strict=True)
    ]
    lenient = ModelSpec(model="m", segments=["carrier"], quality=QualityRules(mistyped=0.05))
    _, detections = detected(columns, lenient)
    of_seats = [(each.kind, each.method, each.value) for each in detections if each.signal == "feature:seats"]
    assert of_seats == [("quality", "type", "HA")]
