"""What is wrong with a window's data in itself: each check finds its case, and nothing in a window without it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from driftline_schemas.records import Detection, Moments
from driftline_schemas.spec import FeatureSpec, ModelSpec, QualityRules, Reference, Slice
from driftline_streams.detectors.quality.checks import MOST, check, skew
from driftline_streams.kernel import histogram, moments
from driftline_streams.kernel.limits import OTHER_CATEGORY
from driftline_streams.reference.build import build
from driftline_streams.windows.cells import WideCell

from .builders import DAY, HOUR

SPEC = ModelSpec(model="m")
START = 20_000 * DAY
N = 2_000
Columns = dict[str, np.ndarray]


def events(n: int = N, seed: int = 0) -> Columns:
    random = np.random.default_rng(seed)
    return {
        "feature:distance": random.normal(1_000, 200, n),
        "feature:carrier": random.choice(["AA", "B6", "UA"], n),
        "feature:night": random.choice([0.0, 1.0], n),
        "prediction": random.choice(["on time", "late"], n),
        "score": random.uniform(0, 1, n),
    }


def reference_of(columns: Columns | None = None) -> Reference:
    columns = events(seed=1) if columns is None else columns
    n = max((len(column) for column in columns.values()), default=0)
    return build("m", "1", columns, n=n, start_ms=0, end_ms=9)


REFERENCE = reference_of()


def window_of(columns: Columns, reference: Reference = REFERENCE, n: int = 0, **issues: int) -> WideCell:
    """A test window as `detect` has it: None and NaN count as null, and so does what a column is short of."""
    n = n or max(len(column) for column in columns.values())
    sums, bins = dict[str, Moments](), dict[str, dict[str, int]]()
    for signal in columns.keys() | reference.signals.keys():
        column = columns.get(signal, np.empty(0))
        profile = reference.signals.get(signal)
        if column.dtype.kind == "U":
            names, counts = np.unique(column, return_counts=True)
            sums[signal] = Moments(len(column), n - len(column), 0.0, 0.0, 0.0, 0.0)
            bins[signal] = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
            continue
        sums[signal] = moments.of_values(column)
        if profile is not None:
            sums[signal] = msgspec.structs.replace(sums[signal], nulls=n - sums[signal].n)
        if profile is not None and profile.edges:
            index, counts = np.unique(
                histogram.bin_index(column[np.isfinite(column)], profile.edges), return_counts=True
            )
            bins[signal] = {str(i): int(c) for i, c in zip(index, counts, strict=True)}
    named = {key.replace("__", "\x1ffeature:"): count for key, count in issues.items()}
    return WideCell(START, DAY, n, reference.id, sums, bins, named)


def found(window: WideCell, spec: ModelSpec = SPEC, reference: Reference | None = REFERENCE) -> list[Detection]:
    return check(spec, "1", reference, window)


def methods(window: WideCell, spec: ModelSpec = SPEC, reference: Reference | None = REFERENCE) -> list[tuple[str, str]]:
    return [(each.signal, each.method) for each in found(window, spec, reference)]


def without(name: str, columns: Columns | None = None) -> Columns:
    return {signal: column for signal, column in (columns or events()).items() if signal != name}


def test_a_window_like_the_reference_has_no_finding() -> None:
    for seed in range(2, 12):
        assert methods(window_of(events(seed=seed))) == []


def test_a_window_of_few_events_is_not_judged() -> None:
    assert methods(window_of(without("feature:carrier", events(29)))) == []
    assert methods(window_of(without("feature:carrier", events(30)))) == [("feature:carrier", "vanished")]


def test_a_feature_that_no_longer_comes_has_vanished_and_the_others_are_judged_as_before() -> None:
    (one,) = found(window_of(without("feature:carrier")))
    assert (one.kind, one.signal, one.method, one.direction) == ("quality", "feature:carrier", "vanished", "down")
    assert (one.before, one.after, one.n, one.effect) == (1.0, 0.0, N, 1.0)
    assert (one.low or 0) > 0.99
    assert one.detail == (
        "Feature carrier had no value in any of 2,000 events on 2024-10-04; in the reference 100 % of them have one."
    )


def test_a_feature_of_nothing_but_nulls_has_vanished_too() -> None:
    nulls = events() | {"feature:distance": np.full(N, np.nan)}
    assert methods(window_of(nulls)) == [("feature:distance", "vanished")]


def test_a_feature_that_is_rare_or_was_always_missing_may_be_away() -> None:
    rare = np.where(np.arange(N) < 4, 1.0, np.nan)
    reference = reference_of(events(seed=1) | {"feature:rare": rare, "feature:never": np.full(N, np.nan)})
    assert methods(window_of(events(), reference), reference=reference) == []


def test_a_feature_of_the_spec_that_never_comes_is_one_finding() -> None:
    spec = ModelSpec(model="m", features={"distance": FeatureSpec(), "distnce": FeatureSpec()})
    assert methods(window_of(events()), spec) == [("feature:distnce", "vanished")]
    assert methods(window_of(events()), spec, None) == [("feature:distnce", "vanished")]
    ignored = ModelSpec(model="m", features={"carrier": FeatureSpec(monitor=False)})
    assert methods(window_of(without("feature:carrier")), ignored) == []


def test_a_feature_that_the_reference_does_not_know_is_new() -> None:
    window = window_of(events() | {"feature:__proto__": np.ones(N // 2)})
    (one,) = found(window)
    assert (one.signal, one.method, one.effect) == ("feature:__proto__", "new", 0.5)
    described = ModelSpec(model="m", features=dict.fromkeys(["__proto__", "distance", "carrier"], FeatureSpec()))
    assert methods(window, described) == []  # the spec knows it
    assert methods(window, reference=None) == []
    assert methods(window, reference=reference_of({"score": np.ones(50)})) == []  # a reference without features


def test_values_of_another_type_are_found_from_a_share_on_and_most_of_them_are_a_change_of_type() -> None:
    assert methods(window_of(events(), mistyped__distance=19)) == []
    (one,) = found(window_of(events(), mistyped__distance=60))
    assert (one.method, one.signal) == ("mistyped", "feature:distance")
    assert one.effect == pytest.approx(60 / 2_060)
    assert (one.low or 1) < one.effect < (one.high or 0)
    assert "should be numeric, but 60 of 2,060 values (2.91 %)" in one.detail
    texts = events() | {"feature:distance": np.full(N, np.nan)}
    assert methods(window_of(texts, mistyped__distance=N)) == [
        ("feature:distance", "type"),
        ("feature:distance", "vanished"),
    ]
    lenient = ModelSpec(model="m", quality=QualityRules(mistyped=1))
    assert methods(window_of(events(), mistyped__distance=60), lenient) == []


def test_numbers_where_the_reference_has_names_are_a_change_of_type() -> None:
    window = window_of(events() | {"feature:carrier": np.random.default_rng(0).choice(["1", "2.5", "AA"], N)})
    assert methods(window) == [("feature:carrier", "type")]
    mixed = reference_of(events(seed=1) | {"feature:carrier": np.array(["1", "AA"] * 1_000)})
    assert (
        methods(window_of(events() | {"feature:carrier": np.array(["1", "AA", "1"] * 700)}, mixed), SPEC, mixed) == []
    )


def test_values_outside_of_a_given_range_are_found() -> None:
    spec = ModelSpec(model="m", features={"distance": FeatureSpec(min=0, max=5_000)})
    wrong = events() | {"feature:distance": np.where(np.arange(N) < 20, -999.0, 1_000.0)}
    (one, *rest) = found(window_of(wrong, outside__distance=20), spec)
    assert (one.method, one.after) == ("outside", -999.0)
    assert "outside of its range (0 to 5,000) in 20 of 2,000 values (1 %)" in one.detail
    assert rest == []
    assert methods(window_of(events(), outside__distance=2), spec) == []
    assert methods(window_of(events(), outside__distance=20)) == []  # of the reference's range: that is drift's


def test_an_extreme_far_beyond_the_reference_is_found() -> None:
    values = events()["feature:distance"]
    assert methods(window_of(events() | {"feature:distance": np.append(values[1:], 1_900.0)})) == []
    (one,) = found(window_of(events() | {"feature:distance": np.append(values[1:], 1e6)}))
    assert (one.method, one.direction, one.after) == ("outside", "up", 1e6)
    (one,) = found(window_of(events() | {"feature:distance": np.append(values[1:], -9_999.0)}))
    assert (one.method, one.direction, one.after) == ("outside", "down", -9_999.0)


@pytest.mark.parametrize(
    ("signal", "stuck"),
    [("feature:distance", np.full(N, 1_000.0)), ("feature:carrier", np.full(N, "UA")), ("prediction", np.full(N, "x"))],
)
def test_a_feature_that_is_stuck_is_found(signal: str, stuck: np.ndarray) -> None:
    assert (signal, "constant") in methods(window_of(events() | {signal: stuck}))
    assert methods(window_of(events() | {signal: stuck[:100]})) == []  # too few values


def test_a_feature_that_is_nearly_always_the_same_or_was_constant_may_be_constant() -> None:
    seldom = np.where(np.arange(N) < 2, 1.0, 0.0)
    reference = reference_of(events(seed=1) | {"feature:seldom": seldom, "feature:same": np.full(N, 3.0)})
    window = window_of(events() | {"feature:seldom": np.zeros(N), "feature:same": np.full(N, 4.0)}, reference)
    assert methods(window, reference=reference) == []


def test_a_feature_that_says_the_weekday_is_not_stuck_on_a_saturday() -> None:
    times_ms = START - 28 * DAY + np.arange(28 * 24 * 20) * (HOUR // 20)
    columns = {"feature:weekend": ((times_ms // DAY + 3) % 7 >= 5).astype(float)}
    bounds = int(times_ms[0]), int(times_ms[-1])
    plain, seasonal = (
        build("m", "1", columns, n=len(times_ms), start_ms=bounds[0], end_ms=bounds[1], times_ms=times)
        for times in (None, times_ms)
    )
    assert seasonal.rhythm is not None
    saturday = window_of({"feature:weekend": np.ones(1_000)}, plain)
    saturday.start_ms = START + DAY
    stuck = [("feature:weekend", "constant")]
    assert methods(saturday, reference=plain) == stuck
    saturday.reference = seasonal.id
    assert methods(saturday, reference=seasonal) == []
    saturday.start_ms = START + 4 * DAY
    assert methods(saturday, reference=seasonal) == stuck


def test_an_hour_is_too_short_to_be_stuck_in_or_to_lack_what_is_missing_at_times() -> None:
    sparse = np.where(np.arange(N) < 200, np.nan, 1.0)
    reference = reference_of(events(seed=1) | {"feature:wind": sparse})
    window = window_of(events() | {"feature:night": np.zeros(N)}, reference)
    assert methods(window, reference=reference) == [("feature:night", "constant"), ("feature:wind", "vanished")]
    window.width_ms = HOUR
    assert methods(window, reference=reference) == []


def test_an_explosion_of_categories_is_found() -> None:
    many = np.array([f"x{i % 400}" for i in range(N)])
    (one,) = [each for each in found(window_of(events() | {"feature:carrier": many})) if each.method == "cardinality"]
    assert (one.signal, one.before, one.after) == ("feature:carrier", 3.0, 400.0)
    few = np.array([f"x{i % 12}" for i in range(N)])
    assert methods(window_of(events() | {"feature:carrier": few})) == []


def test_new_categories_that_were_due_are_no_explosion() -> None:
    random = np.random.default_rng(4)
    long_tail = 1 / np.arange(1, 2_001) ** 1.5
    first, second = (
        np.char.add("z", random.choice(2_000, size, p=long_tail / long_tail.sum()).astype(str)) for size in (500, N)
    )
    reference = reference_of(events(500, seed=1) | {"feature:carrier": first})
    window = window_of(events() | {"feature:carrier": second}, reference)
    assert len(window.bins["feature:carrier"]) > 2 * len(reference.signals["feature:carrier"].categories)
    assert methods(window, reference=reference) == []


def test_a_million_categories_are_one_finding() -> None:
    folded = window_of(events())
    folded.bins["feature:carrier"] = {f"x{i}": 1 for i in range(999)} | {OTHER_CATEGORY: 10**6}
    (one,) = found(folded)
    assert one.method == "cardinality"
    assert "at least 1,000 different values" in one.detail


def test_duplicates_and_improper_answers_are_found_from_a_share_on() -> None:
    assert methods(window_of(events(), duplicate=20, improper=1)) == []
    duplicate, improper = found(window_of(events(), duplicate=60, improper=60))
    assert (duplicate.signal, duplicate.method, duplicate.effect) == ("prediction_id", "duplicate", 0.03)
    assert (improper.signal, improper.method, improper.effect) == ("prediction", "improper", 0.03)


def test_bins_of_another_reference_are_not_compared() -> None:
    window = window_of(events() | {"feature:carrier": np.array([f"x{i % 400}" for i in range(N)])})
    window.reference = "another"
    assert methods(window) == []


def test_a_flood_of_new_names_is_a_few_findings() -> None:
    flood = {f"feature:x{i}": np.ones(N) for i in range(300)}
    all_found = found(window_of(without("feature:carrier", events() | flood)))
    assert len(all_found) == MOST + 2
    assert [each.detail for each in all_found if each.signal == "features"] == [
        "290 more signals have the same: Feature x107, Feature x108, Feature x109 and others."
    ]
    assert ("feature:carrier", "vanished") in [(each.signal, each.method) for each in all_found]


def test_findings_have_ids_of_their_own_and_keep_them() -> None:
    window = window_of(without("feature:carrier"), duplicate=60, improper=60)
    ids = [each.id for each in found(window)]
    assert len(set(ids)) == 3
    assert [each.id for each in found(window)] == ids
    window.dim, window.value = "country", "DE"
    assert not set(ids) & {each.id for each in found(window)}


def test_a_segment_is_checked_for_what_it_lacks_and_what_is_wrong_in_itself() -> None:
    columns = events(seed=1)
    of_ua = columns["feature:carrier"] == "UA"
    made = reference_of(columns)
    part = {signal: column[of_ua] for signal, column in columns.items()}
    sums = {signal: window_of(part, made).moments[signal] for signal in part}
    slice_ = Slice(n=int(of_ua.sum()), moments=sums, bins={})
    sliced = msgspec.structs.replace(made, segments={"carrier": {"UA": slice_}})
    window = window_of(without("feature:distance", part), sliced, mistyped__carrier=300)
    window.dim, window.value = "carrier", "UA"
    assert methods(window, reference=sliced) == [("feature:carrier", "mistyped"), ("feature:distance", "vanished")]
    (one, _) = found(window, reference=sliced)
    assert (one.dim, one.value) == ("carrier", "UA")
    assert one.detail.startswith("Feature carrier where carrier is UA should be categorical, but")
    window.value = "HA"  # nobody knows what is usual there
    assert methods(window, reference=sliced) == [("feature:carrier", "mistyped")]


def drifted(signal: str) -> Detection:
    (base, *_) = found(window_of(without("feature:carrier")))
    return msgspec.structs.replace(base, kind="drift", method="psi", signal=signal)


@pytest.mark.parametrize(
    ("change", "tested", "skewed"),
    [
        (lambda r: r, 0, True),
        (lambda r: r, 2, True),
        (lambda r: r, 3, False),
        (lambda r: msgspec.structs.replace(r, source="learned"), 0, False),
    ],
)
def test_drift_from_training_data_in_the_first_windows_is_skew(
    change: Callable[[Reference], Reference], tested: int, skewed: bool
) -> None:
    window, both = window_of(events()), [drifted("score"), drifted("feature:carrier")]
    got = skew(SPEC, "1", change(REFERENCE), window, both, tested=tested)
    assert [each.method for each in got] == ["skew"] * skewed
    if skewed:
        assert "2 of 5 signals differed from the training data" in got[0].detail
    assert skew(SPEC, "1", change(REFERENCE), window, [], tested=tested) == []
