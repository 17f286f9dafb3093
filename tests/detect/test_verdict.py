"""What is said of a closed test window: its data, its volume, its drift, and where that comes from."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from driftline_schemas.records import Detection, Moments
from driftline_schemas.spec import ModelSpec, Reference
from driftline_streams.detectors.budget import thresholds
from driftline_streams.detectors.window_tests.verdict import Judge, Verdict
from driftline_streams.kernel import histogram, moments
from driftline_streams.reference.build import build
from driftline_streams.windows.cells import WideCell

from .builders import DAY

SPEC = ModelSpec(model="m", segments=["carrier"])
CARRIERS = np.array(["AA", "B6", "UA"])
START = 20_000 * DAY
N = 3_000
X = "feature:x"


def events(seed: int, shift_of_b6: float = 0.0, present: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Values and carriers."""
    random = np.random.default_rng(seed)
    carrier = random.choice(CARRIERS, N)
    values = random.normal(100, 10, N) + shift_of_b6 * (carrier == "B6")
    return np.where((random.uniform(size=N) < present) | (carrier != "B6"), values, np.nan), carrier


def reference(source: str = "given") -> Reference:
    values, carrier = events(0)
    made = build("m", "1", {X: values}, n=N, start_ms=0, end_ms=DAY, segments={"carrier": carrier.tolist()})
    return msgspec.structs.replace(made, source=source)


def cell(made: Reference, values: np.ndarray, value: str = "") -> WideCell:
    sums = moments.of_values(values)
    present = values[np.isfinite(values)]
    index, counts = np.unique(histogram.bin_index(present, made.signals[X].edges), return_counts=True)
    bins = {X: {str(i): int(c) for i, c in zip(index, counts, strict=True)}}
    return WideCell(START, DAY, len(values), made.id, {X: sums}, bins, {}, "carrier" if value else "", value)


def verdict(made: Reference | None, values: np.ndarray, carrier: np.ndarray, tested: int = 9) -> Verdict:
    edges = made or reference()
    window, parts = cell(edges, values), [cell(edges, values[carrier == name], str(name)) for name in CARRIERS]
    limits = thresholds(SPEC, DAY)
    judge = Judge(SPEC, "1", made, frozenset())
    return judge.judge(window, parts, limits, tested=tested, by_time=True, now_ms=5)


def summary(found: list[Detection]) -> list[tuple[str, str]]:
    return [(each.kind, each.value) for each in found]


def test_a_window_like_the_reference_has_rows_and_no_findings() -> None:
    got = verdict(reference(), *events(1))
    assert (got.found, got.compared) == ([], True)
    assert [(rows.table, rows.n) for rows in got.rows] == [("drift", 4)]


def test_drift_of_one_segment_is_said_of_the_whole_first_and_explained_by_it() -> None:
    whole, part = verdict(reference(), *events(1, shift_of_b6=30.0)).found
    assert summary([whole, part]) == [("drift", ""), ("drift", "B6")]
    first = whole.segments[0]
    assert (first.dim, first.value) == ("carrier", "B6")
    assert first.within == pytest.approx(1, abs=0.1)
    assert part.segments == []


def test_missing_values_are_explained_by_who_lacks_them() -> None:
    (whole, *_) = verdict(reference(), *events(1, present=0.3)).found
    assert (whole.method, whole.segments[0].value) == ("nulls", "B6")


def test_drift_from_training_data_is_skew_in_the_first_windows_only() -> None:
    shifted = events(1, shift_of_b6=30.0)
    first = verdict(reference(), *shifted, tested=0).found
    assert [each.method for each in first if each.kind == "quality"] == ["skew"]
    assert [each.kind for each in verdict(reference(), *shifted, tested=3).found] == ["drift", "drift"]
    assert [each.kind for each in verdict(reference("learned"), *shifted, tested=0).found] == ["drift", "drift"]


def test_bad_data_needs_no_reference_and_volume_no_window_of_a_number_of_events() -> None:
    window = cell(reference(), events(1)[0])
    window.issues = {"duplicate": 300}
    limits = thresholds(SPEC, DAY)
    for by_time in (True, False):
        got = Judge(SPEC, "1", None, frozenset()).judge(window, (), limits, tested=0, by_time=by_time, now_ms=5)
        assert ([each.method for each in got.found], got.rows, got.compared) == (["duplicate"], [], False)
    usual = msgspec.structs.replace(reference("learned"), n=100 * N)
    judge = Judge(SPEC, "1", usual, frozenset())
    found = [judge.judge(window, (), limits, tested=9, by_time=by_time, now_ms=5).found for by_time in (True, False)]
    assert [[each.method for each in each_found] for each_found in found] == [["duplicate", "volume"], ["duplicate"]]


def test_a_reference_that_knows_nothing_of_the_window_compares_nothing() -> None:
    other = build("m", "1", {"latency_ms": np.ones(9)}, n=9, start_ms=0, end_ms=DAY)
    window = WideCell(START, DAY, N, other.id, {X: Moments(N, 0, 0.0, 0.0, 0.0, 0.0)}, {})
    got = Judge(SPEC, "1", other, frozenset()).judge(
        window, (), thresholds(SPEC, DAY), tested=0, by_time=True, now_ms=5
    )
    assert (got.found, got.rows, got.compared) == ([], [], False)
