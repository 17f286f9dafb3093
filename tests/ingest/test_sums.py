"""What sums promise: they are those of one event at a time, whatever the batch, and batches add up."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline_schemas.records import FeatureCell, Moments, Partial, WindowCell
from driftline_schemas.spec import ModelSpec
from driftline_streams.ingest import Ingest
from driftline_streams.ingest.decode import decode
from driftline_streams.kernel.catalog import Catalog

from . import oracle
from .batches import NOW_MS, batch_of, event, partials_of, rows_of, sliced_of
from .oracle import Tally
from .strategies import BATCHES, catalogs


def close(value: float) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


def assert_moments(found: Moments, true: Tally) -> None:
    assert (found.n, found.nulls) == (true.n, true.nulls)
    assert (found.min, found.max) == (min(true.numbers, default=0.0), max(true.numbers, default=0.0))
    # A sum of large values of both signs is as exact as its largest term.
    assert found.sum == pytest.approx(math.fsum(true.numbers), rel=1e-9, abs=1e-9 * sum(map(abs, true.numbers)))
    assert found.sum_squares == close(math.fsum(x * x for x in true.numbers))


@settings(max_examples=40, deadline=None)
@given(BATCHES, catalogs())
def test_windows_are_those_of_one_event_at_a_time(drawn: list[dict[str, Any]], catalog: Catalog) -> None:
    batch = batch_of(*drawn)
    result = Ingest(catalog, "driftline")(batch, NOW_MS)
    true = oracle.windows(decode(batch.values()).events, catalog)

    rows = rows_of(result, "windows")
    assert len(rows) == len(true)
    for row in rows:
        tally = true[row["model"], row["version"], row["window"] * 1000, row["dim"], row["value"]]
        spec = catalog.spec(row["model"])
        assert row["width_s"] == (max(spec.window_s, spec.feature_window_s) if row["dim"] else spec.window_s)
        assert (row["n"], row["errors"]) == (tally.n, tally.errors)
        assert row["latency"] == tally.latency
        assert row["classes"] == tally.classes
        assert row["latency_max"] == max(tally.signals["latency_ms"].numbers, default=0.0)
        for name, signal in (("latency", "latency_ms"), ("score", "score"), ("confidence", "confidence")):
            assert row[f"{name}_n"] == tally.signals[signal].n
            assert row[f"{name}_sum"] == close(sum(tally.signals[signal].numbers))

    cells = {
        (partial.model, partial.version, cell.window_ms, "", ""): cell
        for partial in partials_of(result)
        for cell in partial.windows
    }
    assert cells.keys() == {key for key in true if not key[3]}
    for key, cell in cells.items():
        assert (cell.n, cell.errors, cell.latency.counts) == (true[key].n, true[key].errors, true[key].latency)
        assert cell.latency.n == true[key].signals["latency_ms"].n
        for name, moments in cell.signals.items():
            assert_moments(moments, true[key].signals[name])


@settings(max_examples=50, deadline=None)
@given(BATCHES, catalogs())
def test_features_are_those_of_one_event_at_a_time(drawn: list[dict[str, Any]], catalog: Catalog) -> None:
    batch = batch_of(*drawn)
    result = Ingest(catalog, "driftline")(batch, NOW_MS)
    true = oracle.features(decode(batch.values()).events, catalog)

    cells = cells_of(partials_of(result))
    assert cells.keys() == true.keys()
    for key, cell in cells.items():
        assert cell.n == true[key].n
        assert cell.issues == true[key].issues
        assert cell.moments.keys() == true[key].signals.keys()
        for name, found in cell.moments.items():
            assert_moments(found, true[key].signals[name])
            assert cell.bins.get(name, {}) == true[key].signals[name].bins

    rows = rows_of(result, "features")
    assert len(rows) == len(true)
    for row in rows:
        key = row["model"], row["version"], row["window"] * 1000, row["dim"], row["value"]
        moments = cells[key].moments
        reference = catalog.reference(row["model"], row["version"])
        assert (row["n"], row["issues"]) == (true[key].n, true[key].issues)
        assert row["width_s"] == catalog.spec(row["model"]).feature_window_s
        assert row["reference"] == (reference.id if reference is not None else "")
        assert row["present"] == {name: found.n for name, found in moments.items()}
        assert row["nulls"] == {name: found.nulls for name, found in moments.items()}
        numeric = {name: moments[name] for name, tally in true[key].signals.items() if tally.numbers}
        assert row["sums"] == {name: found.sum for name, found in numeric.items()}
        assert row["sum_squares"] == {name: found.sum_squares for name, found in numeric.items()}
        assert row["mins"] == {name: found.min for name, found in numeric.items()}
        assert row["maxs"] == {name: found.max for name, found in numeric.items()}
        bins = {f"{name}\x1f{label}": n for name, found in cells[key].bins.items() for label, n in found.items()}
        assert row["bins"] == bins


def cells_of(partials: Iterable[Partial]) -> dict[tuple[str, str, int, str, str], FeatureCell]:
    """All feature cells, by what names them; partials of different windows or versions."""
    found: dict[tuple[str, str, int, str, str], FeatureCell] = {}
    for partial in partials:
        whose = partial.model, partial.version
        found |= {(*whose, cell.window_ms, "", ""): cell for cell in partial.features}
        found |= {(*whose, *name): cell for name, cell in sliced_of(partial).items()}
    return found


@settings(max_examples=30, deadline=None)
@given(BATCHES, st.sampled_from([1, 40]), st.sampled_from([7, 86_400]))
def test_the_values_of_a_segment_add_up_to_the_whole(
    drawn: list[dict[str, Any]], repeat: int, feature_window_s: int
) -> None:
    """Where every event has a value of it; often repeated, events are summed by their combination of segments first."""
    catalog = Catalog()
    for model in "mnr":
        spec = ModelSpec(model=model, segments=["country", "channel"], feature_window_s=feature_window_s)
        catalog.update(spec)
    whole = [event | {"segment": {"country": "de"} | _texts(event.get("segment", {}))} for event in drawn]
    cells = cells_of(partials_of(Ingest(catalog, "driftline")(batch_of(*(whole * repeat)), NOW_MS)))
    for key, cell in cells.items():
        if key[3]:
            continue
        parts = [part for name, part in cells.items() if name[:3] == key[:3] and name[3] == "country"]
        assert sum(part.n for part in parts) == cell.n
        assert sum((Counter(part.issues) for part in parts), Counter()) == cell.issues
        for signal, sums in cell.moments.items():
            mine = [part.moments[signal] for part in parts if signal in part.moments]
            assert sum(each.n for each in mine) == sums.n
            assert sum(each.nulls for each in mine) == sums.nulls
            if signal not in cell.bins:  # the least of texts and numbers is that of the numbers, of texts alone 0
                assert min((each.min for each in mine if each.n), default=0.0) == sums.min
            size = math.sqrt(sums.sum_squares * max(1, sums.n))
            assert sum(each.sum for each in mine) == pytest.approx(sums.sum, rel=1e-9, abs=1e-9 * size)
            bins = sum((Counter(part.bins.get(signal, {})) for part in parts), Counter())
            assert bins == cell.bins.get(signal, {})


def _texts(segment: dict[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in segment.items() if value is not None}


@settings(max_examples=40, deadline=None)
@given(BATCHES, catalogs(), st.lists(st.integers(0, 40), max_size=4))
def test_the_partials_of_any_split_add_up_to_the_partial_of_all(
    drawn: list[dict[str, Any]], catalog: Catalog, cuts: list[int]
) -> None:
    stage = Ingest(catalog, "driftline")
    borders = sorted({0, len(drawn), *(cut for cut in cuts if cut < len(drawn))})
    parts: list[Partial] = []
    for start, end in pairwise(borders):
        parts += partials_of(stage(batch_of(*drawn[start:end], first=100 + start), NOW_MS))
    together, added = add(partials_of(stage(batch_of(*drawn), NOW_MS))), add(parts)
    assert added.keys() == together.keys()
    for key, (counts, sums) in together.items():
        assert added[key][0] == counts
        for name, values in sums.items():
            sizes = math.sqrt(values[1]) * counts["n"]
            assert added[key][1][name] == pytest.approx(values, rel=1e-9, abs=1e-9 * sizes)


@given(BATCHES, catalogs())
def test_windows_of_the_whole_hold_every_stored_event_once(drawn: list[dict[str, Any]], catalog: Catalog) -> None:
    result = Ingest(catalog, "driftline")(batch_of(*drawn), NOW_MS)
    assert result.stored == len(drawn)
    assert sum(row["n"] for row in rows_of(result, "windows") if not row["dim"]) == len(drawn)
    assert sum(row["n"] for row in rows_of(result, "features") if not row["dim"]) == len(drawn)
    assert sum(cell.n for partial in partials_of(result) for cell in partial.windows) == len(drawn)


def add(partials: Iterable[Partial]) -> Mapping[tuple[Any, ...], tuple[Counter[Any], dict[str, list[float]]]]:
    """Counts and sums of each cell, over all partials."""
    out: dict[tuple[Any, ...], tuple[Counter[Any], dict[str, list[float]]]]
    out = defaultdict(lambda: (Counter(), defaultdict(lambda: [0.0, 0.0])))
    for partial in partials:
        cells: list[tuple[tuple[str, str], WindowCell | FeatureCell]] = []
        cells += [(("", ""), narrow) for narrow in partial.windows]
        cells += [(("", ""), wide) for wide in partial.features]
        cells += [(name[1:], wide) for name, wide in sliced_of(partial).items()]
        for segment, cell in cells:
            counts, sums = out[partial.model, partial.version, type(cell).__name__, cell.window_ms, *segment]
            counts["n"] += cell.n
            if isinstance(cell, WindowCell):
                counts["errors"] += cell.errors
                counts.update({("latency", bucket): n for bucket, n in cell.latency.counts.items()})
            else:
                counts.update({(name, label): n for name, bins in cell.bins.items() for label, n in bins.items()})
                # What is twice in a batch need not be in a part of it.
                counts.update({("issue", kind): n for kind, n in cell.issues.items() if kind != "duplicate"})
            for name, moments in (cell.signals if isinstance(cell, WindowCell) else cell.moments).items():
                counts[name, "n"] += moments.n
                counts[name, "nulls"] += moments.nulls
                sums[name][0] += moments.sum
                sums[name][1] += moments.sum_squares
    return out


def test_a_partial_names_its_batch_and_the_last_one_of_a_model_says_how_far_it_has_come() -> None:
    batch = batch_of(
        event(timestamp=NOW_MS - 5),
        event(timestamp=NOW_MS - 7, version="2"),
        event(timestamp=NOW_MS - 9, version="2"),
        event(model="n"),
        b"broken",
        first=70,
    )
    partials = partials_of(Ingest(Catalog(), "driftline")(batch, NOW_MS))
    assert [(p.topic, p.partition, p.first, p.last) for p in partials] == [("driftline.predictions", 3, 70, 74)] * 3
    assert [(p.model, p.version, p.watermark_ms) for p in partials] == [
        ("delays", "1", NOW_MS - 9),  # version 2 is still to come
        ("delays", "2", NOW_MS - 5),
        ("n", "1", NOW_MS - 60_000),
    ]


def test_a_missing_latency_is_not_a_zero_latency() -> None:
    result = Ingest(Catalog(), "driftline")(batch_of(event(latency_ms=None), event(latency_ms=0)), NOW_MS)
    (row,) = rows_of(result, "windows")
    assert (row["n"], row["latency_n"], row["latency"]) == (2, 1, {-32_768: 1})
